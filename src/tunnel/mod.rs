//! The tunnel of `dev swap`: connections in the cluster end in a process on the laptop, over whatever carries bytes between the two.
//!
//! ```text
//! carrier   anything that can be read and written: a port-forward; it may break at any time
//! wire      frames on a carrier
//! lane      a stream of bytes each way that goes on over a succession of carriers
//! mux       streams on a lane, each with its own credit
//! header    what a stream is for
//! session   who has the agent, and what becomes of it when they are gone
//! client    the laptop's end: dials carriers, takes streams
//! agent     the pod's end: takes carriers, opens streams for connections
//! ```
//!
//! `wire`, `lane`, `mux` and `session` decide and touch nothing; `link`, `drive`, `client` and `agent` are the loops around them.
//! Both ends are here, so that one change changes both.

pub mod agent;
mod backoff;
pub mod client;
pub mod deliver;
pub mod drive;
mod greet;
pub mod header;
pub mod lane;
pub mod link;
pub mod mux;
pub mod session;
pub mod splice;
pub mod stream;
pub mod wire;

#[cfg(test)]
mod tests;

//! The incremental aggregated discovery service: what Envoy is sent, in which order, and what it has accepted.
//!
//! ```text
//! watch of Snapshot ──► server ──► session (one for each stream of Envoy) ──► subscription (one for each type) ──► Envoy
//!                          │           which phase an update is in                who asked for what, who has what
//!                          └──► watch of Acked
//! ```
//!
//! `subscription` and `session` are pure: messages in, messages out. The protocol is described in Envoy's documentation
//! under "xDS REST and gRPC protocol", "Incremental xDS".

mod acked;
mod kind;
mod server;
mod session;
mod subscription;

pub use acked::{Acked, Rejection};
pub use kind::Kind;
pub use server::{Ads, serve};

//! Registries: is an image there, push it, fetch a base.

mod client;
mod credentials;
mod failure;
mod push;

pub use client::*;
pub use credentials::*;
pub use push::*;

#[cfg(test)]
pub(crate) mod tests;

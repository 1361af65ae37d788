//! What runs in a router's pod: the first process with Envoy and the link as its children.
//!
//! ```text
//! supervise (PID 1) ──┬──► envoy          serves; reads its configuration from the link, and goes on without it
//!                     └──► link           watches the cluster → table → snapshot → Envoy; status server
//! ```
//!
//! `children`, `drain` and `status` decide and are pure; the rest acts.

mod admin;
mod children;
mod drain;
mod files;
mod http;
mod link;
mod measure;
mod peers;
mod saved;
mod serve;
mod state;
mod status;
mod supervise;
mod switched;

pub use admin::Admin;
pub use files::Files;
pub use link::{LinkOptions, link};
pub use serve::listen;
pub use supervise::{SuperviseOptions, supervise};

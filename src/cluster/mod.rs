//! Effects on Kubernetes: connect, observe, apply, wait and diagnose, logs, exec, forward. Nothing else talks to the API server.

pub mod apply;
pub mod connect;
pub mod errors;
pub mod guard;
pub mod inventory;
pub mod kinds;
mod kubeconfig;
pub mod namespace;
pub mod observe;
pub mod remove;
mod request;
mod retry;
mod watch;

pub use connect::{Cluster, ConnectOptions};
pub use kinds::Resource;

//! Effects on Kubernetes: connect, observe, apply, wait and diagnose, logs, exec, forward. Nothing else talks to the API server.

pub mod access;
mod address;
mod appear;
pub mod apply;
pub mod base;
pub mod connect;
pub mod control_status;
pub mod errors;
pub mod exec;
pub mod exposed;
#[cfg(test)]
mod fake;
mod feed;
pub mod forward;
pub mod given;
pub mod guard;
pub mod health;
pub mod inventory;
pub mod kinds;
mod kubeconfig;
mod login;
pub mod logs;
pub mod mirror;
pub mod namespace;
pub mod nodes;
pub mod observe;
pub mod pods;
pub mod remove;
mod request;
mod retry;
pub mod router_seen;
pub mod router_status;
pub mod routers;
pub mod terminal;
pub mod url;
pub mod wait;
mod watch;
pub mod write;

pub use connect::{Cluster, ConnectOptions};
pub use guard::ClusterIdentity;
pub use kinds::Resource;

//! Effects on Kubernetes: connect, observe, apply, wait and diagnose, logs, exec, forward. Nothing else talks to the API server.

pub mod exec;
pub mod exposed;
mod feed;
pub mod forward;
pub mod health;
pub mod logs;
pub mod nodes;
pub mod pods;
pub mod terminal;
pub mod url;
pub mod wait;

//! Effects on Kubernetes: connect, observe, apply, wait and diagnose, logs, exec, forward. Nothing else talks to the API server.

mod feed;
pub mod health;
pub mod logs;
pub mod wait;

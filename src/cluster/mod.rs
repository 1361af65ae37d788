//! Effects on Kubernetes: connect, observe, apply, wait and diagnose, logs, exec, forward. Nothing else talks to the API server.

//! PURE: from a route table to Envoy's resources.
//!
//! | resource | name | when it changes |
//! |---|---|---|
//! | listener | `svc\|<service>\|<port>`, `edge` | a service enters or leaves |
//! | route configuration | as the listener | an environment's version comes, goes, or gets its first or loses its last endpoint |
//! | cluster | `base\|<service>\|<port>`, `env\|<env>\|<service>\|<port>` | a version comes or goes |
//! | endpoints | as the cluster | a pod comes or goes |
//!
//! Where there is a collector of spans, a listener and a cluster `traced` and a cluster `collector`, which never change.

pub mod bootstrap;
mod clusters;
mod edge;
pub mod fixed;
mod http;
mod listeners;
mod log;
mod matcher;
pub mod names;
mod routes;
pub mod snapshot;
mod tracing;
mod update;
mod wrap;

pub use listeners::EDGE_PORT;
pub use snapshot::{Families, Options, Resource, Snapshot};
pub use update::{snapshot, snapshot_with, update};

#[cfg(test)]
mod tests;

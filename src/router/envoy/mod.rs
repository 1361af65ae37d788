//! PURE: from a route table to Envoy's resources.

pub mod snapshot;

pub use snapshot::{Resource, Snapshot};

//! The router beside a base: which version of a service answers a request. The table and Envoy's resources are pure.

pub mod admission;
pub mod envoy;
pub mod model;

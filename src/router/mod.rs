//! The router beside a base: which version of a service answers a request. The table and Envoy's resources are pure.

pub mod admission;
pub mod ads;
pub mod baggage;
pub mod collector;
pub mod endpoints;
pub mod envoy;
pub mod families;
pub mod install;
pub mod model;
pub mod protocol;
pub mod requests;
pub mod run;
pub mod shadow;
pub mod table;
pub mod traffic;

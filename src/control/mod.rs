//! The one process of a base that writes: it puts the routers in front of Services that environments override, and takes them
//! away again. What is to be done is decided by pure functions of what was observed; `run` observes and carries out.

pub mod decide;
pub mod fields;
pub mod lease;
pub mod listeners;
pub mod network;
pub mod patches;
pub mod routing;
pub mod run;
pub mod secrets;
pub mod shadow;
pub mod support;

/// The name of the routers' Deployment, Service, account and PodDisruptionBudget in a base, and the value of every label by which a
/// routed Service selects them.
pub const ROUTER: &str = "dev-router";

/// The name of the Deployment, the account and the Lease of this process, and the field manager of its writes. No other part of
/// `dev` writes by this name, so what is owned by it is known to be left over from a step in between.
pub const CONTROL: &str = "dev-control";

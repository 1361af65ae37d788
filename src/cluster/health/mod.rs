//! PURE: from the objects of a service, whether it is ready, and if not, what the trouble is and what helps.
//! No client, no clock: `world` is what was read, `service` judges it, the other files each know one kind of trouble.

mod container;
mod creation;
mod events;
mod image;
mod pod;
mod rollout;
mod scheduling;
mod service;
mod state;
mod trouble;
mod world;

#[cfg(test)]
mod tests;

pub use creation::{Refusal, classify_refusal};
pub use image::{PullFailure, classify_pull};
pub use scheduling::{Obstacle, parse_scheduler_message};
pub use service::{Judgement, Moment, judge};
pub use state::{Health, Known, ServiceObjects, State, Target};
pub use trouble::{LogKey, LogWanted, Probe, Reason, Trouble};
pub use world::{Index, Lists, Watched, World};

//! From settings to an environment: which services, their images, their objects; and bringing it up.

mod bring_up;
mod images;
mod progress;
mod readiness;
mod render;
mod report;
mod scope;
mod select;

pub use bring_up::{UpOptions, bring_up, preview};
pub use images::{ImageReport, ServiceImages};
pub use render::{Rendered, render};
pub use report::{Report, ServiceReport, not_ready, service_objects, services_table};
pub use scope::Scope;
pub use select::{exactly, with_needs};

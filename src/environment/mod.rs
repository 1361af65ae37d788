//! From settings to an environment: which services, their images, their objects; and bringing it up.

mod admission;
mod bring_up;
mod images;
pub mod overlay;
mod profile;
mod progress;
mod readiness;
mod render;
mod report;
mod routing;
mod scope;
mod select;
mod sets;
mod traffic;
mod wanted;

pub use admission::dismiss;
pub use bring_up::{UpOptions, apply_and_wait, bring_up, may_write, preview, will_run};
pub use images::{ImageReport, ServiceImages};
pub use render::{Rendered, render};
pub use report::{
    Report, ServiceReport, not_ready, service_objects, service_reports, services_table,
};
pub use routing::{Overlay, Routing, is_borrowed};
pub use scope::Scope;
pub use select::{exactly, misspelt, with_needs};
pub use traffic::{Traffic, Versions};
pub use wanted::{Wanted, wanted, without};

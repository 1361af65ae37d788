//! PURE: what `dev router install` makes in a base: its options, the objects, and what is in the way.

mod manifests;
mod options;
mod preflight;

pub use crate::control::{CONTROL, ROUTER};
pub use manifests::{EDGE, TEMPLATES, manifests, router_labels, stamp};
pub use options::{EdgeOptions, Exposure, Options};
pub use preflight::{obstacles, trial_pod};

//! The routers of a base as an installation: what there is of them, a trial of their pods, and taking them away again.

mod found;
mod leave;
mod look;
mod patch;
mod restore;
mod rights;
mod stand_down;
mod trial;

pub use found::{Found, find};
pub use leave::{await_departure, delete_leftovers, delete_routers, hurry};
pub use look::{Look, look};
pub use patch::set_uninstall;
pub use restore::{Restored, restore};
pub use rights::{granted, may_grant, removal};
pub use stand_down::resume;
pub use trial::try_pod;

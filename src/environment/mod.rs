//! From settings to what an environment should be: which services, their images, their objects.

mod render;
mod scope;
mod select;

pub use render::{Rendered, render};
pub use scope::Scope;
pub use select::{exactly, with_needs};

//! Manifests: reading YAML, templates, Helm and kustomize input, and the multi-version transform.
//! Only `yaml.rs` names the YAML crate.

pub mod files;
mod helm;
mod kustomize;
pub mod labels;
pub mod live;
mod load;
pub mod names;
mod note;
mod object;
mod program;
pub mod references;
pub mod snippet;
pub mod template;
mod text;
pub mod transform;
mod uses;
pub mod validate;
pub(crate) mod walk;
pub mod yaml;

pub use load::*;
pub use note::*;
pub use object::*;
pub use template::{Context, Git};
pub use text::{at_the_name, place_of};
pub use uses::Uses;

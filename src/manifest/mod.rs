//! Manifests: reading YAML, templates, Helm and kustomize input, and the multi-version transform.
//! Only `yaml.rs` names the YAML crate.

pub mod labels;
mod locate;
pub mod names;
mod object;
pub mod yaml;

pub use locate::locate;
pub use object::*;

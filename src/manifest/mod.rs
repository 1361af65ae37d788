//! Manifests: reading YAML, templates, Helm and kustomize input, and the multi-version transform.
//! Only `yaml.rs` names the YAML crate.

pub mod labels;
mod object;
mod snippet;
pub mod template;
pub mod yaml;

pub use object::*;

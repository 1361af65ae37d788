//! Objects that several copied services need.

use std::collections::HashSet;

use crate::manifest::Manifest;

/// Leaves the first of the objects that were copied for several services (a shared ConfigMap, an Ingress to all of
/// them). Objects that were read from files are not looked at: there, the same object twice is a mistake.
pub fn without_repeats(manifests: Vec<Manifest>) -> Vec<Manifest> {
    let mut seen = HashSet::new();
    let is_copied = |manifest: &Manifest| manifest.origin.place.is_none();
    manifests
        .into_iter()
        .filter(|manifest| !is_copied(manifest) || seen.insert(manifest.key()))
        .collect()
}

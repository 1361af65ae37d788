//! What a transform is asked for, and what it gives.

use serde::Serialize;

use super::Scope;
use crate::manifest::labels::Stamp;
use crate::manifest::{Manifest, Note, Skipped};

/// Says of a kind (by `apiVersion` and `kind`) that is not built in whether it belongs to a namespace.
pub type ScopeLookup<'a> = dyn Fn(&str, &str) -> Option<Scope> + 'a;

/// A lookup that knows nothing: kinds that are not built in count as namespaced.
pub fn unknown_scope(_api_version: &str, _kind: &str) -> Option<Scope> {
    None
}

/// How much is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A copy that must not disturb what runs already.
    #[default]
    Copy,
    /// The base itself: namespace and labels only.
    Base,
}

/// Where the objects go and how they are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The labels.
    pub stamp: Stamp,
    /// The namespace that the objects go to.
    pub namespace: String,
    /// The namespaces that the manifests mean by their own (the base's, mostly). Where it is empty, and all objects that
    /// name a namespace name the same one, that one.
    pub home: Vec<String>,
    /// For a version beside others in one namespace: names become `NAME-SUFFIX`.
    pub suffix: Option<String>,
    /// The domain that hosts of copies are put under: `HOST.example.com` becomes `HOST-ENV.DOMAIN`. Without one they
    /// stay in their own domain: `HOST-ENV.example.com`.
    pub domain: Option<String>,
    /// How much is changed.
    pub mode: Mode,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transformed {
    /// The objects, in the order they came in.
    pub objects: Vec<Manifest>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// What was changed beyond names, namespace and labels.
    pub notes: Vec<Note>,
    /// References to ConfigMaps, Secrets, accounts and claims that are not among the objects, so that they have to be in
    /// the namespace already.
    pub expected: Vec<Expected>,
}

/// An object that something refers to and that nobody here makes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    /// The service that needs it.
    pub service: String,
    /// `ConfigMap`, `Secret`, `ServiceAccount` or `PersistentVolumeClaim`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

//! What the connected Envoy has accepted.

use std::collections::BTreeMap;

use super::kind::Kind;
use crate::router::envoy::{Resource, Snapshot};

/// A resource that Envoy has refused. It goes on with what it had under that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The type.
    pub kind: Kind,
    /// The resource's name.
    pub name: String,
    /// Envoy's words.
    pub message: String,
}

/// The versions of all resources that Envoy has said to have, and what it has refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// Whether an Envoy is connected. Without one nothing is known to be accepted.
    pub connected: bool,
    /// Resources that were sent since it connected, removals left out.
    pub sent: usize,
    /// What it refused and was not given anew since.
    pub rejections: Vec<Rejection>,
    versions: [BTreeMap<String, String>; 4],
}

impl Acked {
    /// An Envoy that has just connected and has said nothing yet.
    pub fn connected() -> Self {
        Self {
            connected: true,
            ..Self::default()
        }
    }

    /// Whether Envoy has this resource as it is here.
    pub fn has(&self, kind: Kind, name: &str, resource: &Resource) -> bool {
        self.version(kind, name) == Some(&resource.version)
    }

    /// The version that Envoy has of a resource.
    pub fn version(&self, kind: Kind, name: &str) -> Option<&str> {
        self.versions[kind.index()].get(name).map(String::as_str)
    }

    /// Whether Envoy has all of a snapshot and nothing else, as far as it asked for it.
    pub fn is(&self, snapshot: &Snapshot) -> bool {
        self.connected
            && Kind::ALL.into_iter().all(|kind| {
                let (has, wanted) = (&self.versions[kind.index()], kind.of(snapshot));
                has.len() == wanted.len()
                    && has
                        .iter()
                        .zip(wanted)
                        .all(|((name, version), (wanted, resource))| {
                            name == wanted && *version == resource.version
                        })
            })
    }

    pub(in crate::router) fn set(&mut self, kind: Kind, name: String, version: Option<String>) {
        let versions = &mut self.versions[kind.index()];
        match version {
            Some(version) => versions.insert(name, version),
            None => versions.remove(&name),
        };
    }
}

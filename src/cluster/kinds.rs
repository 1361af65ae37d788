//! How kinds are served: a table of the built-in ones, so that the fast path asks nothing, and discovery for all others.

mod discovery;
mod table;

use std::collections::{BTreeMap, HashMap};

use kube::discovery::ApiResource;

use crate::cluster::request::encode;
use crate::plan::Served;
use table::TABLE;

/// A kind and how it is served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Such as `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// What discovery found: apiVersion → kind → how it is served.
pub(super) type Discovered = HashMap<String, BTreeMap<String, Served>>;

impl Resource {
    /// A kind that the API server itself defines.
    pub fn builtin(api_version: &str, kind: &str) -> Option<Self> {
        let (group, version) = split(api_version);
        TABLE
            .iter()
            .find(|row| row.group == group && row.kind == kind && row.versions.contains(&version))
            .map(|row| Self {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                plural: row.plural.to_owned(),
                namespaced: row.namespaced,
            })
    }

    /// A kind with what is known about it.
    pub fn new(api_version: &str, kind: &str, served: &Served) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: served.plural.clone(),
            namespaced: served.namespaced,
        }
    }

    /// How it is served, without its name.
    pub fn served(&self) -> Served {
        Served {
            plural: self.plural.clone(),
            namespaced: self.namespaced,
        }
    }

    /// The API group, empty for the core group.
    pub fn group(&self) -> &str {
        split(&self.api_version).0
    }

    /// The same for the `kube` crate's dynamic objects.
    pub fn api_resource(&self) -> ApiResource {
        let (group, version) = split(&self.api_version);
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }

    /// The path of the collection, in a namespace where the kind is namespaced.
    pub fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.api_version.contains('/') {
            "/apis"
        } else {
            "/api"
        };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!(
                "{root}/{}/namespaces/{namespace}/{}",
                self.api_version, self.plural
            ),
            None => format!("{root}/{}/{}", self.api_version, self.plural),
        }
    }

    /// The path of an object.
    pub fn object(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.collection(namespace), encode(name))
    }
}

fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let deployment = Resource::builtin("apps/v1", "Deployment").unwrap();
        assert_eq!(
            deployment.object(Some("a"), "web"),
            "/apis/apps/v1/namespaces/a/deployments/web"
        );
        let namespace = Resource::builtin("v1", "Namespace").unwrap();
        assert_eq!(namespace.object(Some("a"), "a"), "/api/v1/namespaces/a");
        let role = Resource::builtin("rbac.authorization.k8s.io/v1", "ClusterRole").unwrap();
        assert_eq!(
            role.object(None, "system:a b?"),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aa%20b%3F"
        );
        assert_eq!(Resource::builtin("apps/v1beta1", "Deployment"), None);
        assert_eq!(Resource::builtin("example.org/v1", "Deployment"), None);
    }
}

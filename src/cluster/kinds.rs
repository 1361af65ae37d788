//! How kinds are served: a table of the built-in ones, so that the fast path asks nothing, and discovery for all others.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};

use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::client::APIGroupDiscoveryList;
use kube::discovery::ApiResource;

use crate::cluster::Cluster;
use crate::error::Result;
use crate::plan::{Kinds, Served};

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
        format!("{}/{name}", self.collection(namespace))
    }
}

fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

impl Cluster {
    /// How a kind is served; `None` where this cluster does not serve it. Built-in kinds need no request; the answers for others
    /// are kept for the life of the process.
    pub async fn resource(&self, api_version: &str, kind: &str) -> Result<Option<Resource>> {
        if let Some(known) = Resource::builtin(api_version, kind) {
            return Ok(Some(known));
        }
        if let Some(found) = self.remembered(api_version, kind) {
            return Ok(found);
        }
        let path = if api_version.contains('/') {
            format!("/apis/{api_version}")
        } else {
            format!("/api/{api_version}")
        };
        let list: Option<APIResourceList> = self
            .get_opt(&path, &format!("look up what {api_version} serves"))
            .await?;
        let served = list
            .into_iter()
            .flat_map(|list| list.resources)
            // Subresources have a slash in their names.
            .filter(|resource| !resource.name.contains('/'))
            .map(|resource| {
                let served = Served {
                    plural: resource.name,
                    namespaced: resource.namespaced,
                };
                (resource.kind, served)
            })
            .collect();
        if let Ok(mut discovered) = self.discovered.lock() {
            match discovered.entry(api_version.to_owned()) {
                Entry::Occupied(mut entry) => *entry.get_mut() = served,
                Entry::Vacant(entry) => {
                    entry.insert(served);
                }
            }
        }
        Ok(self.remembered(api_version, kind).flatten())
    }

    /// Forgets what discovery found for an apiVersion, after a CustomResourceDefinition was applied.
    pub fn forget_kinds(&self, group: &str) {
        if let Ok(mut discovered) = self.discovered.lock() {
            discovered.retain(|api_version, _| split(api_version).0 != group);
        }
    }

    fn remembered(&self, api_version: &str, kind: &str) -> Option<Option<Resource>> {
        let discovered = self.discovered.lock().ok()?;
        let kinds = discovered.get(api_version)?;
        Some(
            kinds
                .get(kind)
                .map(|served| Resource::new(api_version, kind, served)),
        )
    }

    /// How all of these kinds are served.
    pub async fn kinds<'a>(
        &self,
        wanted: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Kinds> {
        let lookups = wanted.into_iter().map(async |(api_version, kind)| {
            let found = self.resource(api_version, kind).await?;
            let key = (api_version.to_owned(), kind.to_owned());
            Ok((key, found.map(|resource| resource.served())))
        });
        let found: Vec<Result<_>> = futures::future::join_all(lookups).await;
        found.into_iter().collect()
    }

    /// Every namespaced kind whose objects can be listed and deleted, each in the version that the server prefers. Events and other
    /// kinds that are mere views of others are left out.
    pub async fn deletable_kinds(&self) -> Result<Vec<Resource>> {
        let attempt = "look up the kinds that the cluster serves";
        let (core, groups) = futures::future::try_join(
            self.aggregated("/api", attempt),
            self.aggregated("/apis", attempt),
        )
        .await?;
        if core.items.is_empty() {
            return self.deletable_kinds_one_by_one().await;
        }
        let mut found = Vec::new();
        for group in core.items.into_iter().chain(groups.items) {
            let name = group
                .metadata
                .and_then(|metadata| metadata.name)
                .unwrap_or_default();
            let Some(version) = group.versions.into_iter().next() else {
                continue;
            };
            let version_name = version.version.unwrap_or_default();
            let api_version = if name.is_empty() {
                version_name
            } else {
                format!("{name}/{version_name}")
            };
            for resource in version.resources {
                let (Some(plural), Some(kind)) = (
                    resource.resource,
                    resource.response_kind.and_then(|kind| kind.kind),
                ) else {
                    continue;
                };
                let namespaced = resource.scope.as_deref() == Some("Namespaced");
                if namespaced && is_deletable(&name, &kind, &resource.verbs) {
                    found.push(Resource {
                        api_version: api_version.clone(),
                        kind,
                        plural,
                        namespaced,
                    });
                }
            }
        }
        Ok(found)
    }

    async fn aggregated(&self, path: &str, attempt: &str) -> Result<APIGroupDiscoveryList> {
        let request = Request::get(path)
            .header(
                http::header::ACCEPT,
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                 application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
            )
            .body(Vec::new());
        self.send(request, attempt).await
    }

    /// For servers before 1.26: one request for each version of each group.
    async fn deletable_kinds_one_by_one(&self) -> Result<Vec<Resource>> {
        let attempt = "look up the kinds that the cluster serves";
        let groups = self
            .client
            .list_api_groups()
            .await
            .map_err(|cause| self.explain(attempt, &cause))?;
        let versions = groups
            .groups
            .into_iter()
            .filter_map(|group| {
                let preferred = group
                    .preferred_version
                    .or_else(|| group.versions.into_iter().next())?;
                Some(preferred.group_version)
            })
            .chain(["v1".to_owned()]);
        let lists = versions.map(async |api_version| {
            let root = if api_version.contains('/') {
                "/apis"
            } else {
                "/api"
            };
            let list: Option<APIResourceList> = self
                .get_opt(&format!("{root}/{api_version}"), attempt)
                .await?;
            Ok((api_version, list))
        });
        let mut found = Vec::new();
        let lists: Vec<Result<_>> = futures::future::join_all(lists).await;
        for list in lists {
            let (api_version, list) = list?;
            let group = split(&api_version).0.to_owned();
            for resource in list.into_iter().flat_map(|list| list.resources) {
                let subresource = resource.name.contains('/');
                if resource.namespaced
                    && !subresource
                    && is_deletable(&group, &resource.kind, &resource.verbs)
                {
                    found.push(Resource {
                        api_version: api_version.clone(),
                        kind: resource.kind,
                        plural: resource.name,
                        namespaced: true,
                    });
                }
            }
        }
        Ok(found)
    }
}

fn is_deletable(group: &str, kind: &str, verbs: &[String]) -> bool {
    let can = |verb: &str| verbs.iter().any(|known| known == verb);
    let view = matches!((group, kind), ("" | "events.k8s.io", "Event"));
    can("list") && can("delete") && !view
}

struct Row {
    group: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
}

const fn row(
    group: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
) -> Row {
    Row {
        group,
        versions,
        kind,
        plural,
        namespaced,
    }
}

/// Kinds that every cluster of a supported version (1.28 and later) serves. Versions that some of them do not serve are left out:
/// those are looked up.
const TABLE: &[Row] = &[
    row("", &["v1"], "ConfigMap", "configmaps", true),
    row("", &["v1"], "Endpoints", "endpoints", true),
    row("", &["v1"], "Event", "events", true),
    row("", &["v1"], "LimitRange", "limitranges", true),
    row("", &["v1"], "Namespace", "namespaces", false),
    row("", &["v1"], "Node", "nodes", false),
    row("", &["v1"], "PersistentVolume", "persistentvolumes", false),
    row(
        "",
        &["v1"],
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        true,
    ),
    row("", &["v1"], "Pod", "pods", true),
    row("", &["v1"], "PodTemplate", "podtemplates", true),
    row(
        "",
        &["v1"],
        "ReplicationController",
        "replicationcontrollers",
        true,
    ),
    row("", &["v1"], "ResourceQuota", "resourcequotas", true),
    row("", &["v1"], "Secret", "secrets", true),
    row("", &["v1"], "Service", "services", true),
    row("", &["v1"], "ServiceAccount", "serviceaccounts", true),
    row(
        "apps",
        &["v1"],
        "ControllerRevision",
        "controllerrevisions",
        true,
    ),
    row("apps", &["v1"], "DaemonSet", "daemonsets", true),
    row("apps", &["v1"], "Deployment", "deployments", true),
    row("apps", &["v1"], "ReplicaSet", "replicasets", true),
    row("apps", &["v1"], "StatefulSet", "statefulsets", true),
    row(
        "autoscaling",
        &["v1", "v2"],
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        true,
    ),
    row("batch", &["v1"], "CronJob", "cronjobs", true),
    row("batch", &["v1"], "Job", "jobs", true),
    row("coordination.k8s.io", &["v1"], "Lease", "leases", true),
    row(
        "discovery.k8s.io",
        &["v1"],
        "EndpointSlice",
        "endpointslices",
        true,
    ),
    row("networking.k8s.io", &["v1"], "Ingress", "ingresses", true),
    row(
        "networking.k8s.io",
        &["v1"],
        "IngressClass",
        "ingressclasses",
        false,
    ),
    row(
        "networking.k8s.io",
        &["v1"],
        "NetworkPolicy",
        "networkpolicies",
        true,
    ),
    row(
        "node.k8s.io",
        &["v1"],
        "RuntimeClass",
        "runtimeclasses",
        false,
    ),
    row(
        "policy",
        &["v1"],
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        true,
    ),
    row(
        "rbac.authorization.k8s.io",
        &["v1"],
        "ClusterRole",
        "clusterroles",
        false,
    ),
    row(
        "rbac.authorization.k8s.io",
        &["v1"],
        "ClusterRoleBinding",
        "clusterrolebindings",
        false,
    ),
    row("rbac.authorization.k8s.io", &["v1"], "Role", "roles", true),
    row(
        "rbac.authorization.k8s.io",
        &["v1"],
        "RoleBinding",
        "rolebindings",
        true,
    ),
    row(
        "scheduling.k8s.io",
        &["v1"],
        "PriorityClass",
        "priorityclasses",
        false,
    ),
    row("storage.k8s.io", &["v1"], "CSIDriver", "csidrivers", false),
    row(
        "storage.k8s.io",
        &["v1"],
        "StorageClass",
        "storageclasses",
        false,
    ),
    row(
        "apiextensions.k8s.io",
        &["v1"],
        "CustomResourceDefinition",
        "customresourcedefinitions",
        false,
    ),
    row(
        "apiregistration.k8s.io",
        &["v1"],
        "APIService",
        "apiservices",
        false,
    ),
    row(
        "admissionregistration.k8s.io",
        &["v1"],
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        false,
    ),
    row(
        "admissionregistration.k8s.io",
        &["v1"],
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        false,
    ),
];

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
        assert_eq!(Resource::builtin("apps/v1beta1", "Deployment"), None);
        assert_eq!(Resource::builtin("example.org/v1", "Deployment"), None);
    }
}

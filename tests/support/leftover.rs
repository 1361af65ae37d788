//! What is left in a namespace, of every kind that the cluster has.

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};

use super::cluster::Cluster;

/// Kinds that go by themselves: records of what was, and what is made for Services.
const PASSING: [&str; 3] = ["Event", "Lease", "Endpoints"];
/// What every namespace has.
const STANDARD: [(&str, &str); 2] = [
    ("ConfigMap", "kube-root-ca.crt"),
    ("ServiceAccount", "default"),
];

impl Cluster {
    /// Everything in a namespace that the cluster did not put there, as `Kind name`, the namespace too. What another
    /// object owns goes after it and is not counted.
    pub async fn left_over(&self, namespace: &str) -> Vec<String> {
        if !self.has_namespace(namespace).await {
            return Vec::new();
        }
        let mut left = vec![format!("Namespace {namespace}")];
        left.extend(self.objects_in(namespace).await);
        left
    }

    /// The same without the namespace.
    pub async fn objects_in(&self, namespace: &str) -> Vec<String> {
        let mut left = Vec::new();
        let discovery = Discovery::new(self.client.clone()).run().await.unwrap();
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                let listed = capabilities.scope == Scope::Namespaced
                    && capabilities.supports_operation(verbs::LIST)
                    && capabilities.supports_operation(verbs::DELETE);
                if !listed || PASSING.contains(&resource.kind.as_str()) {
                    continue;
                }
                let api = Api::<DynamicObject>::namespaced_with(
                    self.client.clone(),
                    namespace,
                    &resource,
                );
                for object in api.list(&ListParams::default()).await.unwrap() {
                    let name = object.metadata.name.unwrap_or_default();
                    let standard = STANDARD.contains(&(resource.kind.as_str(), name.as_str()));
                    if !standard && object.metadata.owner_references.is_none() {
                        left.push(format!("{} {name}", resource.kind));
                    }
                }
            }
        }
        left.sort();
        left
    }
}

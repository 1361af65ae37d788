//! A base that `dev` did not make: Deployments, Services and what they need, put there as somebody else would.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use super::cluster::{Cluster, Guard, image};

/// A Deployment that answers with this message, and its Service. `more` goes into the pod's `spec`.
pub fn service(name: &str, message: &str, more: Value) -> Vec<Value> {
    let labels = json!({"app": name});
    let mut pod = json!({
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": false,
        "containers": [{"name": "main", "image": image(), "command": ["/testbox", "serve", "-message", message],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1}}]});
    pod.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
            "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": labels,
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}}),
    ]
}

/// Text for a manifest file.
pub fn stream(objects: &[Value]) -> String {
    let documents: Vec<String> = objects.iter().map(ToString::to_string).collect();
    documents.join("\n---\n")
}

impl Cluster {
    /// Makes a namespace with these objects, and waits until its Deployments are available.
    pub async fn base(&self, namespace: &str, objects: &[Value]) -> Guard {
        let guard = self.namespace(namespace).await;
        self.put(namespace, objects).await;
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), namespace);
        for one in deployments.list(&ListParams::default()).await.unwrap() {
            let available = |found: Option<&Deployment>| {
                let status = found.and_then(|found| found.status.as_ref());
                status.is_some_and(|status| status.available_replicas.unwrap_or(0) > 0)
            };
            let name = one.metadata.name.unwrap();
            await_condition(deployments.clone(), &name, available)
                .await
                .unwrap();
        }
        guard
    }

    /// Applies objects as a manager that is not `dev`.
    pub async fn put(&self, namespace: &str, objects: &[Value]) {
        let params = PatchParams::apply("somebody");
        for object in objects {
            let name = object["metadata"]["name"].as_str().unwrap();
            let api = self.dynamic(namespace, object);
            api.patch(name, &params, &Patch::Apply(object))
                .await
                .unwrap();
        }
    }

    /// Deletes one, and waits until it is gone.
    pub async fn delete(&self, namespace: &str, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        let api = self.dynamic(namespace, object);
        api.delete(name, &DeleteParams::default()).await.unwrap();
        await_condition(api, name, |found: Option<&DynamicObject>| found.is_none())
            .await
            .unwrap();
    }

    fn dynamic(&self, namespace: &str, object: &Value) -> Api<DynamicObject> {
        let api_version = object["apiVersion"].as_str().unwrap();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap());
        Api::namespaced_with(
            self.client.clone(),
            namespace,
            &ApiResource::from_gvk(&kind),
        )
    }

    /// The versions of a base's objects that only a person or `dev` would change, by kind and name.
    pub async fn versions(&self, namespace: &str) -> BTreeMap<String, String> {
        let mut versions = BTreeMap::new();
        for (api_version, kind) in [
            ("v1", "Service"),
            ("v1", "ConfigMap"),
            ("v1", "Secret"),
            ("v1", "ServiceAccount"),
            ("v1", "PersistentVolumeClaim"),
            ("apps/v1", "Deployment"),
        ] {
            let sample = json!({"apiVersion": api_version, "kind": kind});
            let list = self
                .dynamic(namespace, &sample)
                .list(&ListParams::default())
                .await
                .unwrap();
            versions.extend(list.items.into_iter().map(|one| {
                let name = one.metadata.name.unwrap_or_default();
                (
                    format!("{kind} {name}"),
                    one.metadata.resource_version.unwrap_or_default(),
                )
            }));
        }
        versions
    }
}

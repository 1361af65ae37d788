//! The environments that are in a cluster.

use std::collections::BTreeMap;

use http::Request;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::request::{Failure, encode};
use crate::error::Result;
use crate::manifest::labels;

/// An environment that is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// The application.
    pub app: String,
    /// Its name.
    pub env: String,
    /// Its namespace.
    pub namespace: String,
    /// The namespace of its base, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When its namespace or inventory was made (RFC 3339).
    pub created: String,
    /// Its namespace is being deleted.
    pub terminating: bool,
}

/// The environments in the cluster, of one application or of all: by their namespaces, and by inventories in namespaces that others
/// made. Sorted by namespace.
pub async fn list_environments(cluster: &Cluster, app: Option<&str>) -> Result<Vec<Environment>> {
    let mut selector = format!("{}={},{}", labels::MANAGED_BY, labels::MANAGER, labels::ENV);
    if let Some(app) = app {
        selector.push_str(&format!(",{}={app}", labels::APP));
    }
    let selector = encode(&selector);
    let namespaces = format!("/api/v1/namespaces?labelSelector={selector}");
    let inventories = format!(
        "/api/v1/configmaps?labelSelector={selector}{}",
        encode(&format!(",{}=true", labels::INVENTORY))
    );
    let read = async |path: String| -> Result<Value, Failure> {
        let request = Request::get(path)
            .header(
                http::header::ACCEPT,
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
            )
            .body(Vec::new());
        cluster.try_send(request).await
    };
    let (namespaces, inventories) =
        futures::future::join(read(namespaces), read(inventories)).await;
    let mut found: BTreeMap<(String, String), Environment> = BTreeMap::new();
    match inventories {
        Ok(list) => collect(&list, "namespace", &mut found),
        // Few people may see all namespaces' ConfigMaps; what `dev` made itself is found all the same.
        Err(failure) if failure.is_forbidden() => {}
        Err(failure) => return Err(cluster.explain_failure("list inventories", &failure)),
    }
    match namespaces {
        Ok(list) => collect(&list, "name", &mut found),
        Err(failure) => return Err(cluster.explain_failure("list namespaces", &failure)),
    }
    Ok(found.into_values().collect())
}

fn collect(
    list: &Value,
    namespace_field: &str,
    found: &mut BTreeMap<(String, String), Environment>,
) {
    for item in list["items"].as_array().into_iter().flatten() {
        let metadata = &item["metadata"];
        let label = |key: &str| metadata["labels"][key].as_str().map(str::to_owned);
        let (Some(namespace), Some(env)) = (metadata[namespace_field].as_str(), label(labels::ENV))
        else {
            continue;
        };
        found.insert(
            (namespace.to_owned(), env.clone()),
            Environment {
                app: label(labels::APP).unwrap_or_default(),
                env,
                namespace: namespace.to_owned(),
                base: label(labels::BASE),
                owner: label(labels::OWNER),
                created: metadata["creationTimestamp"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                terminating: metadata.get("deletionTimestamp").is_some(),
            },
        );
    }
}

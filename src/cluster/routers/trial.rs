//! A pod that is shown to the API server and not made: Pod Security, limits, quotas and webhooks say what they think of it.

use http::Request;
use serde_json::Value;

use super::found::builtin;
use crate::cluster::Cluster;
use crate::error::Result;
use crate::manifest::labels;

/// Tries whether a namespace takes a pod. A person who may not make pods learns nothing, which is no failure: the
/// Deployment's controller may.
pub async fn try_pod(cluster: &Cluster, namespace: &str, pod: &Value) -> Result<()> {
    let path = format!(
        "{}?dryRun=All&fieldManager={}",
        builtin("v1", "Pod").collection(Some(namespace)),
        labels::MANAGER
    );
    let request = Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(pod.to_string().into_bytes());
    let Err(failure) = cluster.try_send::<Value>(request).await else {
        return Ok(());
    };
    let attempt = format!("run routers in {namespace} (tried without writing)");
    let error = cluster.explain_failure(&attempt, &failure);
    match error.reason_code() {
        Some("MissingRight") => Ok(()),
        _ => Err(error),
    }
}

//! Small writes to objects of an installation.

use http::Request;
use serde_json::{Value, json};

use super::found::builtin;
use crate::cluster::request::Failure;
use crate::cluster::{Cluster, Resource};
use crate::error::Result;
use crate::manifest::labels;

/// Says that the routers are taken away, or not any more. Nothing to be said where there is no ConfigMap.
pub async fn set_uninstall(cluster: &Cluster, base: &str, leaving: bool) -> Result<()> {
    let value = if leaving { json!("true") } else { Value::Null };
    let body = json!({"metadata": {"annotations": {(labels::UNINSTALL): value}}});
    let resource = builtin("v1", "ConfigMap");
    let path = format!(
        "{}?fieldManager={}",
        resource.object(Some(base), labels::ADMISSION),
        labels::MANAGER
    );
    let request = Request::patch(path)
        .header(http::header::CONTENT_TYPE, "application/merge-patch+json")
        .body(body.to_string().into_bytes());
    match cluster.try_send::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.is_not_found() => Ok(()),
        Err(failure) => {
            let attempt = format!("announce in {base} what becomes of the routers");
            Err(cluster.explain_failure(&attempt, &failure))
        }
    }
}

/// Sends a JSON Patch (RFC 6902). `Ok(false)`: one of its tests failed, or another write came first.
pub(super) async fn json_patch(
    cluster: &Cluster,
    resource: &Resource,
    base: &str,
    name: &str,
    patch: &[Value],
    manager: &str,
) -> Result<bool> {
    let path = format!(
        "{}?fieldManager={manager}",
        resource.object(Some(base), name)
    );
    let request = Request::patch(path)
        .header(http::header::CONTENT_TYPE, "application/json-patch+json")
        .body(json!(patch).to_string().into_bytes());
    match cluster.try_send::<Value>(request).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.is_conflict() || is_failed_test(&failure) => Ok(false),
        Err(failure) => {
            let attempt = format!("change {} {name} in {base}", resource.kind);
            Err(cluster.explain_failure(&attempt, &failure))
        }
    }
}

/// The API server tells a failed `test` as an invalid request; a rejected object names its fields instead.
fn is_failed_test(failure: &Failure) -> bool {
    match failure {
        Failure::Kube(kube::Error::Api(status)) => {
            status.code == 422 && status.message.contains("testing ")
        }
        Failure::Kube(_) | Failure::Late => false,
    }
}

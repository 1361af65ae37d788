//! Taking back that a Service is left alone after somebody else wrote to it.

use serde_json::{Value, json};

use super::found::builtin;
use super::patch::json_patch;
use crate::cluster::Cluster;
use crate::control::shadow;
use crate::error::{Error, Result};
use crate::manifest::labels;

/// What had been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub String);

/// Lets `control` route a Service again. `None`: it was not left alone.
pub async fn resume(cluster: &Cluster, base: &str, service: &str) -> Result<Option<Reason>> {
    let services = builtin("v1", "Service");
    let shadow = shadow::name(service);
    let path = services.object(Some(base), &shadow);
    let attempt = format!("read the Service {shadow} in {base}");
    let Some(found) = cluster.get_opt::<Value>(&path, &attempt).await? else {
        return Ok(None);
    };
    let Some(told) = found["metadata"]["annotations"][labels::STAND_DOWN].as_str() else {
        return Ok(None);
    };
    let pointer = format!(
        "/metadata/annotations/{}",
        labels::STAND_DOWN.replace('/', "~1")
    );
    let patch = [
        json!({"op": "test", "path": pointer, "value": told}),
        json!({"op": "remove", "path": pointer}),
    ];
    if !json_patch(cluster, &services, base, &shadow, &patch, labels::MANAGER).await? {
        return Err(Error::failed(format!(
            "the Service {shadow} in {base} was changed at the same moment"
        ))
        .reason("Conflict")
        .hint("run the command again"));
    }
    let reason = serde_json::from_str::<Value>(told)
        .ok()
        .and_then(|told| told["reason"].as_str().map(str::to_owned));
    Ok(Some(Reason(reason.unwrap_or_else(|| told.to_owned()))))
}

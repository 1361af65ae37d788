//! From a step to a request.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::write::{Path, Written};
use crate::control::decide::{Act, Change, Step};
use crate::control::shadow;
use crate::control::{CONTROL, ROUTER, lease};
use crate::error::Error;
use k8s_openapi::api::core::v1::Service;

/// How a step is called.
pub(super) fn name(step: &Step) -> &'static str {
    match step {
        Step::CreateShadow(_) => "create the shadow",
        Step::UpdateShadow(_) => "update the shadow",
        Step::DeleteShadow => "delete the shadow",
        Step::Patch(Change::Switch, _) => "switch to the routers",
        Step::Patch(Change::Restore, _) => "restore",
        Step::Patch(Change::Repair, _) => "put the owner's state back",
        Step::Patch(Change::Unmark, _) => "remove the annotation",
        Step::Patch(Change::GiveBack, _) => "give fields back",
        Step::LabelRouters(_) => "label the routers",
    }
}

/// Carries a step out, within the time that a write may take. `shadow`: as it was observed.
pub(super) fn carry_out(
    cluster: Cluster,
    base: &str,
    act: &Act,
    shadow: Option<&Service>,
) -> impl Future<Output = Written> + Send + use<> {
    let services = Path::namespaced("/api/v1", base, "services");
    let deployments = Path::namespaced("/apis/apps/v1", base, "deployments");
    let service = act.service.clone();
    let shadow_name = shadow::name(&service);
    let uid = shadow
        .and_then(|shadow| shadow.metadata.uid.clone())
        .unwrap_or_default();
    let version = shadow.and_then(|shadow| shadow.metadata.resource_version.clone());
    let step = act.step.clone();
    let what = name(&step);
    async move {
        let write = async {
            match step {
                Step::CreateShadow(wanted) => {
                    cluster
                        .create_at(&services, CONTROL, &wanted.object())
                        .await
                }
                Step::UpdateShadow(wanted) => {
                    let patch = update(&wanted.object(), version.as_deref());
                    cluster
                        .json_patch_at(&services, &shadow_name, CONTROL, &patch)
                        .await
                }
                Step::DeleteShadow => cluster.delete_at(&services, &shadow_name, &uid).await,
                Step::Patch(_, patch) => {
                    cluster
                        .json_patch_at(&services, &service, CONTROL, &patch)
                        .await
                }
                Step::LabelRouters(labels) => {
                    let patch = json!({"spec": {"template": {"metadata": {"labels": labels}}}});
                    cluster
                        .merge_patch_at(&deployments, ROUTER, CONTROL, &patch)
                        .await
                }
            }
        };
        match tokio::time::timeout(lease::WRITE, write).await {
            Ok(written) => written,
            Err(_) => Written::Failed(
                Error::cluster(format!(
                    "cannot {what}: no answer within {} s",
                    lease::WRITE.as_secs()
                ))
                .reason("NoAnswer"),
            ),
        }
    }
}

/// Makes a shadow, which is nobody else's, wholly so.
fn update(object: &Value, version: Option<&str>) -> Vec<Value> {
    let mut patch = vec![
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}),
        json!({"op": "add", "path": "/metadata/annotations", "value": object["metadata"]["annotations"]}),
    ];
    for field in ["selector", "ports", "publishNotReadyAddresses"] {
        // `null` is what the API server leaves out.
        let value = &object["spec"][field];
        patch.push(json!({"op": "add", "path": format!("/spec/{field}"), "value": value}));
    }
    patch
}

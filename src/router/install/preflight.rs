//! What would keep the routers from working, seen before anything is written.

use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::manifest::Manifest;

/// What is in the way in a namespace: a service mesh sends requests to pods itself, past the Service that the routers stand
/// behind, and would put its own proxy before Envoy.
pub fn obstacles(base: &str, namespace: &Value) -> Option<Error> {
    let metadata = &namespace["metadata"];
    let has = |map: &str, key: &str| metadata[map].get(key).and_then(Value::as_str);
    let mesh = if has("labels", "istio-injection") == Some("enabled")
        || has("labels", "istio.io/rev").is_some()
        || has("labels", "istio.io/dataplane-mode").is_some_and(|mode| mode != "none")
    {
        "Istio"
    } else if has("annotations", "linkerd.io/inject").is_some_and(|mode| mode != "disabled") {
        "Linkerd"
    } else {
        return None;
    };
    Some(
        Error::failed(format!(
            "the namespace {base} is part of the service mesh {mesh}, which chooses pods itself: routers behind its Services would be passed by"
        ))
        .reason("ServiceMesh")
        .hint("environments of every service need no routers: `dev up --full`"),
    )
}

/// A pod as the Deployment would make it, to be tried by the API server without being made: Pod Security, limits and quotas are
/// then known. The account is left out, because it is not there before the first installation.
pub fn trial_pod(deployment: &Manifest) -> Value {
    let template = &deployment.value["spec"]["template"];
    let mut spec = template["spec"].clone();
    if let Value::Object(spec) = &mut spec {
        spec.shift_remove("serviceAccountName");
        spec.insert(
            "automountServiceAccountToken".to_owned(),
            Value::from(false),
        );
    }
    let labels = template["metadata"]["labels"].clone();
    let labels = if labels.is_object() {
        labels
    } else {
        Value::Object(Map::new())
    };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": format!("{}-", deployment.name()), "labels": labels},
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::install::{Options, ROUTER, manifests, router_labels};

    #[test]
    fn meshes_are_seen_and_namespaces_that_opt_out_are_not() {
        for (metadata, expected) in [
            (
                json!({"labels": {"istio-injection": "enabled"}}),
                Some("Istio"),
            ),
            (json!({"labels": {"istio-injection": "disabled"}}), None),
            (
                json!({"labels": {"istio.io/dataplane-mode": "ambient"}}),
                Some("Istio"),
            ),
            (json!({"labels": {"istio.io/dataplane-mode": "none"}}), None),
            (
                json!({"annotations": {"linkerd.io/inject": "enabled"}}),
                Some("Linkerd"),
            ),
            (json!({"name": "shop"}), None),
        ] {
            let error = obstacles("shop", &json!({ "metadata": metadata }));
            match expected {
                None => assert_eq!(error, None, "{metadata}"),
                Some(mesh) => assert!(error.unwrap().message().contains(mesh), "{metadata}"),
            }
        }
    }

    #[test]
    fn the_trial_is_the_pod_of_the_deployment_without_its_account() {
        let labels = router_labels(&[], None);
        let objects = manifests("shop", "a/b:1", &Options::default(), &labels).unwrap();
        let deployment = objects
            .iter()
            .find(|object| object.kind() == "Deployment" && object.name() == ROUTER)
            .unwrap();
        let pod = trial_pod(deployment);
        assert_eq!(pod["kind"], "Pod");
        assert_eq!(pod["metadata"]["labels"]["app"], ROUTER);
        assert_eq!(pod["spec"]["containers"][0]["image"], "a/b:1");
        assert!(pod["spec"].get("serviceAccountName").is_none());
    }
}

//! Fields that the API server never changes on an object that exists.
//! Source: the `Validate…Update` functions of `k8s.io/kubernetes/pkg/apis` (1.35).

use serde_json::Value;

use crate::plan::FieldChange;

/// What is lost when an object of this kind is deleted and made anew; `None`: nothing that is not made again.
pub(super) fn lost_by_recreation(kind: &str) -> Option<&'static str> {
    match kind {
        "PersistentVolumeClaim" => Some("the data on its volume"),
        "PersistentVolume" => Some("its binding to a claim"),
        "Namespace" => Some("everything in it"),
        "CustomResourceDefinition" => Some("every object of the kind it defines"),
        _ => None,
    }
}

/// The first of these changes that the server would refuse.
pub(super) fn refused<'a>(
    api_version: &str,
    kind: &str,
    live: &Value,
    changes: &'a [FieldChange],
) -> Option<&'a FieldChange> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if group.is_empty() && kind == "Service" && turns_external(changes) {
        return None;
    }
    changes
        .iter()
        .find(|change| is_immutable(group, kind, live, &change.path))
}

/// A Service that becomes one of type ExternalName, or ceases to be one, has no address to keep.
fn turns_external(changes: &[FieldChange]) -> bool {
    let external =
        |value: &Option<Value>| value.as_ref().is_some_and(|value| value == "ExternalName");
    changes.iter().any(|change| {
        change.path == "spec.type" && (external(&change.from) || external(&change.to))
    })
}

fn is_immutable(group: &str, kind: &str, live: &Value, path: &str) -> bool {
    let under = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let any = |prefixes: &[&str]| prefixes.iter().any(|prefix| under(prefix));
    match (group, kind) {
        ("apps", "Deployment" | "DaemonSet" | "ReplicaSet") => under("spec.selector"),
        ("apps", "StatefulSet") => {
            under("spec")
                && !any(&[
                    "spec.replicas",
                    "spec.ordinals",
                    "spec.template",
                    "spec.updateStrategy",
                    "spec.revisionHistoryLimit",
                    "spec.persistentVolumeClaimRetentionPolicy",
                    "spec.minReadySeconds",
                ])
        }
        ("batch", "Job") => any(&[
            "spec.template",
            "spec.selector",
            "spec.completions",
            "spec.completionMode",
            "spec.podFailurePolicy",
            "spec.successPolicy",
            "spec.backoffLimitPerIndex",
            "spec.manualSelector",
            "spec.managedBy",
            "spec.podReplacementPolicy",
        ]),
        ("", "Service") => any(&["spec.clusterIP", "spec.loadBalancerClass"]),
        ("", "PersistentVolumeClaim") => {
            under("spec") && !any(&["spec.resources", "spec.volumeAttributesClassName"])
        }
        ("", "Secret") => {
            any(&["type"]) || frozen(live) && any(&["data", "stringData", "immutable"])
        }
        ("", "ConfigMap") => frozen(live) && any(&["data", "binaryData", "immutable"]),
        ("", "Pod") => {
            under("spec")
                && !any(&[
                    "spec.activeDeadlineSeconds",
                    "spec.terminationGracePeriodSeconds",
                    "spec.tolerations",
                ])
                && !path.ends_with(".image")
        }
        ("", "ResourceQuota") => any(&["spec.scopes", "spec.scopeSelector"]),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => under("roleRef"),
        ("storage.k8s.io", "StorageClass") => any(&[
            "provisioner",
            "parameters",
            "reclaimPolicy",
            "volumeBindingMode",
        ]),
        ("scheduling.k8s.io", "PriorityClass") => any(&["value", "preemptionPolicy"]),
        ("node.k8s.io", "RuntimeClass") => under("handler"),
        ("networking.k8s.io", "IngressClass") => under("spec.controller"),
        ("discovery.k8s.io", "EndpointSlice") => under("addressType"),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => any(&[
            "spec.group",
            "spec.scope",
            "spec.names.plural",
            "spec.names.kind",
        ]),
        _ => false,
    }
}

fn frozen(live: &Value) -> bool {
    live.get("immutable").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is_refused(api_version: &str, kind: &str, live: &Value, path: &str) -> bool {
        let change = FieldChange {
            path: path.into(),
            from: None,
            to: None,
        };
        refused(api_version, kind, live, &[change]).is_some()
    }

    #[test]
    fn the_table_knows_what_the_server_refuses() {
        let live = json!({});
        for (api_version, kind, path, expected) in [
            (
                "apps/v1",
                "Deployment",
                "spec.selector.matchLabels.app",
                true,
            ),
            ("apps/v1", "Deployment", "spec.selectorX", false),
            (
                "apps/v1",
                "Deployment",
                "spec.template.spec.containers[name=a].image",
                false,
            ),
            ("apps/v1", "StatefulSet", "spec.serviceName", true),
            (
                "apps/v1",
                "StatefulSet",
                "spec.volumeClaimTemplates[0].spec",
                true,
            ),
            ("apps/v1", "StatefulSet", "spec.replicas", false),
            (
                "batch/v1",
                "Job",
                "spec.template.spec.containers[name=a].image",
                true,
            ),
            ("batch/v1", "Job", "spec.backoffLimit", false),
            ("v1", "Service", "spec.clusterIP", true),
            (
                "v1",
                "Service",
                "spec.ports[port=80,protocol=TCP].name",
                false,
            ),
            ("v1", "PersistentVolumeClaim", "spec.accessModes", true),
            (
                "v1",
                "PersistentVolumeClaim",
                "spec.resources.requests.storage",
                false,
            ),
            ("v1", "ConfigMap", "data.a", false),
            ("v1", "Pod", "spec.containers[name=a].image", false),
            (
                "v1",
                "Pod",
                "spec.containers[name=a].env[name=X].value",
                true,
            ),
            (
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
                "roleRef.name",
                true,
            ),
            ("example.org/v1", "Job", "spec.template", false),
        ] {
            assert_eq!(
                is_refused(api_version, kind, &live, path),
                expected,
                "{kind} {path}"
            );
        }
        assert!(is_refused(
            "v1",
            "ConfigMap",
            &json!({"immutable": true}),
            "data.a"
        ));
    }

    #[test]
    fn a_service_without_an_address_may_get_one() {
        let change = |path: &str, from: Value, to: Value| FieldChange {
            path: path.into(),
            from: Some(from),
            to: Some(to),
        };
        let address = change("spec.clusterIP", json!("10.0.0.1"), json!("None"));
        let refused =
            |changes: &[FieldChange]| refused("v1", "Service", &json!({}), changes).is_some();
        assert!(refused(std::slice::from_ref(&address)));
        let kind = change("spec.type", json!("ExternalName"), json!("ClusterIP"));
        assert!(!refused(&[address, kind]));
    }
}

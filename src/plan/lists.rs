//! How lists of Kubernetes objects are compared: by keys, as sets, or by position.
//!
//! Where the server has recorded which fields `dev` owns, that record says it exactly, for custom resources as well (`record.rs`);
//! the table is for objects without one. Its source: `x-kubernetes-list-map-keys` and `x-kubernetes-patch-merge-key` in
//! Kubernetes' OpenAPI document.

use serde_json::Value;

/// How the items of a list correspond to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListType {
    /// By these fields; the server may add items.
    Map(Vec<String>),
    /// By value; the server may add items.
    Set,
    /// By position; the length counts.
    Atomic,
}

/// The type of the list at a field of an object of a built-in kind.
pub(super) fn by_table(kind: &str, parent: &str, field: &str) -> ListType {
    let keys: &[&str] = match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "resourceClaims"
        | "claims"
        | "webhooks"
        | "schedulingGates"
        | "validations" => &["name"],
        "secrets" if kind == "ServiceAccount" => &["name"],
        "ports" if kind == "Service" => &["port", "protocol"],
        "ports" if parent == "containers" || parent == "initContainers" => {
            &["containerPort", "protocol"]
        }
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        "hostAliases" => &["ip"],
        "conditions" => &["type"],
        "ownerReferences" => &["uid"],
        "finalizers" => return ListType::Set,
        // Admission adds tolerations to bare pods.
        "tolerations" if kind == "Pod" => return ListType::Set,
        _ => return ListType::Atomic,
    };
    ListType::Map(keys.iter().map(|key| (*key).to_owned()).collect())
}

/// Whether two items of a list have the same keys. A key that one of them leaves out is taken to be the server's default.
pub(super) fn same_item(keys: &[String], a: &Value, b: &Value) -> bool {
    keys.iter().all(|key| {
        let a = a.get(key).filter(|value| !value.is_null());
        let b = b.get(key).filter(|value| !value.is_null());
        match (a, b) {
            (Some(a), Some(b)) => a == b,
            (None, None) => true,
            (Some(given), None) | (None, Some(given)) => {
                default_of(key).is_some_and(|d| given == d)
            }
        }
    })
}

/// What the server takes for a missing key of a list item.
fn default_of(key: &str) -> Option<&'static str> {
    (key == "protocol").then_some("TCP")
}

//! How lists of Kubernetes objects are compared: by keys, as sets, or by position.
//!
//! Where the server has recorded which fields `dev` owns (`fieldsV1`), that record says it exactly, for custom resources as well;
//! the table is for objects without a record. Its source: `x-kubernetes-list-map-keys` and `x-kubernetes-patch-merge-key` in
//! Kubernetes' OpenAPI document.

use serde_json::{Map, Value};

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

/// The type of a list by the record of the fields that `dev` owns in it. `None` where the record does not tell.
pub(super) fn by_record(owned: Option<&Value>) -> Option<ListType> {
    let owned = owned?.as_object()?;
    let first = owned.keys().find(|key| *key != ".")?;
    if let Some(keys) = first.strip_prefix("k:") {
        let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
        return Some(ListType::Map(keys.keys().cloned().collect()));
    }
    first.starts_with("v:").then_some(ListType::Set)
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

/// The record of the item with these keys.
pub(super) fn owned_item<'a>(
    owned: Option<&'a Value>,
    keys: &[String],
    item: &Value,
) -> Option<&'a Value> {
    owned?.as_object()?.iter().find_map(|(name, record)| {
        let recorded: Value = serde_json::from_str(name.strip_prefix("k:")?).ok()?;
        same_item(keys, &recorded, item).then_some(record)
    })
}

/// The keys of every item that `dev` owns in a list.
pub(super) fn owned_keys(owned: Option<&Value>) -> Vec<Value> {
    owned
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
        .filter_map(|name| serde_json::from_str(name.strip_prefix("k:")?).ok())
        .collect()
}

/// The values that `dev` owns in a set.
pub(super) fn owned_values(owned: Option<&Value>) -> Vec<Value> {
    owned
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
        .filter_map(|name| serde_json::from_str(name.strip_prefix("v:")?).ok())
        .collect()
}

/// What the server takes for a missing key of a list item.
fn default_of(key: &str) -> Option<&'static str> {
    (key == "protocol").then_some("TCP")
}

//! From a manifest to the object that is sent: namespace, labels, and the hash that says what was applied.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::manifest::labels::{self, Stamp};
use crate::manifest::{Manifest, ObjectKey};
use crate::plan::Served;

/// An object ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Its key, with the namespace it will live in.
    pub key: ObjectKey,
    /// The service it belongs to.
    pub service: String,
    /// What is sent.
    pub value: Value,
    /// The hash in the annotation [`labels::APPLIED`].
    pub hash: String,
}

/// Fields that the server writes: sent back they would be refused, or claimed for no reason.
const SERVER_METADATA: [&str; 6] = [
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
];

/// Makes of a manifest what is sent: the namespace is filled in, the stamp's labels are added, `stringData` becomes `data`, and the
/// hash of all of it is put into an annotation. Fails for an object that names another namespace.
pub fn prepare(
    manifest: &Manifest,
    stamp: &Stamp,
    namespace: &str,
    served: Option<&Served>,
) -> Result<Prepared> {
    let mut manifest = manifest.clone();
    let service = manifest.origin.service.clone();
    let namespaced = served.is_none_or(|served| served.namespaced);
    let wrong = manifest
        .meta("namespace")
        .filter(|named| namespaced && *named != namespace)
        .map(str::to_owned);
    if let Some(named) = wrong {
        let error = Error::usage(format!(
            "{} names the namespace \"{named}\", but is applied to \"{namespace}\"",
            manifest.key()
        ))
        .reason("OtherNamespace")
        .hint("leave metadata.namespace out");
        return Err(match manifest.origin.place.clone() {
            Some(place) => error.at(place),
            None => error,
        });
    }

    let metadata = manifest.metadata_mut();
    for field in SERVER_METADATA {
        metadata.shift_remove(field);
    }
    if namespaced {
        metadata.insert("namespace".to_owned(), Value::from(namespace));
    } else {
        metadata.shift_remove("namespace");
    }
    for (label, value) in stamp.labels(&service) {
        manifest.set_label(label, value);
    }
    if let Value::Object(object) = &mut manifest.value {
        object.shift_remove("status");
    }
    if manifest.kind() == "Secret" && manifest.api_version() == "v1" {
        encode_string_data(&mut manifest.value);
    }
    if let Some(Value::Object(annotations)) = manifest.metadata_mut().get_mut("annotations") {
        annotations.shift_remove(labels::APPLIED);
    }
    let hash = hash(&manifest.value);
    manifest.set_annotation(labels::APPLIED, &hash);
    Ok(Prepared {
        key: manifest.key(),
        service,
        value: manifest.value,
        hash,
    })
}

/// The server keeps only `data`; `stringData` is a form of writing it, and wins where both name a key.
fn encode_string_data(secret: &mut Value) {
    use base64::Engine as _;
    let Value::Object(object) = secret else {
        return;
    };
    let Some(Value::Object(text)) = object.shift_remove("stringData") else {
        return;
    };
    let data = object.entry("data").or_insert(Value::Null);
    let data = crate::manifest::as_map(data);
    for (key, value) in text {
        let encoded = match value {
            Value::String(text) => {
                Value::from(base64::engine::general_purpose::STANDARD.encode(text))
            }
            // Left as it is: the server names the wrong type.
            other => other,
        };
        data.insert(key, encoded);
    }
}

/// 128 bits of SHA-256 over the object with sorted keys, in hexadecimal.
fn hash(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, value);
    let digest = hasher.finalize();
    digest
        .iter()
        .take(16)
        .fold(String::new(), |mut text, byte| {
            use std::fmt::Write as _;
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

/// Canonical JSON: keys sorted, so that the order in a file does not matter.
fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            hasher.update(b"{");
            for (key, value) in sorted(map) {
                hasher.update(Value::from(key.as_str()).to_string());
                hasher.update(b":");
                feed(hasher, value);
                hasher.update(b",");
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                feed(hasher, item);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            hasher.update(value.to_string());
        }
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::Origin;

    fn stamp() -> Stamp {
        Stamp {
            app: "shop".into(),
            env: "a".into(),
            base: None,
            version: "a".into(),
        }
    }

    fn manifest(value: Value) -> Manifest {
        let origin = Origin {
            service: "web".into(),
            place: None,
        };
        Manifest { value, origin }
    }

    fn prepared(value: Value) -> Prepared {
        prepare(&manifest(value), &stamp(), "shop-a", None).unwrap()
    }

    #[test]
    fn the_order_of_keys_does_not_change_the_hash() {
        let a = prepared(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1", "b": "2"}}),
        );
        let b = prepared(
            json!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"b": "2", "a": "1"}, "metadata": {"name": "x"}}),
        );
        let c = prepared(
            json!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"b": "2", "a": "3"}, "metadata": {"name": "x"}}),
        );
        assert_eq!(a.hash, b.hash);
        assert_ne!(a.hash, c.hash);
        assert_eq!(a.value["metadata"]["annotations"][labels::APPLIED], a.hash);
    }

    #[test]
    fn an_object_that_was_prepared_before_gets_the_same_hash() {
        let first = prepared(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "annotations": {}}}),
        );
        assert_eq!(prepared(first.value.clone()), first);
    }

    #[test]
    fn string_data_is_what_the_server_would_keep() {
        let secret = prepared(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"},
            "data": {"a": "b2xk", "b": "a2VwdA=="}, "stringData": {"a": "new"}}),
        );
        assert_eq!(secret.value["data"], json!({"a": "bmV3", "b": "a2VwdA=="}));
        assert!(secret.value.get("stringData").is_none());
    }

    #[test]
    fn another_namespace_is_refused_and_a_cluster_scoped_object_has_none() {
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "prod"}});
        let error = prepare(&manifest(other), &stamp(), "shop-a", None).unwrap_err();
        assert_eq!(error.reason_code(), Some("OtherNamespace"));

        let served = Served {
            plural: "clusterroles".into(),
            namespaced: false,
        };
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "x"}});
        let role = prepare(&manifest(role), &stamp(), "shop-a", Some(&served)).unwrap();
        assert_eq!(role.key.namespace, None);
    }
}

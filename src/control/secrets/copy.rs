//! PURE: the copy of a Secret, and the requests by which it is kept as the base's is. Nobody else's Secret is ever changed: each
//! patch tests first whose it is, so that no right to read Secrets of environments is needed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::wishes::Place;
use crate::manifest::labels;

/// Types that are bound to something in the base, or are the keys of the cluster itself.
const NEVER: [&str; 2] = [
    "kubernetes.io/service-account-token",
    "bootstrap.kubernetes.io/token",
];

/// The path of the annotation that says whose it is, in a JSON Patch.
const WHOSE: &str = "/metadata/annotations/dev~1shared-from";

/// The copy of this Secret of the base. The error: why it is not given, one sentence.
pub fn copy(
    base: &str,
    place: &Place,
    source: &Value,
    owners: &BTreeMap<String, String>,
) -> Result<Value, String> {
    let kind = source["type"].as_str().unwrap_or("Opaque");
    if NEVER.contains(&kind) {
        return Err(format!("a Secret of type {kind} is never given"));
    }
    let owners: Vec<Value> = owners
        .iter()
        .map(|(uid, name)| json!({"apiVersion": "v1", "kind": "Service", "name": name, "uid": uid}))
        .collect();
    let data = match &source["data"] {
        Value::Object(data) => json!(data),
        _ => json!({}),
    };
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": place.name,
            "namespace": place.namespace,
            "labels": {labels::MANAGED_BY: labels::MANAGER, labels::BASE: base},
            "annotations": {labels::SHARED_FROM: whose(base, place)},
            "ownerReferences": owners,
        },
        "type": kind,
        "data": data,
    }))
}

/// Tells a copy from another one, without telling what is in it.
pub fn fingerprint(copy: &Value) -> String {
    let digest = Sha256::digest(copy.to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a copy that is there already like this one.
pub fn replace(base: &str, place: &Place, copy: &Value) -> Vec<Value> {
    vec![
        test(base, place),
        // It cannot be changed.
        json!({"op": "test", "path": "/type", "value": copy["type"]}),
        json!({"op": "add", "path": "/data", "value": copy["data"]}),
        json!({"op": "add", "path": "/metadata/ownerReferences", "value": copy["metadata"]["ownerReferences"]}),
    ]
}

/// Changes nothing; answered with the object if it is a copy.
pub fn ask(base: &str, place: &Place) -> Vec<Value> {
    vec![test(base, place)]
}

fn test(base: &str, place: &Place) -> Value {
    json!({"op": "test", "path": WHOSE, "value": whose(base, place)})
}

fn whose(base: &str, place: &Place) -> String {
    format!("{base}/{}", place.name)
}

/// Whether a Secret is a copy that was given by this base.
pub fn is_given(base: &str, secret: &Value) -> bool {
    let whose = secret["metadata"]["annotations"][labels::SHARED_FROM].as_str();
    let name = secret["metadata"]["name"].as_str().unwrap_or_default();
    whose.and_then(|whose| whose.split_once('/')) == Some((base, name))
}

/// The merge patch of the record that adds a place.
pub fn record(place: &Place) -> Value {
    json!({"data": {key(place): "given"}})
}

/// The merge patch of the record that takes a place out.
pub fn unrecord(place: &Place) -> Value {
    json!({"data": {key(place): null}})
}

fn key(place: &Place) -> String {
    format!("{}.{}", place.namespace, place.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            namespace: "shop-ann".into(),
            name: "db".into(),
        }
    }

    #[test]
    fn a_copy_has_the_content_and_nothing_else_of_the_bases() {
        let source = json!({"type": "kubernetes.io/tls", "data": {"tls.key": "eA=="}, "immutable": true,
            "metadata": {"name": "db", "uid": "1", "labels": {"app": "x"}, "annotations": {"secret": "x"}}});
        let owners = BTreeMap::from([("7".to_owned(), "web".to_owned())]);
        let made = copy("shop", &place(), &source, &owners).unwrap();
        assert_eq!(
            made,
            json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": {"tls.key": "eA=="},
                "metadata": {"name": "db", "namespace": "shop-ann",
                    "labels": {"app.kubernetes.io/managed-by": "dev", "dev/base": "shop"},
                    "annotations": {"dev/shared-from": "shop/db"},
                    "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "7"}]}})
        );
        assert!(is_given("shop", &made) && !is_given("other", &made));
        assert!(!is_given("shop", &source));
        let none = copy("shop", &place(), &json!({}), &owners).unwrap();
        assert_eq!(
            (&none["type"], &none["data"]),
            (&json!("Opaque"), &json!({}))
        );
        assert_ne!(fingerprint(&made), fingerprint(&none));
        for never in NEVER {
            assert!(copy("shop", &place(), &json!({"type": never}), &owners).is_err());
        }
    }

    #[test]
    fn no_patch_goes_without_asking_whose_it_is() {
        let made = copy("shop", &place(), &json!({}), &BTreeMap::new()).unwrap();
        for patch in [replace("shop", &place(), &made), ask("shop", &place())] {
            assert_eq!(
                patch[0],
                json!({"op": "test", "path": "/metadata/annotations/dev~1shared-from", "value": "shop/db"})
            );
        }
        assert_eq!(record(&place()), json!({"data": {"shop-ann.db": "given"}}));
        assert_eq!(unrecord(&place()), json!({"data": {"shop-ann.db": null}}));
    }
}

//! The record of what an environment owns, kept in a ConfigMap of its namespace.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::manifest::ObjectKey;
use crate::manifest::labels::{self, Stamp};
use crate::manifest::names;
use crate::plan::{ClaimTemplate, Id};

/// The key of the record in the ConfigMap's data.
const DATA: &str = "objects";
/// The key of the claim templates.
const CLAIMS: &str = "claims";

/// One object that the environment owns, or is about to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The object.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// The service it belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
}

/// Everything that the environment owns, or is about to make. No object is listed twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    entries: BTreeMap<Id, Entry>,
    /// Of every StatefulSet that was ever applied: its claims stay when it goes.
    claims: BTreeSet<ClaimTemplate>,
}

impl Inventory {
    /// Adds an object; one that is listed already takes the new entry's version and service.
    pub fn insert(&mut self, key: ObjectKey, service: impl Into<String>) {
        let service = service.into();
        self.entries.insert(Id::from(&key), Entry { key, service });
    }

    /// Adds claim templates.
    pub fn insert_claims(&mut self, claims: BTreeSet<ClaimTemplate>) {
        self.claims.extend(claims);
    }

    /// The templates of claims that the environment's StatefulSets made, and make.
    pub fn claims(&self) -> &BTreeSet<ClaimTemplate> {
        &self.claims
    }

    /// Takes an object out.
    pub fn remove(&mut self, id: &Id) {
        self.entries.remove(id);
    }

    /// Whether the object is listed.
    pub fn contains(&self, id: &Id) -> bool {
        self.entries.contains_key(id)
    }

    /// The entries, in a stable order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// How many objects are listed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is listed here or there; entries of `other` win.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut entries = self.entries.clone();
        entries.extend(
            other
                .entries
                .iter()
                .map(|(id, entry)| (id.clone(), entry.clone())),
        );
        let claims = self.claims.union(&other.claims).cloned().collect();
        Self { entries, claims }
    }

    /// Reads the record from its ConfigMap.
    ///
    /// # Errors
    /// `BrokenInventory` where it is not what `dev` writes. It is never taken for an empty one.
    pub fn from_config_map(config_map: &Value) -> Result<Self> {
        let name = config_map["metadata"]["name"].as_str().unwrap_or_default();
        let entries: Vec<Entry> = list(config_map, DATA).map_err(|error| broken(name, &error))?;
        let claims: Vec<ClaimTemplate> =
            list(config_map, CLAIMS).map_err(|error| broken(name, &error))?;
        let mut inventory = Self::default();
        for entry in entries {
            check(&entry.key).map_err(|problem| broken(name, &problem))?;
            // `dev` records no Namespace: an entry that names one was written by somebody else, and everything in that namespace
            // would go.
            if entry.key.kind != "Namespace" {
                inventory.insert(entry.key, entry.service);
            }
        }
        inventory.insert_claims(claims.into_iter().collect());
        Ok(inventory)
    }

    /// The ConfigMap that holds this record.
    pub fn to_config_map(&self, stamp: &Stamp, namespace: &str) -> Value {
        let mut labels = serde_json::Map::new();
        labels.insert(labels::MANAGED_BY.to_owned(), Value::from(labels::MANAGER));
        labels.insert(labels::APP.to_owned(), Value::from(stamp.app.as_str()));
        labels.insert(labels::ENV.to_owned(), Value::from(stamp.env.as_str()));
        labels.insert(labels::INVENTORY.to_owned(), Value::from("true"));
        if let Some(base) = &stamp.base {
            labels.insert(labels::BASE.to_owned(), Value::from(base.as_str()));
        }
        let entries: Vec<&Entry> = self.entries.values().collect();
        let text = serde_json::to_string(&entries).expect("keys are plain strings");
        let mut data = serde_json::Map::new();
        data.insert(DATA.to_owned(), Value::from(text));
        if !self.claims.is_empty() {
            let text = serde_json::to_string(&self.claims).expect("names are plain strings");
            data.insert(CLAIMS.to_owned(), Value::from(text));
        }
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": labels::inventory_name(&stamp.env), "namespace": namespace, "labels": labels},
            "data": data,
        })
    }
}

/// The list under a key of the ConfigMap's data; empty where there is none.
fn list<T: DeserializeOwned>(config_map: &Value, key: &str) -> Result<Vec<T>, String> {
    match config_map.get("data").and_then(|data| data.get(key)) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|cause| format!("{key}: {cause}"))
        }
        Some(_) => Err(format!("{key}: it is no text")),
    }
}

/// What an entry names becomes part of a path of the API: nothing may lead elsewhere.
fn check(key: &ObjectKey) -> Result<(), String> {
    let legal = names::is_api_version(&key.api_version)
        && names::is_kind(&key.kind)
        && names::is_path_part(&key.name)
        && key.namespace.as_deref().is_none_or(names::is_label);
    legal
        .then_some(())
        .ok_or_else(|| format!("{DATA}: {} {key} is no object", key.api_version))
}

fn broken(name: &str, problem: &str) -> Error {
    Error::failed(format!("the ConfigMap {name} does not hold a list of objects"))
        .reason("BrokenInventory")
        .cause(problem)
        .hint("it was changed by hand: restore it, or delete it (objects in the namespace are then found by their labels)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(api_version: &str, kind: &str, name: &str) -> ObjectKey {
        ObjectKey {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some("shop-a".into()),
            name: name.into(),
        }
    }

    #[test]
    fn it_is_read_back_as_it_was_written() {
        let mut inventory = Inventory::default();
        inventory.insert(key("apps/v1", "Deployment", "web"), "web");
        inventory.insert(key("v1", "Service", "web"), "web");
        inventory.insert_claims(BTreeSet::from([ClaimTemplate {
            template: "data".into(),
            set: "web".into(),
        }]));
        let stamp = Stamp {
            app: "shop".into(),
            env: "a".into(),
            base: None,
            version: "a".into(),
        };
        let config_map = inventory.to_config_map(&stamp, "shop-a");
        assert_eq!(Inventory::from_config_map(&config_map).unwrap(), inventory);
    }

    #[test]
    fn another_version_of_a_kind_is_the_same_object() {
        let mut inventory = Inventory::default();
        inventory.insert(
            key("autoscaling/v1", "HorizontalPodAutoscaler", "web"),
            "web",
        );
        inventory.insert(
            key("autoscaling/v2", "HorizontalPodAutoscaler", "web"),
            "web",
        );
        assert_eq!(inventory.len(), 1);
    }

    #[test]
    fn a_namespace_in_the_record_is_not_believed() {
        let text = r#"[{"apiVersion":"v1","kind":"Namespace","name":"shop-a"}]"#;
        let inventory = Inventory::from_config_map(&json!({"data": {"objects": text}})).unwrap();
        assert!(inventory.is_empty());
    }

    #[test]
    fn a_broken_record_is_an_error_and_not_an_empty_one() {
        let entry = |entry: Value| json!({"objects": json!([entry]).to_string()});
        for data in [
            json!({"objects": "[{]"}),
            json!({"objects": 5}),
            json!({"objects": "[]", "claims": "data"}),
            entry(json!({"apiVersion": "v1", "kind": "ConfigMap"})),
            entry(json!({"apiVersion": "a/b/c", "kind": "ConfigMap", "name": "x"})),
            entry(json!({"apiVersion": "v1", "kind": "Config Map", "name": "x"})),
            entry(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "../../b/configmaps/x"})),
            entry(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": ".."})),
            entry(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": ""})),
            entry(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "namespace": "a/b"}),
            ),
        ] {
            let error = Inventory::from_config_map(&json!({"data": data})).unwrap_err();
            assert_eq!(error.reason_code(), Some("BrokenInventory"), "{data}");
            assert_eq!(error.hints().len(), 1, "{data}");
        }
        let role = entry(
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "system:x"}),
        );
        assert_eq!(
            Inventory::from_config_map(&json!({"data": role}))
                .unwrap()
                .len(),
            1
        );
    }
}

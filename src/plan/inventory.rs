//! The record of what an environment owns, kept in a ConfigMap of its namespace.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::manifest::ObjectKey;
use crate::manifest::labels::{self, Stamp};
use crate::plan::Id;

/// The key of the record in the ConfigMap's data.
const DATA: &str = "objects";

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
}

impl Inventory {
    /// Adds an object; one that is listed already takes the new entry's version and service.
    pub fn insert(&mut self, key: ObjectKey, service: impl Into<String>) {
        let service = service.into();
        self.entries.insert(Id::from(&key), Entry { key, service });
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
        Self { entries }
    }

    /// Reads the record from its ConfigMap.
    pub fn from_config_map(config_map: &Value) -> Result<Self> {
        let Some(text) = config_map
            .get("data")
            .and_then(|data| data.get(DATA))
            .and_then(Value::as_str)
        else {
            return Ok(Self::default());
        };
        let entries: Vec<Entry> = serde_json::from_str(text).map_err(|cause| {
            Error::failed(format!(
                "the ConfigMap {} does not hold a list of objects",
                config_map["metadata"]["name"].as_str().unwrap_or_default()
            ))
            .reason("BrokenInventory")
            .caused_by(&cause)
            .hint("it was changed by hand: restore it, or delete it (objects are then found by their labels)")
        })?;
        let mut inventory = Self::default();
        // `dev` records no Namespace: an entry that names one was written by somebody else, and everything in that namespace would go.
        for entry in entries
            .into_iter()
            .filter(|entry| entry.key.kind != "Namespace")
        {
            inventory.insert(entry.key, entry.service);
        }
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
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": labels::inventory_name(&stamp.env), "namespace": namespace, "labels": labels},
            "data": {DATA: text},
        })
    }
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
        let error = Inventory::from_config_map(&json!({"data": {"objects": "[{]"}})).unwrap_err();
        assert_eq!(error.reason_code(), Some("BrokenInventory"));
    }
}

//! One Kubernetes object with where it came from.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Place;

/// A Kubernetes object as a person or a program wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The object: a JSON object with at least `apiVersion`, `kind` and `metadata.name` (checked when read).
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// Where an object came from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Origin {
    /// The service of `dev.yaml` it belongs to.
    pub service: String,
    /// The file and line of its first line; of a template, the template's file. `None` for objects read from a cluster.
    pub place: Option<Place>,
}

/// What identifies an object in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectKey {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// `None` for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The object's name.
    pub name: String,
}

impl ObjectKey {
    /// The API group: `apps` of `apps/v1`, empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version
            .split_once('/')
            .map_or("", |(group, _)| group)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl Manifest {
    /// The key of this object, with the namespace that it names itself.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            api_version: self.api_version().to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.meta("namespace").map(str::to_owned),
            name: self.name().to_owned(),
        }
    }

    /// `apiVersion`, empty where it is missing.
    pub fn api_version(&self) -> &str {
        self.value["apiVersion"].as_str().unwrap_or_default()
    }

    /// `kind`, empty where it is missing.
    pub fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    /// `metadata.name`, empty where it is missing.
    pub fn name(&self) -> &str {
        self.meta("name").unwrap_or_default()
    }

    /// A string of `metadata`.
    pub fn meta(&self, field: &str) -> Option<&str> {
        self.value.get("metadata")?.get(field)?.as_str()
    }

    /// A label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.value
            .get("metadata")?
            .get("labels")?
            .get(key)?
            .as_str()
    }

    /// An annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.value
            .get("metadata")?
            .get("annotations")?
            .get(key)?
            .as_str()
    }

    /// `metadata` for writing; made where it is missing or no object.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        child_map(&mut self.value, "metadata")
    }

    /// Sets a label.
    pub fn set_label(&mut self, key: &str, value: &str) {
        let labels = &mut self.metadata_mut().entry("labels").or_insert(Value::Null);
        as_map(labels).insert(key.to_owned(), Value::from(value));
    }

    /// Sets an annotation.
    pub fn set_annotation(&mut self, key: &str, value: &str) {
        let annotations = &mut self
            .metadata_mut()
            .entry("annotations")
            .or_insert(Value::Null);
        as_map(annotations).insert(key.to_owned(), Value::from(value));
    }
}

/// The map at `field` of a JSON object; made where it is missing or something else.
pub fn child_map<'a>(value: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    as_map(as_map(value).entry(field).or_insert(Value::Null))
}

/// The value as a map; replaced by an empty one where it is something else.
pub fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Whether an object is a Service that only points at the base's service of the same name.
pub fn is_alias(value: &Value) -> bool {
    value["metadata"]["labels"][super::labels::ALIAS] == "true"
        && value["spec"]["type"] == "ExternalName"
}

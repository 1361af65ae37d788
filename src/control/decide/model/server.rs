//! What the API server does with writes: JSON Patch and field owners.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::control::fields::{self, Path};
use crate::control::routing::Routing;

/// What becomes of the field owners of a Service when a manager writes it; `None`: nothing changes. `all`: the manager owns whatever
/// there is.
pub(super) fn written(
    before: &Service,
    mut after: Service,
    manager: &str,
    all: bool,
    now: Timestamp,
) -> Option<Service> {
    let annotations = &mut after.metadata.annotations;
    if annotations.as_ref().is_some_and(BTreeMap::is_empty) {
        *annotations = None;
    }
    if after == *before && !all {
        return None;
    }
    let changed: BTreeSet<Path> = match all {
        true => values(&after).into_keys().collect(),
        false => {
            let (old, new) = (values(before), values(&after));
            new.into_iter()
                .filter(|(path, value)| old.get(path) != Some(value))
                .map(|(path, _)| path)
                .collect()
        }
    };
    let gone: BTreeSet<Path> = values(before)
        .into_keys()
        .filter(|path| !values(&after).contains_key(path))
        .collect();
    let mut entries = Vec::new();
    let mut own = changed.clone();
    for entry in after.metadata.managed_fields.take().unwrap_or_default() {
        let mut paths: BTreeSet<Path> =
            fields::members(&entry).difference(&gone).cloned().collect();
        if entry.manager.as_deref() == Some(manager) {
            if changed.is_empty() {
                entries.push(entry);
            } else {
                own.extend(paths);
            }
            continue;
        }
        paths = paths.difference(&changed).cloned().collect();
        if !paths.is_empty() {
            entries.push(ManagedFieldsEntry {
                fields_v1: Some(FieldsV1(fields::tree(&paths))),
                ..entry
            });
        }
    }
    if !changed.is_empty() {
        entries.push(ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some("Update".to_owned()),
            time: Some(Time(now)),
            fields_v1: Some(FieldsV1(fields::tree(&own))),
            ..ManagedFieldsEntry::default()
        });
    }
    after.metadata.managed_fields = Some(entries);
    Some(after)
}

/// The fields that are owned, with what is in them.
fn values(service: &Service) -> BTreeMap<Path, Value> {
    let routing = Routing::of(service);
    let path = |steps: &[&str]| {
        steps
            .iter()
            .map(|step| (*step).to_owned())
            .collect::<Path>()
    };
    let mut values = BTreeMap::from([(path(&["f:spec", "f:selector"]), json!(routing.selector))]);
    for port in &routing.ports {
        let key = format!("k:{{\"port\":{}}}", port.port);
        values.insert(
            path(&["f:spec", "f:ports", &key, "f:targetPort"]),
            json!(port.target_port),
        );
    }
    for (name, value) in service.metadata.annotations.iter().flatten() {
        values.insert(
            path(&["f:metadata", "f:annotations", &format!("f:{name}")]),
            json!(value),
        );
    }
    for (name, value) in service.metadata.labels.iter().flatten() {
        values.insert(
            path(&["f:metadata", "f:labels", &format!("f:{name}")]),
            json!(value),
        );
    }
    values
}

/// One operation of a JSON Patch, as the API server does it: a missing value equals `null`.
pub(super) fn apply(value: &mut Value, operation: &Value) -> bool {
    let path = operation["path"].as_str().unwrap();
    let wanted = operation["value"].clone();
    let found = value.pointer(path).cloned();
    let (parent, key) = path.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    match operation["op"].as_str().unwrap() {
        "test" => found.unwrap_or_default() == wanted,
        "remove" | "replace" if found.is_none() => false,
        "remove" => value
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(&key)
            .is_some(),
        "replace" => {
            *value.pointer_mut(path).unwrap() = wanted;
            true
        }
        "add" => {
            let Some(Value::Object(parent)) = value.pointer_mut(parent) else {
                return false;
            };
            parent.insert(key, wanted);
            true
        }
        other => panic!("{other}"),
    }
}

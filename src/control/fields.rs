//! PURE: who owns which fields of an object (`metadata.managedFields`), and how ownership that a step took is given back.
//!
//! Every write takes the fields that it changes from their owners. Left so, the owner's next server-side apply would be told of a
//! conflict with `dev-control`. A second write therefore gives the fields back: the result is what was there before the first one,
//! times included, also when somebody else wrote in between.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value};

use crate::control::CONTROL;

/// A field: its steps from the top, such as `f:spec`, `f:selector`.
pub(super) type Path = Vec<String>;

/// Whether `dev-control` owns something.
pub fn is_stained(entries: &[ManagedFieldsEntry]) -> bool {
    entries.iter().any(is_ours)
}

/// `current` without `dev-control`: the fields that it took are again those of the managers that had them when `saved` was read.
pub fn given_back(
    current: &[ManagedFieldsEntry],
    saved: &[ManagedFieldsEntry],
) -> Vec<ManagedFieldsEntry> {
    let ours: BTreeSet<Path> = current
        .iter()
        .filter(|entry| is_ours(entry))
        .flat_map(members)
        .collect();
    let mut result: Vec<ManagedFieldsEntry> = Vec::new();
    let mut others: Vec<&ManagedFieldsEntry> =
        current.iter().filter(|entry| !is_ours(entry)).collect();
    for before in saved.iter().filter(|entry| !is_ours(entry)) {
        let all = members(before);
        let back: BTreeSet<Path> = all.intersection(&ours).cloned().collect();
        let place = others
            .iter()
            .position(|entry| identity(entry) == identity(before));
        let now = place.map(|place| others.remove(place));
        let kept = now.map(members).unwrap_or_default();
        let fields: BTreeSet<Path> = kept.union(&back).cloned().collect();
        if fields.is_empty() {
            continue;
        }
        let unchanged = now.is_none_or(|now| now.time == before.time) && fields == all;
        result.push(match (unchanged, now) {
            (true, _) => before.clone(),
            (false, now) => ManagedFieldsEntry {
                fields_v1: Some(FieldsV1(tree(&fields))),
                ..now.unwrap_or(before).clone()
            },
        });
    }
    result.extend(others.into_iter().cloned());
    result
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(CONTROL)
}

/// What makes two entries those of one manager.
fn identity(entry: &ManagedFieldsEntry) -> [Option<&str>; 4] {
    [
        entry.manager.as_deref(),
        entry.operation.as_deref(),
        entry.api_version.as_deref(),
        entry.subresource.as_deref(),
    ]
}

pub(super) fn members(entry: &ManagedFieldsEntry) -> BTreeSet<Path> {
    let mut found = BTreeSet::new();
    if let Some(FieldsV1(Value::Object(fields))) = &entry.fields_v1 {
        collect(fields, &mut Vec::new(), &mut found);
    }
    found
}

/// `{}` is a field, `.` the field itself beside fields below it.
fn collect(fields: &Map<String, Value>, path: &mut Path, found: &mut BTreeSet<Path>) {
    for (step, below) in fields {
        if step == "." {
            found.insert(path.clone());
            continue;
        }
        path.push(step.clone());
        match below {
            Value::Object(below) if !below.is_empty() => collect(below, path, found),
            _ => {
                found.insert(path.clone());
            }
        }
        path.pop();
    }
}

#[derive(Default)]
struct Node {
    is_field: bool,
    below: BTreeMap<String, Node>,
}

pub(super) fn tree(paths: &BTreeSet<Path>) -> Value {
    let mut top = Node::default();
    for path in paths {
        let end = path.iter().fold(&mut top, |node, step| {
            node.below.entry(step.clone()).or_default()
        });
        end.is_field = true;
    }
    value(&top)
}

fn value(node: &Node) -> Value {
    let own = (node.is_field && !node.below.is_empty())
        .then(|| (".".to_owned(), Value::Object(Map::new())));
    let below = node
        .below
        .iter()
        .map(|(step, node)| (step.clone(), value(node)));
    Value::Object(own.into_iter().chain(below).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, time: &str, fields: Value) -> ManagedFieldsEntry {
        serde_json::from_value(json!({
            "manager": manager, "operation": "Update", "apiVersion": "v1", "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields,
        }))
        .unwrap()
    }

    const THEN: &str = "2026-01-01T00:00:00Z";
    const LATER: &str = "2026-01-02T00:00:00Z";

    fn owners() -> ManagedFieldsEntry {
        entry(
            "helm",
            THEN,
            json!({
                "f:metadata": {"f:annotations": {".": {}, "f:a": {}}},
                "f:spec": {"f:selector": {}, "f:ports": {".": {}, r#"k:{"port":80,"protocol":"TCP"}"#: {".": {}, "f:port": {}, "f:targetPort": {}}}}}),
        )
    }

    fn robbed(time: &str) -> ManagedFieldsEntry {
        entry(
            "helm",
            time,
            json!({
                "f:metadata": {"f:annotations": {".": {}, "f:a": {}}},
                "f:spec": {"f:ports": {".": {}, r#"k:{"port":80,"protocol":"TCP"}"#: {".": {}, "f:port": {}}}}}),
        )
    }

    fn ours() -> ManagedFieldsEntry {
        entry(
            CONTROL,
            LATER,
            json!({
                "f:metadata": {"f:annotations": {"f:dev/restore": {}}},
                "f:spec": {"f:selector": {}, "f:ports": {r#"k:{"port":80,"protocol":"TCP"}"#: {"f:targetPort": {}}}}}),
        )
    }

    #[test]
    fn what_was_taken_is_given_back_with_the_time() {
        let other = entry("kubectl", THEN, json!({"f:metadata": {"f:labels": {}}}));
        let saved = [owners(), other.clone()];
        let current = [ours(), robbed(THEN), other];
        assert!(is_stained(&current) && !is_stained(&saved));
        assert_eq!(given_back(&current, &saved), saved);
        assert_eq!(given_back(&saved, &saved), saved);
    }

    #[test]
    fn a_manager_that_lost_everything_is_there_again() {
        let saved = [entry("helm", THEN, json!({"f:spec": {"f:selector": {}}}))];
        assert_eq!(given_back(&[ours()], &saved), saved);
        assert_eq!(given_back(&[ours()], &[]), []);
    }

    #[test]
    fn writes_in_between_stand() {
        // Another took the selector after us: it is not given back to the first.
        let taken = entry("kubectl", LATER, json!({"f:spec": {"f:selector": {}}}));
        let ours = entry(
            CONTROL,
            LATER,
            json!({"f:spec": {"f:ports": {r#"k:{"port":80,"protocol":"TCP"}"#: {"f:targetPort": {}}}}}),
        );
        let result = given_back(&[ours, robbed(LATER), taken.clone()], &[owners()]);
        assert_eq!(result.len(), 2);
        assert_eq!(result[1], taken);
        assert_eq!(result[0].time, robbed(LATER).time);
        let fields = result[0].fields_v1.as_ref().unwrap();
        assert_eq!(fields.0.pointer("/f:spec/f:selector"), None);
        assert!(fields.0.to_string().contains("f:targetPort"));
    }
}

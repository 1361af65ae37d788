//! Values of Secrets are never shown, only that they differ.

use serde_json::{Map, Value};

use crate::manifest::ObjectKey;
use crate::plan::FieldChange;

const FIELDS: [&str; 2] = ["data", "stringData"];

/// What stands for a value.
const HIDDEN: &str = "(hidden)";
/// What stands for a value that is to be.
const HIDDEN_NEW: &str = "(hidden, changed)";

/// A change as it may be shown.
pub(super) fn mask_change(key: &ObjectKey, change: &FieldChange) -> FieldChange {
    let inside = FIELDS.iter().any(|field| {
        change
            .path
            .strip_prefix(field)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    });
    if !is_secret(key) || !inside {
        return change.clone();
    }
    FieldChange {
        path: change.path.clone(),
        from: change.from.as_ref().map(|value| mask(value, HIDDEN)),
        to: change.to.as_ref().map(|value| mask(value, HIDDEN_NEW)),
    }
}

/// An object before and after as it may be shown.
pub(super) fn mask_objects(key: &ObjectKey, before: &mut Value, after: &mut Value) {
    if !is_secret(key) {
        return;
    }
    for field in FIELDS {
        let old = before.get(field).cloned().unwrap_or_default();
        if let Some(Value::Object(data)) = after.get_mut(field) {
            for (name, value) in data {
                let same = old.get(name) == Some(value);
                *value = Value::from(if same { HIDDEN } else { HIDDEN_NEW });
            }
        }
        if let Some(data) = before.get_mut(field) {
            *data = mask(data, HIDDEN);
        }
    }
}

fn is_secret(key: &ObjectKey) -> bool {
    key.api_version == "v1" && key.kind == "Secret"
}

/// The values of a map, or the value itself, replaced.
fn mask(value: &Value, by: &str) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.keys()
                .map(|name| (name.clone(), Value::from(by)))
                .collect::<Map<_, _>>(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Value::from(by)
        }
    }
}

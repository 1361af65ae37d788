//! The fields by which an object that runs differs from the one that is desired.
//!
//! The server adds fields (defaults, allocated values, status) and rewrites some (quantities). So the desired object is looked for
//! inside the live one: maps as subsets, lists by their keys. What `dev` owned before and does not want any more is a difference
//! too.

mod defaults;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::plan::lists::{self, ListType};
use crate::plan::record::Record;
use crate::plan::{Live, quantity};
use defaults::{ALLOCATED, POINTERS, QUANTITIES};

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// Such as `spec.template.spec.containers[name=web].image`.
    pub path: String,
    /// What is there; `None`: nothing.
    pub from: Option<Value>,
    /// What is wanted; `None`: it goes.
    pub to: Option<Value>,
}

/// What comparing an object gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// The fields that differ, in the order of the desired object.
    pub changes: Vec<FieldChange>,
    /// What is there now of what is desired or was applied by `dev`, in the shape of the desired object: a diff of it with the
    /// desired object shows the changes and nothing else.
    pub before: Value,
}

/// Compares an object with what is there: the fields of `desired` that `live` does not have in the same way, and the fields that
/// `dev` applied before and that `desired` does not have. The annotation with the hash is not compared.
pub fn compare(desired: &Value, live: &Live) -> Comparison {
    let kind = desired["kind"].as_str().unwrap_or_default();
    let builtin = is_builtin(desired["apiVersion"].as_str().unwrap_or_default());
    let mut walk = Walk {
        kind,
        builtin,
        path: Vec::new(),
        changes: Vec::new(),
    };
    let before = walk.value(desired, Some(&live.value), Record::of(live.owned.as_ref()));
    Comparison {
        changes: walk.changes,
        before: before.unwrap_or_default(),
    }
}

/// Whether the API server itself defines the group, so that its rules of defaulting are known.
fn is_builtin(api_version: &str) -> bool {
    match api_version.split_once('/') {
        None => true,
        Some((group, _)) => {
            !group.contains('.') || group.ends_with(".k8s.io") && !group.starts_with("gateway.")
        }
    }
}

/// One step of a path.
enum Step {
    Field(String),
    Item(String),
}

struct Walk<'a> {
    kind: &'a str,
    builtin: bool,
    path: Vec<Step>,
    changes: Vec<FieldChange>,
}

impl Walk<'_> {
    /// Compares at one place, and gives what is there in the shape of what is desired.
    fn value(
        &mut self,
        desired: &Value,
        live: Option<&Value>,
        record: Record<'_>,
    ) -> Option<Value> {
        let live = live.filter(|live| !live.is_null());
        match (desired, live) {
            (Value::Null, _) => Some(Value::Null),
            (Value::Object(desired), Some(Value::Object(live))) => {
                Some(Value::Object(self.map(desired, live, record)))
            }
            (Value::Array(desired), Some(Value::Array(live))) => {
                Some(Value::Array(self.list(desired, live, record)))
            }
            (desired, Some(live)) if self.same_scalar(desired, live) => Some(desired.clone()),
            (desired, Some(live)) => {
                self.changed(Some(live), Some(desired));
                Some(live.clone())
            }
            (desired, None) if self.dropped_by_server(desired, record) => Some(desired.clone()),
            (desired, None) => {
                self.changed(None, Some(desired));
                None
            }
        }
    }

    fn map(
        &mut self,
        desired: &Map<String, Value>,
        live: &Map<String, Value>,
        record: Record<'_>,
    ) -> Map<String, Value> {
        let mut before = Map::new();
        for (field, value) in desired {
            if self.is_hash(field) {
                before.insert(field.clone(), value.clone());
                continue;
            }
            self.path.push(Step::Field(field.clone()));
            if let Some(value) = self.value(value, live.get(field), record.field(field)) {
                before.insert(field.clone(), value);
            }
            self.path.pop();
        }
        for field in record.fields() {
            let wanted = desired.get(field).is_some_and(|value| !value.is_null());
            if wanted || self.is_hash(field) || (self.path.is_empty() && field == "status") {
                continue;
            }
            if let Some(live) = live.get(field) {
                self.path.push(Step::Field(field.to_owned()));
                self.changed(Some(live), None);
                self.path.pop();
                before.insert(field.to_owned(), live.clone());
            }
        }
        before
    }

    fn list(&mut self, desired: &[Value], live: &[Value], record: Record<'_>) -> Vec<Value> {
        let list_type = record.list_type().unwrap_or_else(|| self.list_type());
        match list_type {
            ListType::Map(keys) if items_are_maps(desired) && items_are_maps(live) => {
                self.keyed(&keys, desired, live, record)
            }
            ListType::Set => self.set(desired, live, record),
            ListType::Map(_) | ListType::Atomic if desired.len() == live.len() => {
                let mut before = Vec::new();
                for (index, (desired, live)) in desired.iter().zip(live).enumerate() {
                    self.path.push(Step::Item(index.to_string()));
                    before.extend(self.value(desired, Some(live), Record::Unknown));
                    self.path.pop();
                }
                before
            }
            ListType::Map(_) | ListType::Atomic => {
                let from = Value::Array(live.to_vec());
                let to = Value::Array(desired.to_vec());
                self.changed(Some(&from), Some(&to));
                live.to_vec()
            }
        }
    }

    fn set(&mut self, desired: &[Value], live: &[Value], record: Record<'_>) -> Vec<Value> {
        let mut before = Vec::new();
        for item in desired {
            if live.iter().any(|live| self.matches(item, live)) {
                before.push(item.clone());
            } else {
                self.path.push(Step::Item(String::new()));
                self.changed(None, Some(item));
                self.path.pop();
            }
        }
        for item in record.values() {
            if live.contains(&item) && !desired.contains(&item) {
                self.path.push(Step::Item(String::new()));
                self.changed(Some(&item), None);
                self.path.pop();
                before.push(item);
            }
        }
        before
    }

    fn keyed(
        &mut self,
        keys: &[String],
        desired: &[Value],
        live: &[Value],
        record: Record<'_>,
    ) -> Vec<Value> {
        let mut before = Vec::new();
        for (index, item) in desired.iter().enumerate() {
            // Names may repeat in `env`: the n-th of a name corresponds to the n-th.
            let nth = desired[..index]
                .iter()
                .filter(|before| lists::same_item(keys, before, item))
                .count();
            let live = live
                .iter()
                .filter(|live| lists::same_item(keys, item, live))
                .nth(nth);
            self.path.push(Step::Item(item_name(keys, item)));
            // An item that is not there is a difference, however empty it is.
            before.extend(match live {
                Some(live) => self.value(item, Some(live), record.item(keys, item)),
                None => {
                    self.changed(None, Some(item));
                    None
                }
            });
            self.path.pop();
        }
        for key in record.items() {
            if desired
                .iter()
                .any(|item| lists::same_item(keys, &key, item))
            {
                continue;
            }
            if let Some(live) = live.iter().find(|live| lists::same_item(keys, &key, live)) {
                self.path.push(Step::Item(item_name(keys, &key)));
                self.changed(Some(live), None);
                self.path.pop();
                before.push(live.clone());
            }
        }
        before
    }

    /// Whether one value is found inside another, for items of sets.
    fn matches(&self, desired: &Value, live: &Value) -> bool {
        let mut walk = Walk {
            kind: self.kind,
            builtin: self.builtin,
            path: Vec::new(),
            changes: Vec::new(),
        };
        let _shape = walk.value(desired, Some(live), Record::Unknown);
        walk.changes.is_empty()
    }

    fn same_scalar(&self, desired: &Value, live: &Value) -> bool {
        if desired == live {
            return true;
        }
        if let (Value::Number(a), Value::Number(b)) = (desired, live)
            && a.as_f64() == b.as_f64()
        {
            return true;
        }
        if self.builtin && desired.as_str() == Some("") && ALLOCATED.contains(&self.field()) {
            return true;
        }
        self.builtin && self.is_quantity() && quantity::same(desired, live) == Some(true)
    }

    /// Whether the server leaves such a value out (`omitempty` in its Go types), so that its absence is no difference. The record
    /// tells it exactly for single values: it lists what was applied and left out, and not what another manager removed.
    fn dropped_by_server(&self, desired: &Value, record: Record<'_>) -> bool {
        let (empty, recorded) = match desired {
            Value::Null => (true, false),
            Value::Bool(value) => (!value, true),
            Value::Number(number) => (number.as_f64() == Some(0.0), true),
            Value::String(text) => (text.is_empty(), true),
            // Empty lists with keys are not recorded.
            Value::Array(items) => (items.is_empty(), self.list_type() == ListType::Atomic),
            Value::Object(map) => (map.values().all(Value::is_null), false),
        };
        empty
            && match record {
                Record::Owned(_) => true,
                Record::NotOwned if recorded => false,
                Record::NotOwned | Record::Unknown => self.droppable(),
            }
    }

    /// The type of the list at this place, without a record.
    fn list_type(&self) -> ListType {
        if self.builtin {
            lists::by_table(self.kind, self.parent(), self.field())
        } else {
            ListType::Atomic
        }
    }

    /// Whether the field is known to be left out when it is empty, for objects without a record.
    fn droppable(&self) -> bool {
        self.builtin && !POINTERS.contains(&self.field())
    }

    fn is_quantity(&self) -> bool {
        let field = |step: &Step| match step {
            Step::Field(name) => QUANTITIES.contains(&name.as_str()),
            Step::Item(_) => false,
        };
        // `limits.cpu`: the parent; `sizeLimit`: the field itself.
        self.path.iter().rev().take(2).any(field)
    }

    fn is_hash(&self, field: &str) -> bool {
        field.strip_prefix("f:").unwrap_or(field) == crate::manifest::labels::APPLIED
            && self.path.len() == 2
    }

    fn field(&self) -> &str {
        self.fields().next().unwrap_or_default()
    }

    fn parent(&self) -> &str {
        self.fields().nth(1).unwrap_or_default()
    }

    /// The names of fields on the path, innermost first.
    fn fields(&self) -> impl Iterator<Item = &str> {
        self.path.iter().rev().filter_map(|step| match step {
            Step::Field(name) => Some(name.as_str()),
            Step::Item(_) => None,
        })
    }

    fn changed(&mut self, from: Option<&Value>, to: Option<&Value>) {
        self.changes.push(FieldChange {
            path: render(&self.path),
            from: from.cloned(),
            to: to.cloned(),
        });
    }
}

fn items_are_maps(items: &[Value]) -> bool {
    items.iter().all(Value::is_object)
}

fn item_name(keys: &[String], item: &Value) -> String {
    let parts: Vec<String> = keys
        .iter()
        .filter_map(|key| {
            let value = match item.get(key)? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some(format!("{key}={value}"))
        })
        .collect();
    parts.join(",")
}

fn render(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) if name.contains(['.', '/', '[']) => {
                text.push_str(&format!("[{name}]"));
            }
            Step::Field(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Step::Item(name) => text.push_str(&format!("[{name}]")),
        }
    }
    text
}

#[cfg(test)]
mod tests;

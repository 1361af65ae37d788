//! Compared with what a real API server made of objects of all common kinds (`recorded/record.sh`).

use super::*;
use crate::manifest::{Manifest, Origin, labels::Stamp};
use crate::plan::prepare;

/// An object as it was applied, and as the server showed it then.
fn pairs() -> Vec<(Value, Live)> {
    let read = |text: &str| -> Vec<Value> { serde_json::from_str(text).unwrap() };
    let desired = read(include_str!("recorded/desired.json"));
    let live = read(include_str!("recorded/live.json"));
    assert_eq!(desired.len(), live.len());
    desired
        .into_iter()
        .zip(live)
        .map(|(desired, mut live)| {
            let managed = live["metadata"]
                .as_object_mut()
                .unwrap()
                .shift_remove("managedFields")
                .unwrap();
            let ours = managed
                .as_array()
                .unwrap()
                .iter()
                .find(|entry| entry["manager"] == "dev");
            let owned = Some(ours.unwrap()["fieldsV1"].clone());
            let live = Live {
                value: live,
                owned,
                managers: Vec::new(),
            };
            (cleaned(desired), live)
        })
        .collect()
}

/// As it would be sent, without the marks of `dev`.
fn cleaned(desired: Value) -> Value {
    let manifest = Manifest {
        value: desired.clone(),
        origin: Origin::default(),
    };
    let stamp = Stamp {
        app: String::new(),
        env: String::new(),
        base: None,
        version: String::new(),
    };
    let namespace = manifest.meta("namespace").unwrap_or_default().to_owned();
    let mut value = prepare(&manifest, &stamp, &namespace, None).unwrap().value;
    for map in ["labels", "annotations", "namespace"] {
        let metadata = value["metadata"].as_object_mut().unwrap();
        match desired["metadata"].get(map) {
            Some(before) => metadata.insert(map.to_owned(), before.clone()),
            None => metadata.shift_remove(map),
        };
    }
    value
}

fn name(object: &Value) -> String {
    format!("{} {}", object["kind"], object["metadata"]["name"])
}

#[test]
fn an_object_and_what_the_server_made_of_it_are_the_same() {
    for (desired, live) in pairs() {
        assert_eq!(
            compare(&desired, &live).changes,
            [],
            "{}, by the record",
            name(&desired)
        );
        let unrecorded = Live {
            owned: None,
            ..live
        };
        // Without a record nothing is known of the lists of custom resources but their order, which was kept.
        assert_eq!(
            compare(&desired, &unrecorded).changes,
            [],
            "{}, by the tables",
            name(&desired)
        );
    }
}

/// The places of all leaves of a value, as JSON pointers; empty maps and lists are leaves.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (field, value) in map {
                let field = field.replace('~', "~0").replace('/', "~1");
                leaves(value, &format!("{at}/{field}"), found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                leaves(value, &format!("{at}/{index}"), found);
            }
        }
        Value::Null => {}
        _ => found.push(at.to_owned()),
    }
}

/// Another value of the same type.
fn another(value: &Value) -> Value {
    match value {
        Value::Bool(value) => json!(!value),
        Value::Number(number) => json!(number.as_f64().unwrap() + 1.0),
        Value::String(text) => json!(format!("{text}x")),
        Value::Array(_) => json!(["x"]),
        Value::Object(_) => json!({"x": "y"}),
        Value::Null => json!("x"),
    }
}

#[test]
fn a_change_of_any_leaf_is_found_and_named() {
    let mut count = 0;
    for (desired, live) in pairs() {
        let mut places = Vec::new();
        leaves(&desired, "", &mut places);
        for place in places {
            // By these it would be another object.
            if ["/apiVersion", "/kind"].contains(&place.as_str()) {
                continue;
            }
            let mut changed = desired.clone();
            let leaf = changed.pointer_mut(&place).unwrap();
            *leaf = another(leaf);
            for owned in [live.owned.clone(), None] {
                let live = Live {
                    owned,
                    ..live.clone()
                };
                let found = compare(&changed, &live);
                assert!(!found.changes.is_empty(), "{} {place}", name(&desired));
                assert_ne!(found.before, changed, "{} {place}", name(&desired));
            }
            count += 1;
        }
    }
    assert!(count > 300, "{count} leaves");
}

#[test]
fn what_was_applied_and_is_left_out_now_is_found_by_the_record() {
    let mut count = 0;
    for (desired, live) in pairs() {
        for (field, value) in desired["spec"].as_object().into_iter().flatten() {
            // What the server left out when it was applied has nothing to remove.
            if live.value["spec"].get(field).is_none() || value.is_null() {
                continue;
            }
            let mut without = desired.clone();
            without["spec"].as_object_mut().unwrap().shift_remove(field);
            let found = compare(&without, &live).changes;
            let recorded = live.owned.as_ref().unwrap()["f:spec"].get(format!("f:{field}"));
            if recorded.is_some() {
                assert!(found.iter().any(|change| change.path == format!("spec.{field}") && change.to.is_none()),
                    "{} {field}: {found:?}", name(&desired));
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count} fields");
}

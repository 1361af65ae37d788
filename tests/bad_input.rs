//! Every key of dev.yaml, taken from its schema: missing, of a wrong type, misspelt. Each must give one clear
//! error with its place, and none may panic.

use std::collections::BTreeSet;
use std::path::Path;

use dev::error::{Error, Kind};
use dev::project::{Loaded, Project};
use serde_json::{Map, Value, json};

/// A project that uses every key (`every_key_of_the_schema_is_covered` proves it).
fn complete() -> Value {
    json!({
        "app": "shop",
        "base": "shop",
        "clusterDomain": "cluster.local",
        "registry": "localhost:5000",
        "vars": {"colour": "red"},
        "services": {
            "db": {"live": true},
            "chart": {"helm": {
                "chart": "./chart", "version": "1.0.0", "values": ["v.yaml"], "set": {"a": "b"},
                "release": "db", "hooks": "run"
            }},
            "kust": {"kustomize": "overlay/"},
            "docker": {"manifests": ["k8s/"], "image": {"name": "shop/docker", "build": {
                "context": "docker", "dockerfile": "Dockerfile", "engine": "podman", "args": {"A": "b"},
                "target": "final"
            }}},
            "script": {"manifests": "k8s/", "image": {"name": "shop/script", "command": {
                "run": "./build.sh", "context": "script"
            }}},
            "web": {
                "manifests": "web/k8s/", "needs": ["db"], "run": "go run .", "vars": {"size": 1},
                "claims": {"data": "empty"},
                "image": {"name": "shop/web", "layers": {
                    "context": "web", "build": "make", "base": "scratch", "files": {"bin/web": "/app/web"},
                    "entrypoint": ["/app/web"], "cmd": ["-v"], "env": {"A": "b"}, "workdir": "/app",
                    "user": "65532:65532", "ports": [8080]
                }}
            }
        },
        "profiles": {"ci": {
            "branches": ["pr-*"], "ttl": "24h", "vars": {"colour": "blue"}, "services": ["web"],
            "registry": "localhost:5001"
        }}
    })
}

/// Keys whose children are names that people choose.
const FREE: [&str; 9] = [
    "vars",
    "claims",
    "services",
    "profiles",
    "set",
    "args",
    "files",
    "env",
    "matchLabels",
];

/// What is done to one key.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Missing,
    WrongType,
    Misspelt,
}

fn parse(value: &Value) -> Result<Loaded, Error> {
    let text = dev::manifest::yaml::to_string(value).unwrap();
    Loaded::parse(&text, Path::new("dev.yaml"))
}

/// The paths of all keys that the schema names (not those that people choose).
fn keys(value: &Value, path: &mut Vec<String>, free: bool, found: &mut Vec<Vec<String>>) {
    if let Value::Object(map) = value {
        for (key, child) in map {
            path.push(key.clone());
            if !free {
                found.push(path.clone());
            }
            let free_below = !free && FREE.contains(&key.as_str());
            // The contents of `vars` and `set` are anybody's.
            if !(free_below
                && matches!(
                    key.as_str(),
                    "vars" | "claims" | "set" | "args" | "files" | "env"
                ))
            {
                keys(child, path, free_below, found);
            }
            path.pop();
        }
    }
}

fn at<'a>(value: &'a mut Value, path: &[String]) -> &'a mut Map<String, Value> {
    let value = path
        .iter()
        .fold(value, |value, key| &mut value[key.as_str()]);
    value.as_object_mut().unwrap()
}

fn break_key(path: &[String], fault: Fault) -> (Value, String) {
    let mut value = complete();
    let (last, parents) = path.split_last().unwrap();
    let map = at(&mut value, parents);
    let old = map.get(last).cloned().unwrap();
    let told = match fault {
        Fault::Missing => {
            map.shift_remove(last);
            last.clone()
        }
        Fault::WrongType => {
            let wrong = match old {
                Value::Object(_) => json!("a-string-where-a-map-is-expected"),
                Value::Array(_) | Value::Number(_) | Value::Bool(_) | Value::String(_) => {
                    json!({"unexpected": {"nested": [1]}})
                }
                Value::Null => unreachable!("the example has no null"),
            };
            map.insert(last.clone(), wrong);
            last.clone()
        }
        Fault::Misspelt => {
            let misspelt = format!("{}x{}", &last[..1], &last[1..]);
            map.shift_remove(last);
            map.insert(misspelt.clone(), old);
            misspelt
        }
    };
    (value, told)
}

#[test]
fn the_complete_project_is_right() {
    parse(&complete()).unwrap();
}

#[test]
fn every_key_of_the_schema_is_covered() {
    let schema = schemars::schema_for!(Project).to_value();
    let mut in_schema = BTreeSet::new();
    collect_properties(&schema, &mut in_schema);
    let mut found = Vec::new();
    keys(&complete(), &mut Vec::new(), false, &mut found);
    let covered: BTreeSet<String> = found
        .iter()
        .map(|path| path.last().unwrap().clone())
        .collect();
    let missing: Vec<_> = in_schema.difference(&covered).collect();
    assert!(missing.is_empty(), "not in the example: {missing:?}");
}

#[test]
fn every_key_of_the_schema_is_in_the_reference() {
    let schema = schemars::schema_for!(Project).to_value();
    let mut in_schema = BTreeSet::new();
    collect_properties(&schema, &mut in_schema);
    let reference = include_str!("../docs/dev-yaml.md");
    let told = |key: &&String| {
        reference.contains(&format!("`{key}`")) || reference.contains(&format!("\n{key}:"))
    };
    let missing: Vec<_> = in_schema.iter().filter(|key| !told(key)).collect();
    assert!(missing.is_empty(), "not in docs/dev-yaml.md: {missing:?}");
}

fn collect_properties(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                found.extend(properties.keys().cloned());
            }
            map.values()
                .for_each(|child| collect_properties(child, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|child| collect_properties(child, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_key_missing_of_a_wrong_type_or_misspelt_gives_one_clear_error() {
    let mut paths = Vec::new();
    keys(&complete(), &mut Vec::new(), false, &mut paths);
    let mut broken = 0;
    for path in &paths {
        for fault in [Fault::Missing, Fault::WrongType, Fault::Misspelt] {
            let (value, told) = break_key(path, fault);
            let case = format!("{fault:?} {}", path.join("."));
            let error = match (parse(&value), fault) {
                // Only optional keys may be left out.
                (Ok(_), Fault::Missing) => continue,
                (Ok(_), _) => panic!("{case}: accepted"),
                (Err(error), _) => error,
            };
            broken += 1;
            assert_eq!(error.kind(), Kind::Usage, "{case}: {error}");
            let place = error
                .place()
                .unwrap_or_else(|| panic!("{case}: no place: {error}"));
            assert!(
                place.line.is_some() && place.column.is_some(),
                "{case}: {error}"
            );
            let text = dev::ui::render_error(&error);
            match fault {
                Fault::Misspelt => {
                    let right = path.last().unwrap();
                    assert!(
                        text.contains(&told),
                        "{case}: the value is not named: {text}"
                    );
                    assert!(
                        text.contains(right),
                        "{case}: \"{right}\" is not proposed: {text}"
                    );
                }
                Fault::WrongType => {
                    assert!(
                        text.contains("expected"),
                        "{case}: nothing said of what was expected: {text}"
                    );
                }
                Fault::Missing => {
                    assert!(
                        text.contains(&told) || !error.hints().is_empty(),
                        "{case}: {text}"
                    );
                }
            }
        }
    }
    // Two faults of every key at least, and the required ones missing.
    assert!(broken > paths.len() * 2, "{broken} of {} keys", paths.len());
}

#[test]
fn a_form_that_people_try_is_told_with_the_right_one() {
    let service =
        |rest: &str| format!("app: a\nservices:\n  db: {{manifests: k}}\n  web: {{{rest}}}\n");
    for (text, hint) in [
        (service("manifests: k, needs: db"), "write needs: [db]"),
        (
            service("manifests: k, image: foo/bar"),
            "write image: {name: foo/bar}",
        ),
        (
            service("manifests: k, image: {name: a, build: web}"),
            "write build: {context: web}",
        ),
        (
            service("manifests: k, image: {name: a, command: make}"),
            "write command: {run: make, context: …}",
        ),
        (service("helm: charts/x"), "write helm: {chart: charts/x}"),
        (
            "app: a\nservices:\n  web: k8s/\n".to_owned(),
            "write web: {manifests: k8s/}",
        ),
        (
            "app: a\nservices: [web]\n".to_owned(),
            "services have names: services: {web: {manifests: k8s/}}",
        ),
        (
            "app: a\nservices: {web: {manifests: k}}\nprofiles: {ci: {branches: main}}\n"
                .to_owned(),
            "write branches: [main]",
        ),
        (
            "app: a\nservices: {web: {manifests: k}}\nprofiles: {ci: {services: web}}\n".to_owned(),
            "write services: [web]",
        ),
    ] {
        let error = Loaded::parse(&text, Path::new("dev.yaml")).unwrap_err();
        assert!(
            error.hints().iter().any(|one| one == hint),
            "{text}: {}",
            dev::ui::render_error(&error)
        );
    }
    let error = Loaded::parse(&service("manifests: {a: b}"), Path::new("dev.yaml")).unwrap_err();
    assert!(
        error
            .message()
            .contains("expected a string or a list of strings, found"),
        "{error}"
    );
}

//! Paths into objects, written as `spec.rules[].host`: `[]` means every element of a list.

use serde_json::{Map, Value};

/// Calls `found` with every mapping that the path leads to. The empty path is the value itself.
pub fn maps(value: &mut Value, path: &str, found: &mut dyn FnMut(&mut Map<String, Value>)) {
    values(value, path, &mut |value| {
        if let Value::Object(map) = value {
            found(map);
        }
    });
}

/// Calls `found` with every value that the path leads to.
pub fn values(value: &mut Value, path: &str, found: &mut dyn FnMut(&mut Value)) {
    if path.is_empty() {
        found(value);
        return;
    }
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let (key, each) = match step.strip_suffix("[]") {
        Some(key) => (key, true),
        None => (step, false),
    };
    let next = if key.is_empty() {
        Some(value)
    } else {
        value.get_mut(key)
    };
    match (next, each) {
        (Some(Value::Array(list)), true) => {
            for element in list {
                values(element, rest, found);
            }
        }
        (Some(next), false) => values(next, rest, found),
        _ => {}
    }
}

/// The value that a path without `[]` leads to.
pub fn get<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |at, key| at.get(key))
}

/// The value that a path without `[]` leads to, for writing.
pub fn get_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').try_fold(value, |at, key| at.get_mut(key))
}

/// Where objects of a kind keep pods: the path of the mapping that holds `metadata` and `spec` of a pod.
/// `Some("")` for a pod itself.
pub fn pod_template(group: &str, kind: &str) -> Option<&'static str> {
    match (group, kind) {
        ("", "Pod") => Some(""),
        ("", "PodTemplate") => Some("template"),
        ("", "ReplicationController")
        | ("apps" | "extensions", "Deployment" | "ReplicaSet" | "DaemonSet")
        | ("apps", "StatefulSet")
        | ("batch", "Job")
        | ("argoproj.io", "Rollout")
        | ("serving.knative.dev", "Service" | "Configuration") => Some("spec.template"),
        ("batch", "CronJob") => Some("spec.jobTemplate.spec.template"),
        ("keda.sh", "ScaledJob") => Some("spec.jobTargetRef.template"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_reach_every_element() {
        let mut value = json!({"a": [{"b": {"c": 1}}, {"b": {"c": 2}}, 3], "d": [[{"e": 4}]]});
        let mut seen = Vec::new();
        values(&mut value, "a[].b.c", &mut |v| seen.push(v.clone()));
        values(&mut value, "d[].[].e", &mut |v| seen.push(v.clone()));
        values(&mut value, "nope[].b", &mut |v| seen.push(v.clone()));
        assert_eq!(seen, [json!(1), json!(2), json!(4)]);
        assert_eq!(
            get(&value, "a").and_then(Value::as_array).map(Vec::len),
            Some(3)
        );
    }
}

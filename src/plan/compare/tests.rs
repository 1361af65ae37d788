use serde_json::json;

use super::*;

mod properties;
mod recorded;

fn live(value: Value) -> Live {
    Live {
        value,
        ..Live::default()
    }
}

fn paths(desired: &Value, live: &Live) -> Vec<String> {
    compare(desired, live)
        .changes
        .into_iter()
        .map(|change| change.path)
        .collect()
}

fn deployment(container: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [container]}}}})
}

#[test]
fn what_the_server_adds_or_rewrites_is_no_difference() {
    let desired = deployment(json!({"name": "web", "image": "web:1",
        "resources": {"requests": {"cpu": 0.5, "memory": "1024Mi"}, "limits": {}},
        "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}], "args": [], "stdin": false}));
    let now = deployment(
        json!({"name": "web", "image": "web:1", "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "env": [{"name": "INJECTED", "value": "x"}, {"name": "A", "value": "1"}]}),
    );
    assert_eq!(compare(&desired, &live(now)).changes, []);
}

#[test]
fn differences_are_named_by_their_place() {
    let desired = deployment(
        json!({"name": "web", "image": "web:2", "env": [{"name": "A", "value": "2"}, {"name": "B"}]}),
    );
    let now =
        deployment(json!({"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}]}));
    assert_eq!(
        paths(&desired, &live(now)),
        [
            "spec.template.spec.containers[name=web].image",
            "spec.template.spec.containers[name=web].env[name=A].value",
            "spec.template.spec.containers[name=web].env[name=B]",
        ]
    );
}

#[test]
fn an_amount_is_only_an_amount_where_the_server_reads_one() {
    let desired = deployment(json!({"name": "web", "env": [{"name": "A", "value": "1"}]}));
    let now = deployment(json!({"name": "web", "env": [{"name": "A", "value": "1000m"}]}));
    assert_eq!(paths(&desired, &live(now)).len(), 1);
}

#[test]
fn lists_without_keys_are_compared_by_position_and_length() {
    let desired = deployment(json!({"name": "web", "args": ["a", "b"]}));
    for (args, same) in [
        (json!(["a", "b"]), true),
        (json!(["b", "a"]), false),
        (json!(["a"]), false),
    ] {
        let now = deployment(json!({"name": "web", "args": args}));
        assert_eq!(paths(&desired, &live(now)).is_empty(), same);
    }
}

#[test]
fn an_empty_pointer_is_kept_by_the_server_so_its_absence_is_a_difference() {
    let desired = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"volumes": [{"name": "tmp", "emptyDir": {}}],
        "automountServiceAccountToken": false, "hostNetwork": false}});
    let now = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"volumes": [{"name": "tmp", "hostPath": {"path": "/"}}]}});
    assert_eq!(
        paths(&desired, &live(now)),
        [
            "spec.volumes[name=tmp].emptyDir",
            "spec.automountServiceAccountToken"
        ]
    );
}

#[test]
fn what_was_applied_before_and_is_gone_from_the_manifest_is_removed() {
    let desired = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1"}});
    let now = Live {
        value: json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"},
            "data": {"a": "1", "b": "2", "theirs": "3"}}),
        owned: Some(json!({"f:data": {"f:a": {}, "f:b": {}}})),
        managers: Vec::new(),
    };
    let found = compare(&desired, &now);
    assert_eq!(found.changes.len(), 1);
    assert_eq!(found.changes[0].path, "data.b");
    assert_eq!(found.changes[0].to, None);
    assert_eq!(found.before["data"], json!({"a": "1", "b": "2"}));
}

#[test]
fn the_record_of_owned_fields_tells_the_keys_of_lists_of_any_kind() {
    let owned = json!({"f:spec": {"f:books": {"k:{\"isbn\":\"1\"}": {".": {}, "f:isbn": {}, "f:title": {}},
        "k:{\"isbn\":\"2\"}": {".": {}, "f:isbn": {}}}}});
    let desired = json!({"apiVersion": "example.org/v1", "kind": "Shelf", "spec": {"books": [{"isbn": "1", "title": "A"}]}});
    let now = Live {
        value: json!({"spec": {"books": [{"isbn": "0"}, {"isbn": "2"}, {"isbn": "1", "title": "B"}]}}),
        owned: Some(owned),
        managers: Vec::new(),
    };
    let found: Vec<_> = paths(&desired, &now)
        .into_iter()
        .filter(|path| path.starts_with("spec"))
        .collect();
    assert_eq!(found, ["spec.books[isbn=1].title", "spec.books[isbn=2]"]);
}

#[test]
fn an_empty_value_that_another_manager_removed_is_a_difference() {
    let desired = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"hostNetwork": false}});
    let now = |owned: Value| Live {
        value: json!({"apiVersion": "v1", "kind": "Pod", "spec": {}}),
        owned: Some(owned),
        managers: Vec::new(),
    };
    let recorded = now(json!({"f:spec": {"f:hostNetwork": {}}}));
    assert!(paths(&desired, &recorded).is_empty());
    let removed = now(json!({"f:spec": {"f:nodeSelector": {}}}));
    assert_eq!(paths(&desired, &removed), ["spec.hostNetwork"]);
}

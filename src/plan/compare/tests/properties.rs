//! Whatever is compared: no panic, nothing differs from itself, and what differs is found.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

/// Any JSON value, with names that the tables know and keys of records among the names.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        "[a-c]",
        Just("name".to_owned()),
        Just("containers".to_owned()),
        Just("env".to_owned()),
        Just("ports".to_owned()),
        Just("limits".to_owned()),
        Just("f:containers".to_owned()),
        Just("k:{\"name\":\"a\"}".to_owned()),
        Just("v:\"a\"".to_owned()),
        Just("k:broken".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]?|1Gi|500m|".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(name.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// An object of a built-in or of another kind, with this content.
fn object(builtin: bool, spec: Value) -> Value {
    let api_version = if builtin { "v1" } else { "example.org/v1" };
    json!({"apiVersion": api_version, "kind": "Pod", "spec": spec})
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(desired in any_json(), value in any_json(), owned in any_json()) {
        let live = Live { value, owned: Some(owned), managers: Vec::new() };
        let _any = compare(&desired, &live);
    }

    #[test]
    fn nothing_differs_from_itself(builtin: bool, spec in any_json()) {
        let object = object(builtin, spec);
        prop_assert_eq!(compare(&object, &live(object.clone())).changes, []);
    }

    #[test]
    fn what_is_missing_is_found(builtin: bool, spec in any_json()) {
        let desired = object(builtin, json!({"spec": spec, "more": {"a": 1}}));
        let mut now = desired.clone();
        now["spec"]["more"]["a"] = json!(2);
        prop_assert_eq!(paths(&desired, &live(now)), ["spec.more.a"]);
    }
}

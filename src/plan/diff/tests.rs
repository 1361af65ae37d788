use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::manifest::labels::Stamp;
use crate::plan::Inventory;

fn plan_of(action: Action, desired: Value, live: Option<Value>) -> Plan {
    let kind = desired["kind"].as_str().unwrap().to_owned();
    Plan {
        stamp: Stamp {
            app: "shop".into(),
            env: "a".into(),
            base: None,
            version: "a".into(),
        },
        namespace: "shop-a".into(),
        namespace_step: NamespaceStep::Keep,
        changes: vec![Change {
            key: ObjectKey {
                api_version: "v1".into(),
                kind,
                namespace: Some("shop-a".into()),
                name: "x".into(),
            },
            service: "web".into(),
            place: None,
            action,
            live: live.map(|value| Live {
                value,
                ..Live::default()
            }),
            desired: Some(desired),
        }],
        needs: BTreeMap::new(),
        recorded: None,
        inventory_during: Inventory::default(),
        inventory_after: Inventory::default(),
        kinds: BTreeMap::new(),
    }
}

fn change(path: &str, from: &str, to: &str) -> FieldChange {
    FieldChange {
        path: path.into(),
        from: Some(json!(from)),
        to: Some(json!(to)),
    }
}

#[test]
fn a_diff_shows_what_changes_and_not_what_the_server_added() {
    let desired =
        json!({"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "new", "b": "same"}});
    let live = json!({"kind": "ConfigMap", "metadata": {"name": "x", "uid": "1"}, "data": {"a": "old", "b": "same", "c": "theirs"}});
    let plan = plan_of(
        Action::Update(vec![change("data.a", "old", "new")]),
        desired,
        Some(live),
    );
    let text = render_diff(&plan).unwrap();
    assert!(text.starts_with("~ ConfigMap x [web]\n"), "{text}");
    assert!(
        text.contains("-  a: old") && text.contains("+  a: new"),
        "{text}"
    );
    assert!(!text.contains("uid") && !text.contains("theirs"), "{text}");
}

#[test]
fn values_of_secrets_are_shown_nowhere() {
    let desired = json!({"kind": "Secret", "metadata": {"name": "x"}, "data": {"a": "bmV3c2VjcmV0", "b": "c2FtZQ=="}});
    let live = json!({"kind": "Secret", "metadata": {"name": "x"}, "data": {"a": "b2xkc2VjcmV0", "b": "c2FtZQ=="}});
    let action = Action::Update(vec![change("data.a", "b2xkc2VjcmV0", "bmV3c2VjcmV0")]);
    for plan in [
        plan_of(action, desired.clone(), Some(live)),
        plan_of(Action::Create, desired, None),
    ] {
        let shown =
            render_diff(&plan).unwrap() + &serde_json::to_string(&diff_entries(&plan)).unwrap();
        for secret in ["bmV3c2VjcmV0", "b2xkc2VjcmV0", "c2FtZQ=="] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("(hidden, changed)"), "{shown}");
    }
}

#[test]
fn nothing_to_do_shows_nothing() {
    let desired = json!({"kind": "ConfigMap"});
    let plan = plan_of(Action::Unchanged, desired, None);
    assert_eq!(render_diff(&plan).unwrap(), "");
    assert!(diff_entries(&plan).is_empty());
}

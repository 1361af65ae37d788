use super::*;
use serde_json::{Value, json};

fn stamp() -> Stamp {
    Stamp {
        app: "shop".into(),
        env: "a".into(),
        base: None,
        version: "a".into(),
    }
}

fn ours() -> Value {
    json!({"app.kubernetes.io/managed-by": "dev", "dev/env": "a", "dev/app": "shop"})
}

/// An object by kind and metadata: neither recorded nor applied by `dev`.
fn seen(kind: (&str, &str), metadata: Value) -> Sighting {
    Sighting {
        kind: Resource::builtin(kind.0, kind.1).unwrap(),
        live: Live {
            value: json!({ "metadata": metadata }),
            owned: None,
            managers: Vec::new(),
        },
        recorded: false,
    }
}

/// One that `dev` applied for the environment.
fn applied(kind: (&str, &str), name: &str) -> Sighting {
    let metadata = json!({"name": name, "uid": format!("uid-{name}"), "labels": ours()});
    Sighting {
        live: Live {
            owned: Some(json!({})),
            ..seen(kind, metadata).live
        },
        recorded: true,
        ..seen(kind, Value::Null)
    }
}

/// One that these own.
fn owned_by(kind: (&str, &str), name: &str, owners: &[&str]) -> Sighting {
    let owners: Vec<Value> = owners
        .iter()
        .map(|owner| json!({"uid": format!("uid-{owner}")}))
        .collect();
    seen(
        kind,
        json!({"name": name, "uid": format!("uid-{name}"), "ownerReferences": owners}),
    )
}

fn classes(seen: &[Sighting]) -> Vec<Class> {
    classify(seen, &stamp(), &BTreeSet::new(), &Earlier::default())
}

const SECRET: (&str, &str) = ("v1", "Secret");
const CLAIM: (&str, &str) = ("v1", "PersistentVolumeClaim");
const DEPLOYMENT: (&str, &str) = ("apps/v1", "Deployment");
const SET: (&str, &str) = ("apps/v1", "StatefulSet");
const POD: (&str, &str) = ("v1", "Pod");

#[test]
fn only_what_the_environment_made_is_deleted() {
    let other = json!({"app.kubernetes.io/managed-by": "dev", "dev/env": "b", "dev/app": "shop"});
    let kept = json!({"name": "x", "labels": ours(), "annotations": {"dev/keep": "true"}});
    let adopted = json!({"name": "x", "labels": ours(), "ownerReferences": [{"uid": "elsewhere"}]});
    for (metadata, recorded, owned, expected) in [
        (
            json!({"name": "x", "labels": ours()}),
            false,
            true,
            Class::Owned,
        ),
        // Labels that were copied with an object are no proof.
        (
            json!({"name": "x", "labels": ours()}),
            false,
            false,
            Class::Foreign,
        ),
        (
            json!({"name": "x", "labels": other}),
            true,
            true,
            Class::Foreign,
        ),
        (json!({"name": "x"}), true, false, Class::Foreign),
        (json!({"name": "x"}), true, true, Class::Owned),
        (kept, true, true, Class::Kept),
        // Whoever owns it by now: `dev` applied it.
        (adopted.clone(), false, true, Class::Owned),
        (adopted.clone(), true, false, Class::Owned),
        (adopted, false, false, Class::Foreign),
    ] {
        let mut one = seen(SECRET, metadata.clone());
        one.recorded = recorded;
        one.live.owned = owned.then(|| json!({}));
        assert_eq!(classes(&[one]), [expected], "{metadata}");
    }
}

#[test]
fn what_belongs_to_objects_goes_or_stays_with_them() {
    let all = [
        applied(DEPLOYMENT, "web"),
        owned_by(("apps/v1", "ReplicaSet"), "web-1", &["web"]),
        owned_by(POD, "web-1-a", &["web-1"]),
        seen(DEPLOYMENT, json!({"name": "theirs", "uid": "uid-theirs"})),
        owned_by(POD, "theirs-a", &["theirs"]),
        owned_by(SECRET, "both", &["web", "theirs"]),
        // Nobody here made these.
        owned_by(SECRET, "elsewhere", &["cluster-wide"]),
        owned_by(SECRET, "half", &["web", "cluster-wide"]),
        owned_by(SECRET, "circle", &["circle-too"]),
        owned_by(SECRET, "circle-too", &["circle"]),
    ];
    use Class::{Dependent, Foreign, Owned};
    let expected = [
        Owned, Dependent, Dependent, Foreign, Dependent, Dependent, Foreign, Foreign, Foreign,
        Foreign,
    ];
    assert_eq!(classes(&all), expected);
}

#[test]
fn claims_are_those_of_our_sets_by_name_and_labels() {
    let mut set = applied(SET, "web");
    set.live.value["spec"] = json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}}]});
    let labelled = |name: &str| seen(CLAIM, json!({"name": name, "labels": ours()}));
    let all = [
        labelled("data-web-0"),
        labelled("backup"),
        labelled("old-gone-0"),
        seen(CLAIM, json!({"name": "data-web-1"})),
        set,
    ];
    // The set of the last one was pruned: the inventory remembers its template.
    let recorded = BTreeSet::from([ClaimTemplate {
        template: "old".into(),
        set: "gone".into(),
    }]);
    use Class::{Foreign, Owned};
    assert_eq!(
        classify(&all, &stamp(), &recorded, &Earlier::default()),
        [Owned, Foreign, Owned, Foreign, Owned]
    );
}

#[test]
fn what_is_in_every_namespace_is_no_reason_to_keep_one() {
    let account = |name: &str| json!({"name": "t", "annotations": {"kubernetes.io/service-account.name": name}});
    let config_map = ("v1", "ConfigMap");
    for (kind, metadata, expected) in [
        (
            ("v1", "ServiceAccount"),
            json!({"name": "default"}),
            Class::Ambient,
        ),
        (
            ("v1", "ServiceAccount"),
            json!({"name": "ci"}),
            Class::Foreign,
        ),
        (
            config_map,
            json!({"name": "kube-root-ca.crt"}),
            Class::Ambient,
        ),
        (config_map, json!({"name": "notes"}), Class::Foreign),
        (("v1", "Event"), json!({"name": "web.1"}), Class::Ambient),
        // Made by hand, though machines make such ones too.
        (SECRET, account("default"), Class::Foreign),
        (
            ("v1", "Endpoints"),
            json!({"name": "election"}),
            Class::Foreign,
        ),
        (
            ("discovery.k8s.io/v1", "EndpointSlice"),
            json!({"name": "database"}),
            Class::Foreign,
        ),
        (
            ("v1", "PodTemplate"),
            json!({"name": "batch"}),
            Class::Foreign,
        ),
        (
            ("apps/v1", "ControllerRevision"),
            json!({"name": "web-1"}),
            Class::Foreign,
        ),
    ] {
        assert_eq!(
            classes(&[seen(kind, metadata.clone())]),
            [expected],
            "{metadata}"
        );
    }
    // Nothing that such objects own goes unasked.
    let mut root = seen(
        config_map,
        json!({"name": "kube-root-ca.crt", "uid": "uid-root"}),
    );
    root.recorded = false;
    let both = [root, owned_by(SECRET, "x", &["root"])];
    assert_eq!(classes(&both), [Class::Ambient, Class::Foreign]);
}

#[test]
fn what_is_made_for_a_service_or_an_account_goes_with_it() {
    let all = [
        applied(("v1", "Service"), "web"),
        seen(
            ("v1", "Endpoints"),
            json!({"name": "web", "uid": "uid-ends", "labels": ours()}),
        ),
        owned_by(("discovery.k8s.io/v1", "EndpointSlice"), "web-x", &["web"]),
        owned_by(
            ("discovery.k8s.io/v1", "EndpointSlice"),
            "mirrored",
            &["ends"],
        ),
        applied(("v1", "ServiceAccount"), "ci"),
        seen(
            SECRET,
            json!({"name": "t", "annotations": {"kubernetes.io/service-account.name": "ci"}}),
        ),
    ];
    use Class::{Ambient, Dependent, Owned};
    assert_eq!(
        classes(&all),
        [Owned, Ambient, Dependent, Dependent, Owned, Dependent]
    );
    // When what they were made for is gone, they may be there for a moment longer.
    let earlier = Earlier::of(&all, &classes(&all), &Earlier::default());
    let left = [&all[1..4], &all[5..]].concat();
    assert_eq!(
        classify(&left, &stamp(), &BTreeSet::new(), &earlier),
        [Ambient, Dependent, Dependent, Dependent]
    );
    let applied = applied(("v1", "Endpoints"), "web");
    assert_eq!(classes(&[applied]), [Owned]);
}

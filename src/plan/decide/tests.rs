use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::manifest::Origin;

const NAMESPACE: &str = "shop-a";

fn stamp() -> Stamp {
    Stamp {
        app: "shop".into(),
        env: "a".into(),
        base: None,
        version: "a".into(),
    }
}

fn manifest(value: Value) -> Manifest {
    Manifest {
        value,
        origin: Origin {
            service: "web".into(),
            place: None,
        },
    }
}

fn config_map(name: &str, data: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": data}})
}

fn job(image: &str) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "seed"},
        "spec": {"template": {"spec": {"containers": [{"name": "seed", "image": image}]}}}})
}

fn desired(objects: &[Value]) -> Desired {
    Desired {
        stamp: stamp(),
        namespace: NAMESPACE.into(),
        objects: objects.iter().cloned().map(manifest).collect(),
        needs: BTreeMap::from([("web".to_owned(), Vec::new())]),
    }
}

/// A cluster in which these objects were applied by this environment, as the server would show them.
fn after_applying(objects: &[Value]) -> Observed {
    let mut observed = Observed {
        namespace: NamespaceState::Active {
            labels: BTreeMap::new(),
        },
        ..Observed::default()
    };
    let mut inventory = Inventory::default();
    for object in objects {
        let prepared = prepare(&manifest(object.clone()), &stamp(), NAMESPACE, None).unwrap();
        inventory.insert(prepared.key.clone(), "web");
        let live = Live {
            value: prepared.value,
            owned: None,
            managers: Vec::new(),
        };
        observed.objects.insert(Id::from(&prepared.key), live);
    }
    observed.inventory = Some(inventory);
    observed.kinds = [
        (("v1", "ConfigMap"), Some(("configmaps", true))),
        (("batch/v1", "Job"), Some(("jobs", true))),
        (
            ("v1", "PersistentVolumeClaim"),
            Some(("persistentvolumeclaims", true)),
        ),
        (("example.org/v1", "Shelf"), None),
    ]
    .into_iter()
    .map(|((api_version, kind), served)| {
        let served = served.map(|(plural, namespaced): (&str, bool)| Served {
            plural: plural.into(),
            namespaced,
        });
        ((api_version.to_owned(), kind.to_owned()), served)
    })
    .collect();
    observed
}

fn actions(objects: &[Value], observed: &Observed, options: &PlanOptions) -> Vec<(String, Action)> {
    plan(&desired(objects), observed, options)
        .unwrap()
        .changes
        .into_iter()
        .map(|change| (change.key.name, change.action))
        .collect()
}

fn edit(observed: &mut Observed, name: &str, change: impl Fn(&mut Live)) {
    let live = observed
        .objects
        .iter_mut()
        .find(|(id, _)| id.name == name)
        .map(|(_, live)| live)
        .unwrap();
    change(live);
}

fn blocked_reason(action: &Action) -> Option<&'static str> {
    match action {
        Action::Blocked(error) => error.reason_code(),
        _ => None,
    }
}

#[test]
fn a_second_plan_is_empty_and_a_first_one_is_not() {
    let objects = [config_map("a", "1"), job("x:1")];
    let first = plan(
        &desired(&objects),
        &Observed {
            kinds: after_applying(&[]).kinds,
            ..Observed::default()
        },
        &PlanOptions::default(),
    )
    .unwrap();
    assert_eq!(first.namespace_step, NamespaceStep::Create);
    assert_eq!(first.counts().create, 2);
    assert!(!first.is_empty());
    let second = plan(
        &desired(&objects),
        &after_applying(&objects),
        &PlanOptions::default(),
    )
    .unwrap();
    assert!(second.is_empty(), "{:?}", second.changes);
}

#[test]
fn what_somebody_changed_is_put_back() {
    let objects = [config_map("a", "1")];
    let mut observed = after_applying(&objects);
    edit(&mut observed, "a", |live| {
        live.value["data"]["x"] = json!("2")
    });
    let changes = actions(&objects, &observed, &PlanOptions::default());
    let Action::Update(fields) = &changes[0].1 else {
        panic!("{changes:?}")
    };
    assert_eq!(fields[0].path, "data.x");
    assert_eq!(
        (&fields[0].from, &fields[0].to),
        (&Some(json!("2")), &Some(json!("1")))
    );
}

#[test]
fn what_is_desired_no_more_is_pruned_unless_it_is_kept_or_out_of_scope() {
    let both = [config_map("a", "1"), config_map("b", "1")];
    let observed = after_applying(&both);
    let delete = ("b".to_owned(), Action::Delete);
    assert_eq!(
        actions(&both[..1], &observed, &PlanOptions::default())[1..],
        [delete]
    );

    let no_prune = PlanOptions {
        prune: false,
        ..PlanOptions::default()
    };
    assert_eq!(actions(&both[..1], &observed, &no_prune).len(), 1);
    let other_services = PlanOptions {
        services: Some(BTreeSet::from(["reviews".to_owned()])),
        ..PlanOptions::default()
    };
    let partial = plan(&desired(&both[..1]), &observed, &other_services).unwrap();
    assert_eq!(partial.changes.len(), 1);
    assert_eq!(
        partial.inventory_after.len(),
        2,
        "what is out of scope stays recorded"
    );

    let mut kept = observed.clone();
    edit(&mut kept, "b", |live| {
        live.value["metadata"]["annotations"][labels::KEEP] = json!("true");
    });
    assert_eq!(actions(&both[..1], &kept, &PlanOptions::default()).len(), 1);
}

#[test]
fn another_version_of_a_desired_kind_is_not_pruned() {
    let mut observed = after_applying(&[config_map("a", "1")]);
    let mut inventory = Inventory::default();
    inventory.insert(
        ObjectKey {
            api_version: "batch/v1beta1".into(),
            kind: "Job".into(),
            namespace: Some(NAMESPACE.into()),
            name: "seed".into(),
        },
        "web",
    );
    observed.inventory = Some(inventory);
    let plan = plan(&desired(&[job("x:1")]), &observed, &PlanOptions::default()).unwrap();
    assert_eq!(plan.counts().delete, 0);
}

#[test]
fn what_others_own_is_neither_changed_nor_deleted() {
    let objects = [config_map("a", "1")];
    let mut foreign = after_applying(&objects);
    edit(&mut foreign, "a", |live| {
        live.value["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
    });
    let changes = actions(&objects, &foreign, &PlanOptions::default());
    assert_eq!(blocked_reason(&changes[0].1), Some("NotMadeByDev"));
    let Action::Blocked(error) = &changes[0].1 else {
        unreachable!()
    };
    assert!(error.message().contains("Helm"), "{error}");

    let pruned = plan(&desired(&[]), &foreign, &PlanOptions::default()).unwrap();
    assert!(pruned.changes.is_empty());
    assert!(pruned.inventory_after.is_empty(), "it is forgotten");

    let mut other = after_applying(&objects);
    edit(&mut other, "a", |live| {
        live.value["metadata"]["labels"]["dev/env"] = json!("b")
    });
    let changes = actions(&objects, &other, &PlanOptions::default());
    assert_eq!(
        blocked_reason(&changes[0].1),
        Some("OwnedByAnotherEnvironment")
    );
}

#[test]
fn nothing_is_done_where_something_is_blocked() {
    let objects = [config_map("a", "1"), config_map("b", "1")];
    let mut observed = after_applying(&objects);
    for name in ["a", "b"] {
        edit(&mut observed, name, |live| {
            live.value["metadata"]["labels"] = json!({})
        });
    }
    let error = plan(&desired(&objects), &observed, &PlanOptions::default())
        .unwrap()
        .check()
        .unwrap_err();
    assert_eq!(error.reason_code(), Some("NotMadeByDev"));
    assert!(
        error.causes()[0].contains("ConfigMap b"),
        "{:?}",
        error.causes()
    );
}

#[test]
fn an_immutable_field_takes_permission_and_data_is_never_lost_by_it() {
    let observed = after_applying(&[job("x:1")]);
    let changes = actions(&[job("x:2")], &observed, &PlanOptions::default());
    assert_eq!(blocked_reason(&changes[0].1), Some("ImmutableField"));
    let recreate = PlanOptions {
        recreate: true,
        ..PlanOptions::default()
    };
    let changes = actions(&[job("x:2")], &observed, &recreate);
    assert!(matches!(&changes[0].1, Action::Recreate(recreate) if !recreate.going));

    let claim = |mode: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
            "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}}})
    };
    let observed = after_applying(&[claim("ReadWriteOnce")]);
    let changes = actions(&[claim("ReadWriteMany")], &observed, &recreate);
    let Action::Blocked(error) = &changes[0].1 else {
        panic!("{changes:?}")
    };
    assert!(
        error.hints()[0].contains("data on its volume"),
        "{:?}",
        error.hints()
    );
}

#[test]
fn what_is_being_deleted_is_awaited_and_made_anew_without_asking() {
    let objects = [config_map("a", "1")];
    let mut observed = after_applying(&objects);
    edit(&mut observed, "a", |live| {
        live.value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    let changes = actions(&objects, &observed, &PlanOptions::default());
    assert!(matches!(&changes[0].1, Action::Recreate(recreate) if recreate.going));
}

#[test]
fn a_terminating_namespace_is_awaited_and_its_content_counts_for_nothing() {
    let objects = [config_map("a", "1")];
    let mut observed = after_applying(&objects);
    observed.namespace = NamespaceState::Terminating {
        labels: BTreeMap::new(),
    };
    let plan = plan(&desired(&objects), &observed, &PlanOptions::default()).unwrap();
    assert_eq!(plan.namespace_step, NamespaceStep::AwaitEndThenCreate);
    assert_eq!(plan.changes[0].action, Action::Create);
    assert_eq!(plan.recorded, None);
}

#[test]
fn namespaces_of_others_are_refused() {
    let mut observed = after_applying(&[]);
    observed.namespace = NamespaceState::Active {
        labels: [
            (labels::MANAGED_BY, "dev"),
            (labels::ENV, "b"),
            (labels::APP, "shop"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
    };
    let error = plan(&desired(&[]), &observed, &PlanOptions::default()).unwrap_err();
    assert_eq!(error.reason_code(), Some("NamespaceTaken"));

    let system = Desired {
        namespace: "kube-system".into(),
        ..desired(&[])
    };
    let error = plan(&system, &observed, &PlanOptions::default()).unwrap_err();
    assert_eq!(error.reason_code(), Some("SystemNamespace"));
}

#[test]
fn an_object_twice_and_an_unknown_kind_are_errors() {
    let observed = after_applying(&[]);
    let twice = [config_map("a", "1"), config_map("a", "2")];
    let error = plan(&desired(&twice), &observed, &PlanOptions::default()).unwrap_err();
    assert_eq!(error.reason_code(), Some("DuplicateObject"));

    let shelf = json!({"apiVersion": "example.org/v1", "kind": "Shelf", "metadata": {"name": "a"}});
    let error = plan(
        &desired(std::slice::from_ref(&shelf)),
        &observed,
        &PlanOptions::default(),
    )
    .unwrap_err();
    assert_eq!(error.reason_code(), Some("UnknownKind"));
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "shelves.example.org"}, "spec": {"group": "example.org", "names": {"kind": "Shelf"}}});
    let with_definition = plan(
        &desired(&[definition, shelf]),
        &observed,
        &PlanOptions::default(),
    )
    .unwrap();
    assert_eq!(with_definition.counts().create, 2);
}

#[test]
fn a_kind_that_may_not_be_read_blocks_its_objects_only() {
    let mut observed = after_applying(&[]);
    observed.unreadable.insert(
        ("batch/v1".into(), "Job".into()),
        Error::cluster("may not").reason("MissingRight"),
    );
    let changes = actions(
        &[config_map("a", "1"), job("x:1")],
        &observed,
        &PlanOptions::default(),
    );
    assert_eq!(changes[0].1, Action::Create);
    assert_eq!(blocked_reason(&changes[1].1), Some("MissingRight"));
}

#[test]
fn a_version_may_live_in_the_namespace_of_its_base() {
    let mut observed = after_applying(&[]);
    observed.namespace = NamespaceState::Active {
        labels: [
            (labels::MANAGED_BY, "dev"),
            (labels::ENV, labels::BASE_VERSION),
            (labels::APP, "shop"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
    };
    let mut beside = desired(&[]);
    let error = plan(&beside, &observed, &PlanOptions::default()).unwrap_err();
    assert_eq!(error.reason_code(), Some("NamespaceTaken"));
    beside.stamp.base = Some(beside.namespace.clone());
    let planned = plan(&beside, &observed, &PlanOptions::default()).unwrap();
    assert_eq!(planned.namespace_step, NamespaceStep::Keep);
}

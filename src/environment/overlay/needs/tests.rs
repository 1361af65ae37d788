use super::*;
use crate::router::admission::Admission;
use crate::settings::tests::settings;

fn base(shared: Option<&[&str]>) -> Base {
    let admission = shared.map(|names| Admission {
        secrets: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Admission::default()
    });
    Base {
        name: "shop".into(),
        admission,
        ..Base::default()
    }
}

fn run(yaml: &str, base: &Base, expected: &[(&str, &str, &str)], facts: &Facts) -> Result<Brought> {
    let settings = settings(yaml);
    let expected: Vec<Expected> = expected
        .iter()
        .map(|(service, kind, name)| Expected {
            service: (*service).into(),
            kind: (*kind).into(),
            name: (*name).into(),
        })
        .collect();
    let choices = choices(&settings, &expected);
    decide(
        &settings,
        "shop-ann",
        base,
        &by_object(&expected),
        &choices,
        facts,
    )
}

const PLAIN: &str =
    "app: shop\nbase: shop\nservices:\n  reviews: {manifests: r}\n  web: {manifests: w}\n";

fn there(kind: &str, name: &str, value: Value) -> Facts {
    let mut facts = Facts::default();
    facts.base.insert((kind.into(), name.into()), Some(value));
    facts
}

#[test]
fn a_config_map_comes_along_clean_and_says_who_needs_it() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"},
        "metadata": {"name": "shared", "namespace": "shop", "uid": "1", "labels": {"app.kubernetes.io/managed-by": "Helm"}}});
    let facts = there("ConfigMap", "shared", map);
    let expected = [
        ("reviews", "ConfigMap", "shared"),
        ("web", "ConfigMap", "shared"),
    ];
    let brought = run(PLAIN, &base(None), &expected, &facts).unwrap();
    assert_eq!(
        brought.objects[0].value,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"},
            "metadata": {"name": "shared", "annotations": {"dev/needed-by": "reviews,web"}}})
    );
    assert_eq!(
        brought.said,
        ["reviews and web: ConfigMap shared is copied from shop"]
    );
    let gone = run(PLAIN, &base(None), &expected[..1], &Facts::default()).unwrap();
    assert!(gone.objects.is_empty() && gone.said[0].contains("must be in shop-ann"));
}

#[test]
fn a_secret_that_is_not_shared_is_named_with_who_can_share_it() {
    let expected = [("reviews", "Secret", "db"), ("web", "Secret", "key")];
    let error = run(PLAIN, &base(Some(&["other"])), &expected, &Facts::default()).unwrap_err();
    assert_eq!(error.reason_code(), Some("SecretNotShared"));
    assert!(
        error.message().contains("reviews needs the Secret db"),
        "{error}"
    );
    assert!(
        error.causes()[0].contains("web needs the Secret key"),
        "{error:?}"
    );
    assert!(
        error.hints()[0].contains(r#"kubectl -n shop patch configmap dev-admission --type merge -p '{"data":{"secrets":"[\"db\",\"other\"]"}}'"#),
        "{error:?}"
    );
    let mut facts = Facts::default();
    facts.here.insert(("Secret".into(), "db".into()));
    let by_hand = run(PLAIN, &base(None), &expected[..1], &facts).unwrap();
    assert!(
        by_hand.objects.is_empty(),
        "one that is there already is used"
    );

    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {"a": "eA=="}});
    let facts = there("Secret", "db", secret);
    let shared = run(PLAIN, &base(Some(&["db"])), &expected[..1], &facts).unwrap();
    assert_eq!(shared.objects[0].value["data"], json!({"a": "eA=="}));
}

#[test]
fn a_secret_that_the_person_may_not_read_is_wished_for() {
    let facts = Facts {
        given: BTreeSet::from(["db".to_owned()]),
        ..Facts::default()
    };
    let expected = [("reviews", "Secret", "db"), ("web", "Secret", "db")];
    let brought = run(PLAIN, &base(Some(&["db"])), &expected, &facts).unwrap();
    assert!(brought.objects.is_empty());
    let wishing: Vec<&String> = brought.wishes.keys().collect();
    assert_eq!(wishing, ["reviews", "web"]);
    assert!(
        brought.said[0].starts_with("reviews and web: Secret db is given by shop"),
        "{:?}",
        brought.said
    );
}

#[test]
fn a_claim_is_never_taken_over_silently() {
    let expected = [("reviews", "PersistentVolumeClaim", "data")];
    let error = run(PLAIN, &base(None), &expected, &Facts::default()).unwrap_err();
    assert_eq!(error.reason_code(), Some("ClaimNotChosen"));
    assert_eq!(error.place().and_then(|place| place.line), Some(4));

    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "volumeName": "pv-1", "resources": {"requests": {"storage": "1Gi"}}}});
    let chosen =
        "app: shop\nbase: shop\nservices:\n  reviews: {manifests: r, claims: {data: empty}}\n";
    let brought = run(
        chosen,
        &base(None),
        &expected,
        &there("PersistentVolumeClaim", "data", claim),
    )
    .unwrap();
    assert_eq!(
        brought.objects[0].value["spec"],
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}})
    );
}

#[test]
fn a_scratch_claim_becomes_a_directory_of_the_pod() {
    let volumes = json!([{"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "b", "persistentVolumeClaim": {"claimName": "other"}}]);
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"},
        "spec": {"template": {"spec": {"volumes": volumes}}}});
    let mut objects = [Manifest {
        value: deployment,
        origin: Origin::default(),
    }];
    use_scratch(
        &mut objects,
        &BTreeMap::from([("data".to_owned(), Claim::Scratch)]),
    );
    let volumes = &objects[0].value["spec"]["template"]["spec"]["volumes"];
    assert_eq!(volumes[0], json!({"name": "a", "emptyDir": {}}));
    assert!(volumes[1].get("persistentVolumeClaim").is_some());
}

#[test]
fn accounts_are_plain() {
    let expected = [("reviews", "ServiceAccount", "reviews")];
    let brought = run(PLAIN, &base(None), &expected, &Facts::default()).unwrap();
    assert_eq!(brought.objects[0].kind(), "ServiceAccount");
    assert!(
        brought.said[0].contains("without the roles"),
        "{:?}",
        brought.said
    );
    let role = |kind: &str, api: &str| Manifest {
        value: json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x"}}),
        origin: Origin::default(),
    };
    let (kept, skipped) = without_followed(vec![
        role("Role", "rbac.authorization.k8s.io/v1"),
        role("Secret", "v1"),
        role("Service", "v1"),
    ]);
    assert_eq!((kept.len(), skipped.len()), (1, 1));
}

//! What holds for every set of objects.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Mode, Target, transform, unknown_scope};
use crate::manifest::labels::Stamp;
use crate::manifest::{Manifest, ObjectKey, Origin, names, references, walk};

fn manifest(value: Value, service: &str) -> Manifest {
    Manifest {
        value,
        origin: Origin {
            service: service.to_owned(),
            place: None,
        },
    }
}

fn target(version: &str, suffix: bool) -> Target {
    Target {
        stamp: Stamp {
            app: "shop".into(),
            env: version.into(),
            base: Some("shop".into()),
            version: version.into(),
        },
        namespace: if suffix {
            "shop".into()
        } else {
            format!("shop-{version}")
        },
        home: vec!["shop".into()],
        suffix: suffix.then(|| version.to_owned()),
        domain: None,
        mode: Mode::Copy,
    }
}

/// Names from a small pool, so that references meet objects, with some that are long and some that end like a copy's.
fn name() -> impl Strategy<Value = String> {
    let pool: Vec<String> = ["web", "api", "db", "web-x", "a.b"]
        .into_iter()
        .map(str::to_owned)
        .chain([format!("long-{}", "x".repeat(47))])
        .collect();
    prop::sample::select(pool)
}

fn labels() -> impl Strategy<Value = Map<String, Value>> {
    let key = prop::sample::select(vec![
        "app",
        "tier",
        "app.kubernetes.io/name",
        "app.kubernetes.io/managed-by",
    ]);
    let value = prop::sample::select(vec!["web", "api", "web-a", "Helm", ""]);
    prop::collection::btree_map(key, value, 1..4).prop_map(|map| {
        map.into_iter()
            .map(|(k, v)| (k.to_owned(), json!(v)))
            .collect()
    })
}

fn pod() -> impl Strategy<Value = Value> {
    (name(), name(), name(), name(), labels(), any::<bool>()).prop_map(|(account, config, secret, claim, near, optional)| {
        json!({
            "serviceAccountName": account,
            "imagePullSecrets": [{"name": secret}],
            "topologySpreadConstraints": [{"labelSelector": {"matchLabels": near}}],
            "containers": [{
                "name": "c",
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k", "optional": optional}}}],
                "envFrom": [{"configMapRef": {"name": config}}],
            }],
            "volumes": [
                {"name": "a", "persistentVolumeClaim": {"claimName": claim}},
                {"name": "b", "projected": {"sources": [{"configMap": {"name": config}}, {"secret": {"name": secret}}]}},
            ],
        })
    })
}

/// A workload whose selector is part of its labels, as the API server demands.
fn workload() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec!["Deployment", "StatefulSet", "DaemonSet"]);
    (
        kind,
        name(),
        labels(),
        labels(),
        pod(),
        name(),
        any::<bool>(),
    )
        .prop_map(|(kind, name, selector, more, pod, service, expressions)| {
            let mut labels = more;
            labels.extend(selector.clone());
            let selector = if expressions {
                let list: Vec<Value> = selector
                    .iter()
                    .map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}))
                    .collect();
                json!({"matchExpressions": list})
            } else {
                json!({"matchLabels": selector})
            };
            json!({
                "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": labels},
                "spec": {
                    "serviceName": service, "selector": selector,
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            })
        })
}

fn other() -> impl Strategy<Value = Value> {
    let plain = prop::sample::select(vec![
        "ConfigMap",
        "Secret",
        "ServiceAccount",
        "PersistentVolumeClaim",
    ]);
    prop_oneof![
        4 => (plain, name()).prop_map(|(kind, name)| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}})),
        3 => (name(), labels()).prop_map(|(name, selector)| json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name.replace('.', "-")},
            "spec": {"selector": selector, "ports": [{"port": 80}]},
        })),
        1 => (name(), name(), name()).prop_map(|(name, role, account)| json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"kind": "Role", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "shop"}],
        })),
        1 => (name(), name(), name()).prop_map(|(name, service, secret)| json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
            "spec": {
                "tls": [{"secretName": secret}],
                "rules": [{"host": "shop.example.com", "http": {"paths": [{"backend": {"service": {"name": service}}}]}}],
            },
        })),
        1 => (name(), labels(), labels()).prop_map(|(name, to, from)| json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
            "spec": {"podSelector": {"matchLabels": to}, "ingress": [{"from": [{"podSelector": {"matchLabels": from}}]}]},
        })),
    ]
}

/// A set without duplicates.
fn set() -> impl Strategy<Value = Vec<Manifest>> {
    let object = prop_oneof![2 => workload(), 3 => other()];
    prop::collection::vec(object, 1..25).prop_map(|values| {
        let mut seen = BTreeSet::new();
        let objects = values.into_iter().map(|value| manifest(value, "web"));
        objects.filter(|object| seen.insert(object.key())).collect()
    })
}

/// Every reference of an object, in the order of the table.
fn refs(object: &Manifest) -> Vec<(String, String, Option<String>)> {
    let mut found = Vec::new();
    let mut value = object.value.clone();
    references::each(
        &mut value,
        object.key().group(),
        object.kind(),
        &mut |reference| {
            let name = reference.name().unwrap_or_default().to_owned();
            found.push((
                reference.kind.clone(),
                name,
                reference.namespace().map(str::to_owned),
            ));
        },
    );
    found
}

fn has(objects: &[Manifest], kind: &str, name: &str) -> bool {
    objects
        .iter()
        .any(|object| object.kind() == kind && object.name() == name)
}

fn pods(objects: &[Manifest]) -> Vec<(ObjectKey, Map<String, Value>)> {
    let template = |object: &Manifest| {
        let labels = walk::get(&object.value, "spec.template.metadata.labels")?;
        Some((object.key(), labels.as_object()?.clone()))
    };
    objects.iter().filter_map(template).collect()
}

/// Selectors by which Services and workloads take pods.
fn selectors(objects: &[Manifest]) -> Vec<(ObjectKey, Value)> {
    let takes = |kind: &str| matches!(kind, "Service" | "Deployment" | "StatefulSet" | "DaemonSet");
    let selector = |object: &Manifest| {
        let selector = object.value["spec"]["selector"].clone();
        let selector = if object.kind() == "Service" {
            json!({"matchLabels": selector})
        } else {
            selector
        };
        takes(object.kind()).then(|| (object.key(), selector))
    };
    objects.iter().filter_map(selector).collect()
}

fn matches(selector: &Value, labels: &Map<String, Value>) -> bool {
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let listed = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    let mut wanted = wanted.map(|(key, value)| labels.get(key) == Some(value));
    let mut listed = listed.map(|expression| {
        let values = expression["values"]
            .as_array()
            .expect("only In is generated");
        let key = expression["key"].as_str().expect("a key");
        labels.get(key).is_some_and(|value| values.contains(value))
    });
    wanted.all(|fits| fits) && listed.all(|fits| fits)
}

fn run(objects: &[Manifest], target: &Target) -> Option<Vec<Manifest>> {
    // A set in which `web-x` exists beside `web` cannot have a version `x`, which is an error and tested as such.
    transform(objects.to_vec(), target, &unknown_scope)
        .ok()
        .map(|result| result.objects)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_reference_to_the_set_meets_an_object(objects in set(), suffix: bool) {
        let target = target("v", suffix);
        let copies = run(&objects, &target).expect("no name ends in -v");
        prop_assert_eq!(copies.len(), objects.len());
        for (before, after) in objects.iter().zip(&copies) {
            let pairs = refs(before).into_iter().zip(refs(after));
            for ((kind, old, namespace), (_, new, moved)) in pairs {
                if has(&objects, &kind, &old) {
                    prop_assert!(has(&copies, &kind, &new), "{kind} {old} became {new}");
                    prop_assert_eq!(namespace.map(|_| target.namespace.clone()), moved);
                } else {
                    prop_assert_eq!((old, namespace), (new, moved));
                }
            }
            prop_assert_eq!(after.meta("namespace"), Some(target.namespace.as_str()));
            prop_assert!(names::check(after.kind(), after.name()).is_ok());
            prop_assert_eq!(after.label("dev/version"), Some("v"));
        }
        let keys: BTreeSet<_> = copies.iter().map(Manifest::key).collect();
        prop_assert_eq!(keys.len(), copies.len());
    }

    #[test]
    fn versions_never_share_pods(objects in set(), versions in prop::sample::subsequence(vec!["v", "w", "v-w", "w-v"], 2)) {
        let all: Vec<Vec<Manifest>> = std::iter::once(objects.clone())
            .chain(versions.iter().map(|version| run(&objects, &target(version, true)).expect("no clash")))
            .collect();
        for (mine, version) in all.iter().enumerate() {
            for (theirs, other) in all.iter().enumerate() {
                for (by, selector) in selectors(version) {
                    for (pod, labels) in pods(other) {
                        let shared = mine != theirs && matches(&selector, &labels);
                        prop_assert!(!shared, "{by} of {mine} selects the pods of {pod} of {theirs}: {selector} {labels:?}");
                    }
                }
            }
        }
        // Within a version the same pods are selected as in the original.
        for version in &all[1..] {
            for ((_, old), (by, new)) in selectors(&all[0]).iter().zip(selectors(version)) {
                for ((_, before), (pod, after)) in pods(&all[0]).iter().zip(pods(version)) {
                    prop_assert_eq!(matches(old, before), matches(&new, &after), "{} and {}", by, pod);
                }
            }
        }
    }

    #[test]
    fn a_namespace_of_its_own_leaves_selectors_alone(objects in set()) {
        let copies = run(&objects, &target("v", false)).expect("no clash");
        prop_assert_eq!(selectors(&objects).into_iter().map(|s| s.1).collect::<Vec<_>>(), selectors(&copies).into_iter().map(|s| s.1).collect::<Vec<_>>());
        for (by, selector) in selectors(&objects) {
            for ((_, before), (pod, after)) in pods(&objects).iter().zip(pods(&copies)) {
                let lost = matches(&selector, before) && !matches(&selector, &after);
                prop_assert!(!lost, "{by} no longer selects {pod}");
            }
        }
    }

    #[test]
    fn neither_repetition_nor_order_matters(objects in set(), suffix: bool, seed: u64) {
        let target = target("v", suffix);
        let once = transform(objects.clone(), &target, &unknown_scope).expect("no clash");
        prop_assert_eq!(&once, &transform(objects.clone(), &target, &unknown_scope).expect("no clash"));
        let mut shuffled = objects;
        let len = shuffled.len();
        for at in 0..len {
            shuffled.swap(at, (seed as usize).wrapping_mul(at + 7) % len);
        }
        let again = transform(shuffled, &target, &unknown_scope).expect("no clash");
        let sorted = |mut objects: Vec<Manifest>| {
            objects.sort_by_key(Manifest::key);
            objects
        };
        prop_assert_eq!(sorted(once.objects), sorted(again.objects));
        prop_assert_eq!(once.expected, again.expected);
    }
}

/// Values of any shape under the keys that the transform looks at.
fn odd() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!(7)),
        name().prop_map(Value::from),
        Just(json!("http://web.shop:80")),
    ];
    let keys = vec![
        "spec",
        "metadata",
        "template",
        "labels",
        "annotations",
        "selector",
        "matchLabels",
        "matchExpressions",
        "containers",
        "env",
        "valueFrom",
        "rules",
        "host",
        "tls",
        "ports",
        "data",
        "type",
        "name",
        "namespace",
        "volumes",
        "podSelector",
        "ingress",
        "from",
        "jobTemplate",
        "defaultBackend",
        "hostnames",
        "values",
        "key",
        "operator",
        "clusterIP",
        "externalIPs",
    ];
    leaf.prop_recursive(6, 60, 5, move |inner| {
        let key = prop::sample::select(keys.clone());
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            4 => prop::collection::vec((key, inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_shape_is_taken(
        values in prop::collection::vec((odd(), 0..KINDS.len()), 1..4),
        suffix: bool,
    ) {
        let objects = values.into_iter().enumerate().map(|(number, (mut value, kind))| {
            let (api_version, kind) = KINDS[kind];
            if !value.is_object() {
                value = json!({"spec": value});
            }
            value["apiVersion"] = json!(api_version);
            value["kind"] = json!(kind);
            if !value["metadata"].is_object() {
                value["metadata"] = json!({});
            }
            value["metadata"]["name"] = json!(format!("n{number}"));
            manifest(value, "web")
        });
        let _ = transform(objects.collect(), &target("v", suffix), &unknown_scope);
    }
}

const KINDS: [(&str, &str); 14] = [
    ("v1", "Service"),
    ("v1", "Pod"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("x.io/v1", "Thing"),
];

#[test]
fn a_copy_that_would_replace_an_object_of_the_set_is_refused() {
    let config = |name: &str| {
        manifest(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}),
            "web",
        )
    };
    let objects = vec![config("web"), config("web-x")];
    let error = transform(objects.clone(), &target("x", true), &unknown_scope).unwrap_err();
    assert_eq!(
        error.message(),
        "the copy of ConfigMap web would be named web-x, which is another ConfigMap"
    );
    assert!(transform(objects, &target("y", true), &unknown_scope).is_ok());
}

#[test]
fn names_that_get_too_long_are_shortened_and_their_references_follow() {
    let long = "x".repeat(60);
    let objects = vec![
        manifest(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": long}}),
            "web",
        ),
        manifest(
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
                "spec": {"rules": [{"host": "a.example.com", "http": {"paths": [{"backend": {"service": {"name": long}}}]}}]},
            }),
            "web",
        ),
    ];
    let result = transform(objects, &target("version", true), &unknown_scope).unwrap();
    let name = result.objects[0].name();
    assert_eq!(name.len(), 63);
    let backend = &result.objects[1].value["spec"]["rules"][0]["http"]["paths"][0]["backend"];
    assert_eq!(backend["service"]["name"], name);
}

#[test]
fn objects_of_the_cluster_are_left_out_by_what_the_cluster_says() {
    let object = |kind: &str| {
        manifest(
            json!({"apiVersion": "x.io/v1", "kind": kind, "metadata": {"name": "a"}}),
            "web",
        )
    };
    let scope = |api: &str, kind: &str| {
        (api == "x.io/v1" && kind == "Wide").then_some(super::Scope::Cluster)
    };
    let result = transform(
        vec![object("Wide"), object("Narrow")],
        &target("v", false),
        &scope,
    )
    .unwrap();
    assert_eq!(result.objects.len(), 1);
    assert!(result.skipped[0].reason.contains("whole cluster"));
}

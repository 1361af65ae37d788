//! Secrets that a base shares, on a real cluster: they are given to whom they may be given, by an account that can do nothing else.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Secret, Service};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::app::unique;
use crate::support::base::stream;
use crate::support::rights::{documented, get};
use crate::support::routers::{LONGEST, Routers, restricted_service};

fn secret(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"PASSWORD": value}})
}

/// Waits until a Secret is so.
async fn so(api: &Api<Secret>, name: &str, so: impl Fn(Option<&str>) -> bool) {
    let mut last = None;
    let asking = async {
        loop {
            let found = api.get_opt(name).await.unwrap();
            let data = found.as_ref().and_then(|secret| secret.data.clone());
            let value = data.and_then(|mut data| data.remove("PASSWORD"));
            last = value.map(|value| String::from_utf8(value.0).unwrap());
            if so(last.as_deref()) {
                return;
            }
            // Nothing tells when: nobody here may watch Secrets by name cheaply.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let in_time = tokio::time::timeout(LONGEST, asking).await;
    assert!(in_time.is_ok(), "{name} stays {last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_secret_is_given_to_a_copy_whose_developer_may_not_read_it() {
    let base = unique("secrets");
    let objects = [
        restricted_service("reviews", "reviews of the base"),
        restricted_service("ratings", "ratings of the base"),
        vec![
            secret("db", "first"),
            secret("own", "of the base"),
            secret("root", "nobody's business"),
        ],
    ]
    .concat();
    let Some(routers) = Routers::new("secrets", &base, &objects).await else {
        return;
    };
    let (ann, _guard) = routers.developer("ann").await;
    let namespace = format!("{base}-ann");
    let cluster = &routers.cluster;
    let rights = [documented("dev"), documented("dev-wishes")].concat();
    cluster.give(&namespace, &ann, &rights, None).await;
    let install = [
        "router",
        "install",
        "--share-secret",
        "db",
        "--share-secret",
        "own",
    ];
    routers.good(&install).await;
    routers.good(&["router", "admit", &namespace]).await;

    let mut copy = restricted_service("reviews", "reviews of {{ env }}");
    copy[0]["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"secretRef": {"name": "db"}}, {"secretRef": {"name": "own"}}]);
    routers.project.write("reviews.yaml", stream(&copy));
    let (here, there) = (
        Api::<Secret>::namespaced(cluster.client.clone(), &namespace),
        Api::<Secret>::namespaced(cluster.client.clone(), &base),
    );
    // One that the developer has made in place of the base's stays as it is.
    cluster.put(&namespace, &[secret("own", "of ann")]).await;
    let up = ["up", "reviews", "--overlay", "-e", "ann"];
    let run = routers.dev_as(Some(&ann), &up).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr.contains("Secret db is given by"),
        "{}",
        run.stderr
    );
    so(&here, "db", |value| value == Some("first")).await;
    let given = here.get("db").await.unwrap();
    let owners = given.metadata.owner_references.unwrap();
    assert_eq!(
        (owners[0].kind.as_str(), owners[0].name.as_str()),
        ("Service", "reviews")
    );
    so(&here, "own", |value| value == Some("of ann")).await;

    // It is kept as the base's is, and the developer still cannot read that.
    let change = json!({"stringData": {"PASSWORD": "second"}});
    let patch = Patch::Merge(&change);
    there
        .patch("db", &PatchParams::default(), &patch)
        .await
        .unwrap();
    so(&here, "db", |value| value == Some("second")).await;
    assert!(!cluster.may(&base, &ann, &get("secrets", "db")).await);
    // The account that gives can do nothing else.
    let provisioner = format!("system:serviceaccount:{base}:dev-provisioner");
    for (place, name) in [(&base, "root"), (&namespace, "own"), (&namespace, "db")] {
        assert!(
            !cluster
                .may(place, &provisioner, &get("secrets", name))
                .await,
            "{place}/{name}"
        );
    }

    // Whatever else is wished for: what is not shared, what is another's, from a namespace that is not admitted.
    let stranger = format!("{base}-eve");
    let _stranger = cluster.namespace(&stranger).await;
    let wish = |name: &str, wishes: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"dev/base": base},
            "annotations": {"dev/secrets": wishes}}, "spec": {"ports": [{"port": 80}]}})
    };
    cluster.put(&stranger, &[wish("x", "db")]).await;
    cluster
        .put(&namespace, &[wish("greedy", "root,own,db")])
        .await;
    let services = Api::<Service>::namespaced(cluster.client.clone(), &namespace);
    let owned_by_two = async {
        loop {
            let given = here.get("db").await.unwrap();
            if given.metadata.owner_references.unwrap_or_default().len() == 2 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LONGEST, owned_by_two).await.unwrap();
    assert!(here.get_opt("root").await.unwrap().is_none());
    so(&here, "own", |value| value == Some("of ann")).await;
    let of_stranger = Api::<Secret>::namespaced(cluster.client.clone(), &stranger);
    assert!(of_stranger.get_opt("db").await.unwrap().is_none());
    let said = routers.json(&["router", "status"]).await["problems"].to_string();
    assert!(said.contains("wishes for the Secret root"), "{said}");
    services
        .delete("greedy", &DeleteParams::default())
        .await
        .unwrap();

    // It goes with the copy that needs it, and nothing else does.
    let back = ["down", "reviews", "-e", "ann"];
    let run = routers.dev_as(Some(&ann), &back).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    so(&here, "db", |value| value.is_none()).await;
    so(&here, "own", |value| value == Some("of ann")).await;

    // And when it is shared no more, while a copy still wishes for it.
    let run = routers.dev_as(Some(&ann), &up).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    so(&here, "db", |value| value == Some("second")).await;
    routers
        .good(&["router", "install", "--share-secret", "own"])
        .await;
    so(&here, "db", |value| value.is_none()).await;
    so(&there, "db", |value| value == Some("second")).await;
    let record =
        Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(cluster.client.clone(), &base);
    let empty = async {
        loop {
            let data = record
                .get("dev-given-secrets")
                .await
                .unwrap()
                .data
                .unwrap_or_default();
            if !data.contains_key(&format!("{namespace}.db")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LONGEST, empty).await.unwrap();
}

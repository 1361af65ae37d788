//! The whole way of a request, and of everything that makes it: installation, environment, insertion, removal, end.

use serde_json::{Value, json};

use crate::support::app::unique;
use crate::support::load::{Load, Plan};
use crate::support::routers::{Routers, answer, restricted_service, until};

/// The header lines by which a request may name the environment `ann`.
const NAMES_ANN: [&str; 4] = [
    "baggage: dev-env=ann\r\n",
    "baggage: user=7, dev-env=a%6En;secret;n=1 ,region=eu\r\n",
    "baggage: user=7\r\nBaggage: dev-env=ann\r\n",
    "x-dev-env: ann\r\n",
];

/// Header lines that name no environment that overrides the Service.
const NAMES_NOBODY: [&str; 4] = [
    "",
    "baggage: user=7\r\n",
    "baggage: dev-env=bob\r\n",
    "x-dev-env: base\r\n",
];

/// A base's objects, but for the versions and times of writes: what is there must be what was there, not how often its owner wrote it.
fn without_versions(
    mut objects: std::collections::BTreeMap<String, Value>,
) -> Vec<(String, Value)> {
    for object in objects.values_mut() {
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.remove("resourceVersion");
        let managers = metadata.get_mut("managedFields");
        for entry in managers.and_then(Value::as_array_mut).into_iter().flatten() {
            entry.as_object_mut().unwrap().remove("time");
        }
    }
    objects.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_names_an_environment_reaches_its_copy_and_all_others_the_base() {
    let base = unique("control");
    let objects = [
        restricted_service("reviews", "reviews of the base"),
        restricted_service("ratings", "ratings of the base"),
    ]
    .concat();
    let Some(routers) = Routers::new("control", &base, &objects).await else {
        return;
    };
    let (ann, _guard) = routers.developer("ann").await;
    let before = without_versions(routers.objects().await);
    let reviews = routers.address(&base, "reviews").await;
    let load = Load::start(&[Plan {
        to: reviews,
        env: None,
        kept: 2,
        new: 1,
        answers: &["reviews of the base\n"],
    }]);
    routers.good(&["router", "install"]).await;
    routers
        .good(&["router", "admit", &format!("{base}-ann")])
        .await;

    let up = ["up", "reviews", "--overlay", "-e", "ann", "-o", "json"];
    let up = routers.dev_as(Some(&ann), &up).await;
    assert_eq!(up.code, 0, "{}", up.stderr);
    let report: Value = serde_json::from_str(&up.stdout).unwrap();
    assert_eq!(report["overlay"]["routing"]["state"], "routed", "{report}");
    // Nodes follow a changed Service within a second.
    until(reviews, NAMES_ANN[0], "reviews of ann").await;
    for headers in NAMES_ANN {
        let (head, body) = answer(reviews, headers).await;
        assert_eq!(body, "reviews of ann", "{headers}");
        assert!(head.contains("x-dev-route: reviews=ann\r\n"), "{head}");
    }
    for headers in NAMES_NOBODY {
        let (head, body) = answer(reviews, headers).await;
        assert_eq!(body, "reviews of the base", "{headers}");
        assert_eq!(
            head.contains("x-dev-route"),
            headers.contains("dev-env"),
            "{headers}: {head}"
        );
    }
    // From a pod, on whichever node it is.
    let inside = format!("http://reviews.{base}");
    let get = ["exec", "reviews", "-e", "ann", "--", "/testbox", "get"];
    let tagged = [&get[..], &["-header", "baggage: dev-env=ann", &inside]].concat();
    assert_eq!(routers.exec(&tagged).await, "reviews of ann");
    let plain = [&get[..], &[&inside]].concat();
    assert_eq!(routers.exec(&plain).await, "reviews of the base");

    let status = routers.json(&["router", "status"]).await;
    let services = status["services"].as_array().unwrap();
    let states: Vec<&Value> = services.iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["base", "routed"], "{status}");
    assert_eq!(services[1]["environments"]["ann"], 1, "{status}");

    // A Service with a label in its selector that the routers do not carry: they are rolled, and go on answering.
    let mut carts = restricted_service("carts", "carts of the base");
    let labels = json!({"app": "carts", "tier": "back"});
    carts[0]["spec"]["selector"]["matchLabels"] = labels.clone();
    carts[0]["spec"]["template"]["metadata"]["labels"] = labels.clone();
    carts[1]["spec"]["selector"] = labels;
    routers.cluster.put(&base, &carts).await;
    let copy = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "carts", "labels": {"dev/base": base}},
        "spec": {"selector": {"app": "reviews"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}});
    let env = format!("{base}-ann");
    routers.cluster.put(&env, std::slice::from_ref(&copy)).await;
    routers.settled("carts", true).await;
    let address = routers.address(&base, "carts").await;
    until(address, NAMES_ANN[0], "reviews of ann").await;
    until(address, "", "carts of the base").await;
    routers.cluster.delete(&env, &copy).await;
    for object in &carts {
        routers.cluster.delete(&base, object).await;
    }

    // Its owner writes what was there before, as every deployment of an unchanged base does.
    routers.cluster.put(&base, &objects).await;
    routers.stood_down("reviews").await;
    until(reviews, NAMES_ANN[0], "reviews of the base").await;
    let shown = routers
        .dev_as(Some(&ann), &["status", "-e", "ann", "-o", "json"])
        .await;
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    let told = shown["overlay"]["unreachable"]["reviews"].as_str();
    assert!(
        told.is_some_and(|told| told.ends_with("somebody else changed its selector or ports")),
        "{shown}"
    );
    routers.good(&["router", "resume", "reviews"]).await;
    until(reviews, NAMES_ANN[0], "reviews of ann").await;

    routers.good(&["down", "-e", "ann"]).await;
    until(reviews, NAMES_ANN[0], "reviews of the base").await;
    routers.good(&["router", "uninstall"]).await;
    for (after, before) in without_versions(routers.objects().await)
        .iter()
        .zip(&before)
    {
        assert_eq!(after, before);
    }
    assert_eq!(routers.objects().await.len(), before.len());
    assert_eq!(routers.outside().await, [""; 0]);
    load.more(100).await;
    load.stop()
        .await
        .none_failed("from before the installation to after its end");
}

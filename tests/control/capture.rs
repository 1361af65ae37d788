//! Nobody takes requests that are not theirs: neither those of another environment nor those of a base that did not admit them. What
//! is tried here is put there with all rights, so that it is not the rights which prevent it; those are looked at by themselves.

use serde_json::{Value, json};

use crate::support::app::unique;
use crate::support::cluster::Cluster;
use crate::support::rights::{Right, documented};
use crate::support::routers::{Routers, answer, restricted_service, until};

const ANN: &str = "baggage: dev-env=ann\r\n";
const MAL: &str = "baggage: dev-env=mal\r\n";

/// A Service of an environment.
fn own(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels},
        "spec": {"selector": {"app": "own"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}})
}

/// A pod that says whose it is, in a namespace of its own.
async fn namespace(cluster: &Cluster, name: &str, env: &str) -> crate::support::cluster::Guard {
    let mut deployment = restricted_service("own", &format!("reviews of {env}"));
    deployment.pop();
    cluster.base(name, &deployment).await
}

/// Everybody gets what is theirs.
struct Theirs<'a> {
    routers: &'a Routers,
    reviews: std::net::SocketAddr,
    /// What requests with the name `mal` get.
    mal: &'static str,
}

impl Theirs<'_> {
    /// Whatever was written before this has reached the routers when it returns, and everybody gets what is theirs.
    async fn check(&self, tried: &str) {
        self.mark().await;
        for (headers, theirs) in [
            ("", "reviews of the base"),
            (ANN, "reviews of ann"),
            (MAL, self.mal),
        ] {
            for _ in 0..4 {
                let (_, body) = answer(self.reviews, headers).await;
                assert_eq!(body, theirs, "{tried}: {headers:?}");
            }
        }
    }

    /// Watches keep the order of what is written: when a version that comes now is led to, all before it was seen. It goes again.
    async fn mark(&self) {
        let base = &self.routers.base;
        let namespace = format!("{base}-mark");
        let mark = own("marked", &json!({"dev/base": base}));
        self.routers
            .cluster
            .put(&namespace, std::slice::from_ref(&mark))
            .await;
        self.led(true).await;
        self.routers.cluster.delete(&namespace, &mark).await;
        self.led(false).await;
    }

    async fn led(&self, wanted: bool) {
        loop {
            let status = self.routers.json(&["router", "status"]).await;
            let services = status["services"].as_array().unwrap();
            let marked = services.iter().find(|one| one["name"] == "marked").unwrap();
            if (marked["environments"]["mark"] == 1) == wanted {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_reach_nobody_else_whatever_somebody_writes_into_a_namespace_of_theirs() {
    let base = unique("capture");
    let objects = [
        restricted_service("reviews", "reviews of the base"),
        restricted_service("marked", "marked of the base"),
    ]
    .concat();
    let Some(routers) = Routers::new("control: capture", &base, &objects).await else {
        return;
    };
    let cluster = &routers.cluster;
    let names = ["ann", "mal", "mark"].map(|env| format!("{base}-{env}"));
    let [ann, mal, mark] = &names;
    let _guards = [
        namespace(cluster, ann, "ann").await,
        namespace(cluster, mal, "mal").await,
        namespace(cluster, mark, "mark").await,
    ];
    routers.good(&["router", "install"]).await;
    routers.good(&["router", "admit", ann]).await;
    routers.good(&["router", "admit", mark]).await;
    let of_base = json!({"dev/base": base});
    cluster.put(ann, &[own("reviews", &of_base)]).await;
    cluster.put(mark, &[own("marked", &of_base)]).await;
    for service in ["reviews", "marked"] {
        routers.settled(service, true).await;
    }
    let reviews = routers.address(&base, "reviews").await;
    until(reviews, ANN, "reviews of ann").await;

    let mut theirs = Theirs {
        routers: &routers,
        reviews,
        mal: "reviews of the base",
    };
    theirs.check("nothing").await;
    // The base did not admit this namespace.
    for labels in [
        json!({"dev/base": base}),
        json!({"dev/base": base, "dev/env": "mal"}),
        json!({"dev/base": base, "dev/env": "ann", "dev/service": "reviews", "dev/version": "ann", "app.kubernetes.io/managed-by": "dev"}),
        json!({"dev/base": base, "dev/env": "base", "dev/version": "base"}),
    ] {
        cluster.put(mal, &[own("reviews", &labels)]).await;
        theirs
            .check(&format!("a Service with the labels {labels}"))
            .await;
    }
    for (label, value) in [("dev/env", "ann"), ("dev/base", base.as_str())] {
        cluster.label_namespace(mal, label, value).await;
    }
    theirs.check("labels of the namespace").await;
    let mut shadow = own(
        "reviews-dev-base",
        &json!({"dev/base": base, "dev/shadow": "reviews", "app.kubernetes.io/managed-by": "dev"}),
    );
    shadow["metadata"]["annotations"] = json!({"dev/ports": "{\"80/TCP\":20000}"});
    cluster.put(mal, &[shadow]).await;
    theirs.check("a shadow of a Service of the base").await;
    let list = json!([{"namespace": mal, "env": "ann"}]).to_string();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "dev-admission", "labels": of_base}, "data": {"environments": list}});
    cluster.put(mal, &[map]).await;
    theirs.check("an admission list of their own").await;

    // Admitted by a name of its own, it gets the requests of that name.
    routers.good(&["router", "admit", mal]).await;
    theirs.mal = "reviews of mal";
    until(reviews, MAL, "reviews of mal").await;
    theirs.check("its own name").await;
    let labels = json!({"dev/base": base, "dev/env": "ann"});
    cluster.put(mal, &[own("reviews", &labels)]).await;
    theirs.check("the label of another environment").await;
    let taken = routers
        .dev_as(None, &["router", "admit", mal, "--env", "ann"])
        .await;
    assert_ne!(taken.code, 0, "{}", taken.stderr);
    // Addresses of others: each of these slices is of the environment's own Service, and full of pods that are not its own.
    for (what, target) in [
        ("no pod", Value::Null),
        (
            "a pod of the base",
            json!({"kind": "Pod", "namespace": base, "name": "marked"}),
        ),
        (
            "a pod of another environment",
            json!({"kind": "Pod", "namespace": ann, "name": "own"}),
        ),
        (
            "something that is no pod",
            json!({"kind": "Node", "name": "own", "namespace": mal}),
        ),
    ] {
        let mut slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "reviews-foreign", "labels": {"kubernetes.io/service-name": "reviews", "dev/base": base}},
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [routers.pod_address("marked").await], "conditions": {"ready": true}}]});
        if !target.is_null() {
            slice["endpoints"][0]["targetRef"] = target;
        }
        cluster.put(mal, &[slice]).await;
        theirs.check(&format!("an EndpointSlice of {what}")).await;
    }
    // A name for something else is no version.
    cluster.delete(mal, &own("reviews", &labels)).await;
    let alias = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "reviews", "labels": labels},
        "spec": {"type": "ExternalName", "externalName": format!("marked.{base}.svc.cluster.local"), "ports": [{"name": "http", "port": 80}]}});
    cluster.put(mal, &[alias]).await;
    theirs.mal = "reviews of the base";
    until(reviews, MAL, theirs.mal).await;
    theirs.check("a name for another Service of the base").await;

    // And what is done in the base takes rights that a developer does not have.
    let user = routers.user("mallory", "Role", "dev-router-status").await;
    cluster.give(mal, &user, &documented("dev"), None).await;
    let borrower = [documented("dev-borrower"), documented("dev-borrower-sees")].concat();
    cluster.give(&base, &user, &borrower, None).await;
    for (group, resource) in [
        ("", "configmaps"),
        ("", "services"),
        ("", "endpoints"),
        ("", "pods"),
        ("discovery.k8s.io", "endpointslices"),
        ("apps", "deployments"),
        ("coordination.k8s.io", "leases"),
    ] {
        for verb in ["create", "update", "patch", "delete"] {
            let right = Right::new(verb, group, resource);
            assert!(!cluster.may(&base, &user, &right).await, "{}", right.told());
        }
    }
    // Where addresses of anybody could be written, they have no right in their own namespace either.
    for (group, resource) in [("", "endpoints"), ("discovery.k8s.io", "endpointslices")] {
        let right = Right::new("create", group, resource);
        assert!(!cluster.may(mal, &user, &right).await, "{}", right.told());
    }
    let admit = routers
        .dev_as(Some(&user), &["router", "admit", &format!("{base}-eve")])
        .await;
    assert_eq!(admit.code, 3, "{}", admit.stderr);
}

use serde_json::{Value, json};

use super::*;

fn service(extra: Value) -> Service {
    let mut object = json!({
        "metadata": {"name": "reviews", "namespace": "shop", "labels": {"app": "reviews"}},
        "spec": {"clusterIP": "10.0.0.1", "selector": {"app": "reviews"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    merge(&mut object, extra);
    serde_json::from_value(object).unwrap()
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

fn around(pod: Value) -> Surroundings {
    let mut object = json!({"metadata": {"name": "reviews-1", "labels": {"app": "reviews"}}, "spec": {"containers": [{"name": "main"}]}});
    merge(&mut object, pod);
    Surroundings {
        base: "shop".into(),
        pods: vec![Arc::new(serde_json::from_value(object).unwrap())],
        router_labels: BTreeMap::from([("app".into(), "dev-router".into())]),
        ..Surroundings::default()
    }
}

fn ids(service: &Service, around: &Surroundings) -> (Vec<&'static str>, Vec<&'static str>) {
    let judgement = judge(service, &Routing::of(service), around);
    let ids = |list: &[Finding]| list.iter().map(|found| found.id).collect();
    (ids(&judgement.refused), ids(&judgement.limits))
}

#[test]
fn an_ordinary_service_is_supported() {
    assert_eq!(
        ids(&service(json!({})), &around(json!({}))),
        (vec![], vec![])
    );
    let all = json!({"spec": {"type": "LoadBalancer", "publishNotReadyAddresses": true, "externalTrafficPolicy": "Cluster",
        "internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "ports": [
            {"name": "grpc", "port": 80, "targetPort": 8080, "nodePort": 30000}, {"name": "web", "appProtocol": "http", "port": 81, "targetPort": "web"}]}});
    assert_eq!(ids(&service(all), &around(json!({}))), (vec![], vec![]));
}

/// Every row that can be detected, by a Service that is one of them and nothing else.
#[test]
fn every_row_is_found() {
    let cases: Vec<(&str, Value, Value)> = vec![
        (
            "DefaultTargetPort",
            json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 80}]}}),
            json!({}),
        ),
        (
            "PartialSelector",
            json!({"spec": {"selector": {"a": "b"}}}),
            json!({}),
        ),
        (
            "PassedThrough",
            json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443}]}}),
            json!({}),
        ),
        (
            "StatefulSet",
            json!({}),
            json!({"metadata": {"ownerReferences": [{"kind": "StatefulSet", "name": "reviews", "apiVersion": "apps/v1", "uid": "1"}]}}),
        ),
        (
            "Topology",
            json!({"spec": {"trafficDistribution": "PreferClose"}}),
            json!({}),
        ),
        (
            "ExternalName",
            json!({"spec": {"type": "ExternalName", "externalName": "a.b", "clusterIP": null}}),
            json!({}),
        ),
        (
            "Headless",
            json!({"spec": {"clusterIP": "None"}}),
            json!({}),
        ),
        ("NoSelector", json!({"spec": {"selector": null}}), json!({})),
        (
            "ReservedSelector",
            json!({"spec": {"selector": {"app": "dev-router"}}}),
            json!({}),
        ),
        (
            "NotTcp",
            json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"}]}}),
            json!({}),
        ),
        (
            "ClientIpAffinity",
            json!({"spec": {"sessionAffinity": "ClientIP"}}),
            json!({}),
        ),
        (
            "InternalTrafficPolicy",
            json!({"spec": {"internalTrafficPolicy": "Local"}}),
            json!({}),
        ),
        (
            "ExternalTrafficPolicy",
            json!({"spec": {"externalTrafficPolicy": "Local"}}),
            json!({}),
        ),
        (
            "PodTargets",
            json!({"metadata": {"annotations": {"cloud.google.com/neg": "{\"ingress\": true}"}}}),
            json!({}),
        ),
        (
            "Mesh",
            json!({}),
            json!({"metadata": {"annotations": {"sidecar.istio.io/status": "{}"}}}),
        ),
        (
            "Mesh",
            json!({}),
            json!({"metadata": {"labels": {"sidecar.istio.io/inject": "true"}}}),
        ),
        (
            "Mesh",
            json!({"metadata": {"labels": {"istio.io/dataplane-mode": "ambient"}}}),
            json!({}),
        ),
        (
            "Mesh",
            json!({}),
            json!({"metadata": {"annotations": {"linkerd.io/inject": "enabled"}}}),
        ),
        (
            "Scraped",
            json!({"metadata": {"annotations": {"prometheus.io/scrape": "true"}}}),
            json!({}),
        ),
        (
            "OwnObject",
            json!({"metadata": {"name": "dev-router"}}),
            json!({}),
        ),
    ];
    let mut found: Vec<&str> = Vec::new();
    for (id, change, pod) in cases {
        let (refused, limits) = ids(&service(change.clone()), &around(pod));
        let all = [refused, limits].concat();
        assert_eq!(all, [id], "{change}");
        found.push(id);
    }
    // Tested below, or not to be seen in the cluster.
    found.extend([
        "NoHttpPort",
        "NetworkPolicy",
        "Http",
        "TargetPort",
        "SourceAddress",
    ]);
    for row in TABLE {
        assert!(found.contains(&row.id), "{} has no test", row.id);
    }
}

#[test]
fn without_a_port_known_to_be_http_nothing_is_routed() {
    let tls = json!({"spec": {"ports": [{"name": "https", "port": 443, "targetPort": 8443}]}});
    assert_eq!(ids(&service(tls), &around(json!({}))).0, ["NoHttpPort"]);
}

#[test]
fn a_pod_may_be_out_of_the_mesh_of_its_namespace() {
    let mut shop = around(json!({}));
    shop.namespace_labels = BTreeMap::from([("istio-injection".into(), "enabled".into())]);
    assert_eq!(ids(&service(json!({})), &shop).0, ["Mesh"]);
    shop.pods = around(json!({"metadata": {"labels": {"sidecar.istio.io/inject": "false"}}})).pods;
    assert_eq!(ids(&service(json!({})), &shop).0, Vec::<&str>::new());
    shop.namespace_labels = BTreeMap::from([("istio-injection".into(), "disabled".into())]);
    shop.pods.clear();
    assert_eq!(ids(&service(json!({})), &shop).0, Vec::<&str>::new());
}

#[test]
fn monitors_and_policies_around_it_count() {
    let mut shop = around(json!({}));
    shop.monitors = vec![Monitor {
        name: "monitoring/all".into(),
        sees_base: true,
        selector: serde_json::from_value(json!({"matchLabels": {"app": "reviews"}})).unwrap(),
    }];
    assert_eq!(ids(&service(json!({})), &shop).0, ["Scraped"]);
    shop.monitors[0].sees_base = false;
    assert_eq!(ids(&service(json!({})), &shop).0, Vec::<&str>::new());
    let policy = json!({"metadata": {"name": "closed"}, "spec": {"podSelector": {}}});
    shop.policies = vec![Arc::new(serde_json::from_value(policy).unwrap())];
    let judgement = judge(
        &service(json!({})),
        &Routing::of(&service(json!({}))),
        &shop,
    );
    assert_eq!(judgement.refused[0].id, "NetworkPolicy");
    assert!(
        judgement
            .refusal()
            .unwrap()
            .contains("NetworkPolicy closed refuses the routers at its pods; needed: {")
    );
}

#[test]
fn the_page_of_the_documentation_is_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/support.md");
    if std::env::var_os("DEV_UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/support.md is not the table: run the test with DEV_UPDATE_DOCS=1 to write it"
    );
}

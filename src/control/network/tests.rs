use serde_json::json;

use super::*;

fn pod(name: &str, labels: serde_json::Value) -> Arc<Pod> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}]},
        }))
        .unwrap(),
    )
}

fn refusal(policies: &[serde_json::Value]) -> Option<String> {
    let policies: Vec<_> = policies
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            let policy = json!({"metadata": {"name": format!("p{index}")}, "spec": spec});
            Arc::new(serde_json::from_value(policy).unwrap())
        })
        .collect();
    let reviews = pod("reviews", json!({"app": "reviews"}));
    let pods = [reviews.clone(), pod("web", json!({"app": "web"}))];
    let router = Labels::from([
        ("app".to_owned(), "dev-router".to_owned()),
        ("app.kubernetes.io/name".to_owned(), "dev-router".to_owned()),
    ]);
    let network = Network {
        base: "shop",
        namespace: &Labels::new(),
        policies: &policies,
        pods: &pods,
        router: &router,
    };
    network.refusal(
        "reviews",
        &[&reviews],
        &[IntOrString::String("http".into()), IntOrString::Int(8080)],
    )
}

/// The policy in the advice, to be applied as it is.
fn advised(refusal: &str) -> serde_json::Value {
    let (_, policy) = refusal.split_once("needed: ").unwrap();
    let policy: serde_json::Value = serde_json::from_str(policy).unwrap();
    policy["spec"].clone()
}

#[test]
fn without_policies_and_with_those_of_others_everything_passes() {
    assert_eq!(refusal(&[]), None);
    let others = json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": []});
    assert_eq!(refusal(&[others]), None);
    let open = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]});
    assert_eq!(refusal(&[open]), None);
}

#[test]
fn pods_of_one_namespace_among_themselves_need_nothing() {
    let own = json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]});
    assert_eq!(refusal(&[own]), None);
    let named = json!({"podSelector": {}, "ingress": [{"from": [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}]}]});
    assert_eq!(refusal(&[named]), None);
}

#[test]
fn what_is_advised_is_enough() {
    let closed = json!({"podSelector": {}});
    let mine = json!({"podSelector": {"matchLabels": {"app": "reviews"}}, "ingress": [
        {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": "http"}]}]});
    let open = json!({"podSelector": {"matchLabels": {"app": "reviews"}}, "ingress": [{"ports": [{"port": 8080}]}]});
    let no_way_out = json!({"podSelector": {"matchLabels": {"app.kubernetes.io/name": "dev-router"}}, "policyTypes": ["Egress"]});
    for begin in [
        vec![mine.clone()],
        vec![closed.clone(), mine],
        vec![closed, open],
        vec![no_way_out],
    ] {
        let mut policies = begin.clone();
        for _ in 0..3 {
            let Some(refusal) = refusal(&policies) else {
                break;
            };
            policies.push(advised(&refusal));
        }
        assert_eq!(refusal(&policies), None, "{begin:?} → {policies:#?}");
        assert!(policies.len() > begin.len(), "{begin:?}");
    }
}

#[test]
fn the_routers_must_not_open_what_a_policy_closes() {
    // The routers reach the pods, but everybody reaches the routers.
    let mine = json!({"podSelector": {"matchLabels": {"app": "reviews"}}, "ingress": [
        {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}, {"podSelector": {"matchLabels": {"app": "dev-router"}}}]}]});
    let told = refusal(&[mine]).unwrap();
    assert!(told.contains("accept only some clients"), "{told}");
}

#[test]
fn clients_that_may_go_only_to_the_pods_are_told() {
    let web = json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"], "egress": [
        {"to": [{"podSelector": {"matchLabels": {"app": "reviews"}}}]}]});
    let told = refusal(&[web]).unwrap();
    assert!(
        told.contains("NetworkPolicy p0 keeps clients from the routers"),
        "{told}"
    );
    let both = json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"], "egress": [
        {"to": [{"podSelector": {"matchLabels": {"app": "reviews"}}}]},
        {"to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "dev-router"}}}], "ports": [{"port": 20000, "endPort": 32767}]}]});
    assert_eq!(refusal(&[both]), None);
}

#[test]
fn addresses_and_other_ports_do_not_count() {
    let addresses = json!({"podSelector": {"matchLabels": {"app": "reviews"}}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]});
    assert!(refusal(&[addresses]).is_some());
    let all = json!({"podSelector": {"matchLabels": {"app": "reviews"}}, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]});
    assert_eq!(refusal(&[all]), None);
    let other_port = json!({"podSelector": {"matchLabels": {"app": "reviews"}}, "ingress": [{"ports": [{"port": 9090}]}]});
    assert!(refusal(&[other_port]).is_some());
}

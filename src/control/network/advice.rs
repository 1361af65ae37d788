//! The NetworkPolicy that would let routing work, as one line of YAML to apply (or to commit, where the base is kept in Git).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::control::ROUTER;
use crate::control::listeners::RANGE;
use crate::control::support::ROUTER_LABEL;

/// Lets the routers reach the pods of a Service.
pub(super) fn to_pods(
    service: &str,
    base: &str,
    labels: &BTreeMap<String, String>,
    targets: &[IntOrString],
    pod: &Pod,
) -> String {
    let ports: BTreeSet<u16> = targets
        .iter()
        .filter_map(|target| super::resolve(pod, target))
        .map(|ports| *ports.numbers.start())
        .collect();
    let ports: Vec<Value> = ports.iter().map(|port| json!({"port": port})).collect();
    let mut labels = labels.clone();
    // It changes with each rollout.
    labels.remove("pod-template-hash");
    needed(
        &format!("dev-router-to-{service}"),
        base,
        &json!({"matchLabels": labels}),
        &json!({"ingress": [{"from": [{"podSelector": router()}], "ports": ports}]}),
    )
}

/// Lets clients of pods that everybody may reach reach the routers.
pub(super) fn open_routers(base: &str) -> String {
    needed(ROUTER, base, &router(), &json!({"ingress": [{}]}))
}

/// Lets the clients of a Service, and nobody else, reach the routers.
pub(super) fn same_sources(service: &str, base: &str, sources: &BTreeSet<String>) -> String {
    let from: Vec<Value> = sources
        .iter()
        .filter_map(|peer| serde_json::from_str(peer).ok())
        .collect();
    needed(
        &format!("dev-router-for-{service}"),
        base,
        &router(),
        &json!({"ingress": [{"from": from, "ports": [listeners()]}]}),
    )
}

/// Lets the routers reach everything: Services, environments and the API server.
pub(super) fn from_routers(base: &str) -> String {
    needed(
        ROUTER,
        base,
        &router(),
        &json!({"policyTypes": ["Egress"], "egress": [{}]}),
    )
}

/// Lets clients that a policy restricts reach the routers.
pub(super) fn to_routers(policy: &str, base: &str) -> String {
    let rule = json!({"to": [{"podSelector": router()}], "ports": [listeners()]});
    format!("needed in namespace {base}, in that policy ({policy}): an egress rule {rule}")
}

fn needed(name: &str, base: &str, pods: &Value, rules: &Value) -> String {
    let mut spec = json!({"podSelector": pods});
    if let (Value::Object(spec), Value::Object(rules)) = (&mut spec, rules) {
        spec.extend(rules.clone());
    }
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": base}, "spec": spec,
    });
    format!("needed: {policy}")
}

fn router() -> Value {
    json!({"matchLabels": {(ROUTER_LABEL): ROUTER}})
}

fn listeners() -> Value {
    json!({"port": RANGE.start(), "endPort": RANGE.end()})
}

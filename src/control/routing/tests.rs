use serde_json::json;

use super::*;

fn routing(selector: serde_json::Value, ports: serde_json::Value) -> Routing {
    serde_json::from_value(json!({"selector": selector, "ports": ports})).unwrap()
}

fn original() -> Routing {
    routing(
        json!({"app": "reviews", "version": "v1", "app.kubernetes.io/managed-by": "Helm"}),
        json!([{"name": "http", "port": 80, "targetPort": "http"}, {"name": "db", "port": 5432, "targetPort": 5432}]),
    )
}

fn ports() -> Listeners {
    Listeners::from([("80/TCP".into(), 20_000), ("5432/TCP".into(), 20_001)])
}

#[test]
fn a_routed_service_has_the_keys_that_routers_can_carry() {
    let routed = original().routed(&ports());
    assert_eq!(
        routed,
        routing(
            json!({"app": "dev-router", "version": "dev-router"}),
            json!([{"name": "http", "port": 80, "targetPort": 20000}, {"name": "db", "port": 5432, "targetPort": 20001}]),
        )
    );
    assert_eq!(routed.marks(&original(), &ports()), Marks::All);
    assert_eq!(original().marks(&original(), &ports()), Marks::None);
    assert_eq!(routed.owners(&original(), &ports()), original());
    assert_eq!(original().owners(&original(), &ports()), original());
}

#[test]
fn node_ports_are_no_change() {
    let mut routed = original().routed(&ports());
    routed.ports[0].node_port = Some(30_080);
    assert_eq!(routed.marks(&original(), &ports()), Marks::All);
    assert_eq!(
        routed.owners(&original(), &ports()).ports[0].node_port,
        Some(30_080)
    );
}

#[test]
fn what_somebody_wrote_stands_and_the_rest_is_the_originals() {
    let routed = original().routed(&ports());
    // One label by a patch.
    let mut mixed = routed.clone();
    mixed.selector.insert("version".into(), "v2".into());
    assert_eq!(mixed.marks(&original(), &ports()), Marks::Some);
    let mut meant = original();
    meant.selector.insert("version".into(), "v2".into());
    assert_eq!(mixed.owners(&original(), &ports()), meant);

    // A label taken away, another port's number, and a new port.
    let mut mixed = routed.clone();
    mixed.selector.remove("version");
    mixed.ports[1].port = 5433;
    mixed.ports.push(
        serde_json::from_value(json!({"name": "new", "port": 81, "targetPort": 8081})).unwrap(),
    );
    assert_eq!(mixed.marks(&original(), &ports()), Marks::Some);
    assert_eq!(
        mixed.owners(&original(), &ports()),
        routing(
            json!({"app": "reviews", "app.kubernetes.io/managed-by": "Helm"}),
            json!([{"name": "http", "port": 80, "targetPort": "http"}, {"name": "db", "port": 5433, "targetPort": 5432},
                   {"name": "new", "port": 81, "targetPort": 8081}]),
        )
    );

    // The selector is the owner's, target ports are not.
    let mut mixed = routed;
    mixed.selector = original().selector;
    assert_eq!(mixed.marks(&original(), &ports()), Marks::Some);
    assert_eq!(mixed.owners(&original(), &ports()), original());
}

#[test]
fn a_selector_that_routers_cannot_satisfy_is_never_routed() {
    let only = routing(json!({"pod-template-hash": "a"}), json!([]));
    assert!(only.routed(&Listeners::new()).selector.is_empty());
    assert_eq!(only.marks(&only, &Listeners::new()), Marks::None);
}

use serde_json::json;

use super::*;

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn service(name: &str, spec: Value) -> Service {
    parse(json!({
        "metadata": {"name": name, "namespace": "shop-ann", "labels": {"dev/service": name}},
        "spec": spec,
    }))
}

fn node(address: Value, ready: &str) -> Node {
    parse(json!({"metadata": {"name": "n"}, "status": {
        "addresses": address, "conditions": [{"type": "Ready", "status": ready}],
    }}))
}

fn texts(exposed: &Exposed, service: &str) -> Vec<String> {
    exposed
        .urls(service, "ann")
        .into_iter()
        .map(|url| url.url)
        .collect()
}

#[test]
fn a_cluster_ip_is_reached_from_inside_only() {
    let exposed = Exposed {
        services: vec![service(
            "web",
            json!({"ports": [
                {"port": 80, "name": "http"}, {"port": 9000, "name": "metrics"}, {"port": 53, "protocol": "UDP"},
            ]}),
        )],
        ..Exposed::default()
    };
    let urls = exposed.urls("web", "ann");
    assert!(urls.iter().all(|url| url.inside));
    assert_eq!(
        texts(&exposed, "web"),
        ["http://web.shop-ann.svc", "tcp://web.shop-ann.svc:9000"]
    );
    assert_eq!(texts(&exposed, "other"), Vec::<String>::new());
}

#[test]
fn the_scheme_is_the_app_protocol_before_the_name_before_the_number() {
    let cases = [
        (json!({"port": 80}), "http"),
        (json!({"port": 8443}), "https"),
        (json!({"port": 5432}), "tcp"),
        (json!({"port": 1, "name": "http-web"}), "http"),
        (json!({"port": 1, "name": "grpc"}), "grpc"),
        (json!({"port": 1, "name": "https"}), "https"),
        (
            json!({"port": 80, "name": "http", "appProtocol": "https"}),
            "https",
        ),
        (
            json!({"port": 80, "appProtocol": "kubernetes.io/h2c"}),
            "http",
        ),
        (
            json!({"port": 80, "name": "http", "appProtocol": "example.com/own"}),
            "tcp",
        ),
    ];
    for (port, expected) in cases {
        assert_eq!(scheme(&parse(port.clone())), expected, "{port}");
    }
}

#[test]
fn a_node_port_is_on_a_ready_node_and_external_addresses_come_first() {
    let inner = json!([{"type": "InternalIP", "address": "10.0.0.1"}]);
    let both = json!([{"type": "InternalIP", "address": "10.0.0.2"}, {"type": "ExternalIP", "address": "203.0.113.9"}]);
    let spec = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
    let mut exposed = Exposed {
        services: vec![service("web", spec)],
        nodes: vec![node(inner, "True"), node(both.clone(), "True")],
        ..Exposed::default()
    };
    assert_eq!(texts(&exposed, "web"), ["http://203.0.113.9:30080"]);
    exposed.nodes[1] = node(both, "False");
    assert_eq!(texts(&exposed, "web"), ["http://10.0.0.1:30080"]);
    exposed.nodes.clear();
    assert_eq!(texts(&exposed, "web"), ["http://web.shop-ann.svc"]);
}

#[test]
fn a_load_balancer_without_an_address_falls_back_to_its_node_port() {
    let spec = json!({"type": "LoadBalancer", "ports": [{"port": 443, "nodePort": 30443}]});
    let mut exposed = Exposed {
        services: vec![service("web", spec)],
        nodes: vec![node(
            json!([{"type": "InternalIP", "address": "fd00::1"}]),
            "True",
        )],
        ..Exposed::default()
    };
    assert_eq!(texts(&exposed, "web"), ["https://[fd00::1]:30443"]);
    exposed.services[0].status = Some(parse(
        json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}),
    ));
    assert_eq!(texts(&exposed, "web"), ["https://198.51.100.7"]);
}

#[test]
fn an_ingress_gives_host_path_and_encryption() {
    let ingress: Ingress = parse(json!({
        "metadata": {"name": "shop"},
        "spec": {
            "tls": [{"hosts": ["*.example.com"]}],
            "rules": [
                {"host": "ann.example.com", "http": {"paths": [
                    {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
                    {"path": "/api/(.*)", "pathType": "ImplementationSpecific", "backend": {"service": {"name": "api", "port": {"number": 80}}}},
                ]}},
                {"host": "plain.test", "http": {"paths": [
                    {"path": "/shop", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
                ]}},
                {"http": {"paths": [
                    {"pathType": "Prefix", "backend": {"service": {"name": "anyhost", "port": {"number": 80}}}},
                ]}},
            ],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}},
    }));
    let ports = || json!({"ports": [{"port": 80}]});
    let exposed = Exposed {
        services: vec![
            service("web", ports()),
            service("api", ports()),
            service("anyhost", ports()),
        ],
        ingresses: vec![ingress],
        ..Exposed::default()
    };
    assert_eq!(
        texts(&exposed, "web"),
        ["https://ann.example.com", "http://plain.test/shop"]
    );
    assert_eq!(texts(&exposed, "api"), ["https://ann.example.com/api"]);
    assert_eq!(texts(&exposed, "anyhost"), ["http://198.51.100.7"]);
    assert_eq!(
        exposed.urls("web", "ann")[0].via,
        Via::Ingress {
            name: "shop".to_owned()
        }
    );
}

#[test]
fn an_http_route_takes_scheme_port_and_address_from_its_gateway() {
    let gateway = json!({
        "metadata": {"name": "edge", "namespace": "infra"},
        "spec": {"listeners": [
            {"name": "plain", "protocol": "HTTP", "port": 8080},
            {"name": "tls", "protocol": "HTTPS", "port": 443},
        ]},
        "status": {"addresses": [{"type": "IPAddress", "value": "198.51.100.8"}]},
    });
    let route = |parent: Value, hosts: Value| {
        json!({
            "metadata": {"name": "shop", "namespace": "shop-ann"},
            "spec": {
                "parentRefs": [parent], "hostnames": hosts,
                "rules": [
                    {"matches": [{"path": {"type": "PathPrefix", "value": "/shop"}}], "backendRefs": [{"name": "web", "port": 80}]},
                    {"backendRefs": [{"name": "other", "port": 80}]},
                ],
            },
        })
    };
    let mut exposed = Exposed {
        services: vec![service("web", json!({"ports": [{"port": 80}]}))],
        routes: vec![route(
            json!({"name": "edge", "namespace": "infra"}),
            json!(["ann.example.com"]),
        )],
        gateways: vec![gateway],
        ..Exposed::default()
    };
    assert_eq!(texts(&exposed, "web"), ["https://ann.example.com/shop"]);
    let plain = json!({"name": "edge", "namespace": "infra", "sectionName": "plain"});
    exposed.routes = vec![route(plain, json!([]))];
    assert_eq!(texts(&exposed, "web"), ["http://198.51.100.8:8080/shop"]);
    // A Gateway that cannot be read gives no address: better none than a wrong one.
    exposed.gateways.clear();
    assert_eq!(texts(&exposed, "web"), ["http://web.shop-ann.svc"]);
}

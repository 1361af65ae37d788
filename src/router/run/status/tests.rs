//! What a router says in each state of its Envoy.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::router::ads::Rejection;
use crate::router::envoy::{Snapshot, snapshot};
use crate::router::model::{Override, RoutedService, Table};

fn known() -> Known {
    let address = |last: u8| SocketAddr::from(([10, 0, 0, last], 9080));
    let ann = Override {
        namespace: "shop-ann".into(),
        endpoints: BTreeSet::from([address(3)]),
        fallback: false,
    };
    let bob = Override {
        namespace: "shop-bob".into(),
        ..Override::default()
    };
    let web = RoutedPort {
        listener: 20001,
        protocol: Protocol::Http,
        base: BTreeSet::from([address(1), address(2)]),
        overrides: BTreeMap::from([("ann".to_owned(), ann), ("bob".to_owned(), bob)]),
    };
    let redis = RoutedPort {
        listener: 20002,
        protocol: Protocol::Tcp,
        base: BTreeSet::from([address(9)]),
        overrides: BTreeMap::new(),
    };
    let one = |number: u16, port: RoutedPort| RoutedService {
        ports: BTreeMap::from([(number, port)]),
    };
    let table = Table {
        base: "shop".into(),
        services: BTreeMap::from([
            ("web".to_owned(), one(80, web)),
            ("redis".to_owned(), one(6379, redis)),
        ]),
        environments: ["ann".to_owned(), "bob".to_owned()].into(),
        edge: None,
    };
    Known {
        synced: true,
        snapshot: Arc::new(snapshot(&table)),
        table: Arc::new(table),
        troubles: vec!["services: connection refused".to_owned()],
        peers: Vec::new(),
        switched: BTreeSet::from(["web".to_owned()]),
    }
}

/// An Envoy that has all of a snapshot but what `without` says.
fn has(snapshot: &Snapshot, without: &[(Kind, &str)]) -> Acked {
    let mut acked = Acked::connected();
    for kind in Kind::ALL {
        for (name, resource) in kind.of(snapshot) {
            if !without.contains(&(kind, name)) {
                acked.set(kind, name.clone(), Some(resource.version.clone()));
            }
        }
    }
    acked
}

fn status(without: &[(Kind, &str)]) -> PodStatus {
    let known = known();
    PodStatus::new("dev-router-0", &known, &has(&known.snapshot, without))
}

#[test]
fn the_form_is_as_it_was_agreed() {
    let text = serde_json::to_string(&status(&[])).unwrap();
    assert_eq!(
        text,
        r#"{"pod":"dev-router-0","synced":true,"acked":{"redis":{"ports":{"6379":{"listener":20002,"base":1,"envs":{}}},"switched":false},"web":{"ports":{"80":{"listener":20001,"base":2,"envs":{"ann":1,"bob":0}}},"switched":true}},"errors":["services: connection refused"]}"#
    );
}

#[test]
fn only_what_envoy_has_counts() {
    let web = "svc|web|80";
    assert!(!status(&[(Kind::Listeners, web)]).acked.contains_key("web"));
    assert!(!status(&[(Kind::Routes, web)]).acked.contains_key("web"));
    let without = status(&[(Kind::Clusters, "env|ann|web|80")]);
    let envs = &without.acked["web"].ports[&80].envs;
    assert_eq!(*envs, BTreeMap::from([("bob".to_owned(), 0)]));
    let without = status(&[(Kind::Endpoints, "env|ann|web|80")]);
    assert!(!without.acked["web"].ports[&80].envs.contains_key("ann"));
    let without = status(&[(Kind::Endpoints, "base|web|80")]);
    assert_eq!(without.acked["web"].ports[&80].base, 0);
    assert!(
        !status(&[(Kind::Listeners, "svc|redis|6379")])
            .acked
            .contains_key("redis")
    );
}

#[test]
fn with_older_routes_the_port_is_served_but_leads_nobody_to_a_version() {
    let known = known();
    let mut acked = has(&known.snapshot, &[]);
    acked.set(
        Kind::Routes,
        "svc|web|80".to_owned(),
        Some("old".to_owned()),
    );
    let status = PodStatus::new("p", &known, &acked);
    assert_eq!(status.acked["web"].ports[&80].listener, 20001);
    assert!(status.acked["web"].ports[&80].envs.is_empty());
}

#[test]
fn without_envoy_nothing_is_acknowledged_and_what_it_refuses_is_told() {
    let known = known();
    let status = PodStatus::new("p", &known, &Acked::default());
    assert!(status.acked.is_empty());
    assert_eq!(status.errors[1], "Envoy is not connected");
    let mut acked = has(&known.snapshot, &[]);
    acked.rejections.push(Rejection {
        kind: Kind::Clusters,
        name: "env|ann|web|80".to_owned(),
        message: "no\n".to_owned(),
    });
    let status = PodStatus::new("p", &known, &acked);
    assert_eq!(status.errors[1], "Envoy refuses cluster env|ann|web|80: no");
}

#[test]
fn who_waits_for_an_environment_waits_for_something_ready() {
    let wanted = |service: &str, env: Option<&str>| Wanted {
        service: Some(service.to_owned()),
        env: env.map(str::to_owned),
    };
    let all = status(&[]);
    assert!(all.holds(&Wanted::default()));
    assert!(all.holds(&wanted("web", None)));
    assert!(all.holds(&wanted("web", Some("ann"))));
    assert!(!all.holds(&wanted("web", Some("bob"))), "nothing is ready");
    assert!(!all.holds(&wanted("web", Some("cat"))));
    assert!(!all.holds(&wanted("api", None)));
    let mut old = all;
    old.synced = false;
    assert!(!old.holds(&wanted("web", Some("ann"))));
    assert!(!old.holds(&Wanted::default()));
}

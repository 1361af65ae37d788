//! Clients of both address families.

use std::net::{Ipv6Addr, SocketAddr};

use dev::router::envoy::{Families, Options, snapshot_with};
use dev::router::families::here;
use dev::router::model::Table;

use super::world::table;
use crate::support::backend::{Backend, Greeter};
use crate::support::envoy::{Client, Envoy, ask, free_port, loopback, program};
use crate::support::left_out::left_out;
use crate::support::router::{Fed, Server};

fn on(families: Families) -> Options {
    Options {
        families,
        ..Options::default()
    }
}

#[tokio::test]
async fn one_listener_takes_ipv4_and_ipv6() {
    let test = "one_listener_takes_ipv4_and_ipv6";
    let Some(program) = program(test) else {
        return;
    };
    if here() == Families::Ipv4 {
        left_out(&format!("{test} needs IPv6"));
        return;
    }
    let (base, ann) = (Backend::start("base").await, Backend::start("ann").await);
    let redis = Greeter::start().await;
    let port = free_port().await;
    let table = table(
        port,
        free_port().await,
        base.address,
        ann.address,
        redis.address,
    );
    let _envoy = Envoy::start_with(&on(Families::Both), &program, &table).await;
    for address in [
        loopback(port),
        SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
    ] {
        for (header, expected) in [("", "base"), ("baggage: dev-env=ann\r\n", "ann")] {
            let request = format!("GET / HTTP/1.1\r\nHost: reviews\r\n{header}\r\n");
            let (_, body) = ask(address, &request).await;
            assert_eq!(body, expected, "{address}");
        }
    }
    // What the pod is told of its client is the same either way.
    for head in base.heads() {
        assert!(!head.to_ascii_lowercase().contains("ffff"), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_on_both_and_count_as_no_client() {
    let test = "probes_are_answered_on_both_and_count_as_no_client";
    let Some(program) = program(test) else {
        return;
    };
    for families in [here(), Families::Ipv4] {
        let mut envoy = Fed::new_on(families, &program).await;
        let server = Server::start(
            &envoy.ads(),
            snapshot_with(&on(families), &Table::default()),
        );
        envoy.start(600);
        server.accepted().await;
        envoy.serves().await;
        let mut addresses = vec![loopback(envoy.ready)];
        if families == Families::Both {
            addresses.push(SocketAddr::from((Ipv6Addr::LOCALHOST, envoy.ready)));
        }
        let mut probes = Vec::new();
        for address in addresses {
            let mut probe = Client::connect(address).await;
            probe.send("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").await;
            let (head, _) = probe.response().await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{address}: {head}");
            probes.push(probe);
        }
        assert_eq!(
            envoy.admin().connections().await.unwrap(),
            0,
            "{families:?}"
        );
    }
}

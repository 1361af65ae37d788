//! Clients of both address families.

use std::net::{Ipv6Addr, SocketAddr};

use dev::router::envoy::Families;
use dev::router::families::here;

use super::world::table;
use crate::support::backend::{Backend, Greeter};
use crate::support::envoy::{Envoy, ask, free_port, loopback, program};
use crate::support::left_out::left_out;

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
    let _envoy = Envoy::start_on(Families::Both, &program, &table).await;
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

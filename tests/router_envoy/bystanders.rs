//! Requests without an environment: nobody notices Envoy.

use super::world::{World, table};
use crate::support::backend::{ANSWER, Backend};
use crate::support::envoy::{Client, Envoy, ask, free_port, loopback, program};

/// Requests that arrive byte for byte as they were sent. One that has `X-Forwarded-Proto` has it last: Envoy moves it.
pub const UNTOUCHED: [&str; 12] = [
    "GET / HTTP/1.1\r\nHost: reviews\r\n\r\n",
    "GET /a//b/../c%2Fd%2e?x=1&x=2%20 HTTP/1.1\r\nhOsT: reviews:9080\r\nX-CaSe: Yes\r\naccept: */*\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: reviews\r\nX-Request-Id: mine\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: reviews\r\nX-Forwarded-For: 10.0.0.1, 192.0.2.1\r\nVia: 1.1 x\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: reviews\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: reviews\r\nX-Forwarded-Client-Cert: By=x\r\nX-Forwarded-Host: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: reviews\r\nCookie: a=1\r\nCookie: b=2\r\nX-Under_Score: 1\r\nX-Empty: \r\n\r\n",
    "GET / HTTP/1.1\r\nHost: reviews\r\nUser-Agent: \r\nAuthorization: Bearer x\r\nTE: trailers\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: reviews\r\nBaggage: userId=alice,serverNode=DF%2028;p=1\r\nBaggage: x=y\r\n\r\n",
    "HEAD /head HTTP/1.1\r\nHost: reviews\r\n\r\n",
    "DELETE /x HTTP/1.1\r\nHost: reviews\r\nContent-Length: 0\r\n\r\n",
    "BREW /x HTTP/1.1\r\nHost: reviews\r\ncontent-length: 0\r\n\r\n",
];

#[tokio::test]
async fn requests_and_responses_pass_byte_for_byte() {
    let Some(world) = World::start("requests_and_responses_pass_byte_for_byte").await else {
        return;
    };
    for request in UNTOUCHED {
        let mut client = Client::connect(world.reviews).await;
        client.send(request).await;
        let head = client.until("\r\n\r\n").await;
        assert_eq!(
            head,
            format!("{ANSWER}Content-Length: 4\r\n\r\n"),
            "{request}"
        );
        assert_eq!(world.base.heads(), [request]);
    }
    assert_eq!(world.ann.heads(), [] as [&str; 0]);
}

#[tokio::test]
async fn the_base_sees_no_difference_between_direct_and_through() {
    let test = "the_base_sees_no_difference_between_direct_and_through";
    let Some(world) = World::start(test).await else {
        return;
    };
    let request = UNTOUCHED[1];
    let direct = ask(world.base.address, request).await;
    let through = ask(world.reviews, request).await;
    assert_eq!(direct, through);
    let heads = world.base.heads();
    assert_eq!(heads[0], heads[1]);
}

#[tokio::test]
async fn big_headers_and_many_of_them_pass() {
    let Some(world) = World::start("big_headers_and_many_of_them_pass").await else {
        return;
    };
    let big = format!("X-Big: {}\r\n", "x".repeat(500_000));
    let many: String = (0..5000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    for headers in [big, many] {
        let (version, _) = world.get(&headers).await;
        assert_eq!(version, "base");
        assert!(world.base.heads()[0].contains(&headers));
    }
}

#[tokio::test]
async fn bodies_pass_as_they_are() {
    let Some(world) = World::start("bodies_pass_as_they_are").await else {
        return;
    };
    let mut client = Client::connect(world.reviews).await;
    client
        .send("POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 5\r\n\r\nhello")
        .await;
    client.response().await;
    assert_eq!(world.base.bodies(), ["hello"]);

    // Without its length, and slowly: each chunk goes on at once.
    client
        .send(
            "POST / HTTP/1.1\r\nHost: reviews\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        )
        .await;
    client.send("6\r\n world\r\n0\r\n\r\n").await;
    client.response().await;
    let chunks = world.base.bodies().concat();
    let text: String = chunks.split("\r\n").skip(1).step_by(2).collect();
    assert_eq!(text, "hello world");

    client
        .send(
            "PUT / HTTP/1.1\r\nHost: reviews\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        )
        .await;
    // From the server itself, before there is a body.
    assert_eq!(
        client.until("\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    client.send("ok").await;
    let (head, _) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(world.base.bodies(), ["ok"]);
    let heads = world.base.heads();
    assert!(heads[2].contains("Expect: 100-continue"), "{heads:?}");
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_closes_when_asked() {
    let test = "a_connection_serves_many_requests_and_closes_when_asked";
    let Some(world) = World::start(test).await else {
        return;
    };
    let mut client = Client::connect(world.reviews).await;
    for _ in 0..50 {
        client.send(UNTOUCHED[0]).await;
        assert_eq!(client.response().await.1, "base");
    }
    // Two at once, answered in order.
    client.send(format!("{0}{0}", UNTOUCHED[0])).await;
    client.response().await;
    client.response().await;
    client
        .send("GET / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n")
        .await;
    let last = client.rest().await;
    assert!(
        last.contains("connection: close") && last.ends_with("base"),
        "{last}"
    );
}

#[tokio::test]
async fn http_1_0_is_answered_in_http_1_0() {
    let Some(world) = World::start("http_1_0_is_answered_in_http_1_0").await else {
        return;
    };
    let mut client = Client::connect(world.reviews).await;
    client
        .send("GET /old HTTP/1.0\r\nUser-Agent: ab\r\n\r\n")
        .await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.0 200 Very Fine\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nbase"), "{answer}");
    // A server of HTTP/1.1 needs a host.
    assert_eq!(
        world.base.heads(),
        ["GET /old HTTP/1.1\r\nhost: reviews\r\nUser-Agent: ab\r\n\r\n"]
    );
}

#[tokio::test]
async fn a_pod_that_takes_no_connection_costs_nobody_a_request() {
    let test = "a_pod_that_takes_no_connection_costs_nobody_a_request";
    let Some(program) = program(test) else {
        return;
    };
    let base = Backend::start("base").await;
    let mut table = table(
        free_port().await,
        free_port().await,
        base.address,
        base.address,
        base.address,
    );
    let port = table
        .services
        .get_mut("reviews")
        .unwrap()
        .ports
        .values_mut()
        .next()
        .unwrap();
    port.base.insert(loopback(free_port().await)); // where nobody listens
    let reviews = loopback(port.listener);
    let _envoy = Envoy::start(&program, &table).await;
    for _ in 0..20 {
        let (head, body) = ask(
            reviews,
            "POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 2\r\n\r\nok",
        )
        .await;
        assert_eq!(body, "base", "{head}");
    }
    assert_eq!(base.heads().len(), 20);
}

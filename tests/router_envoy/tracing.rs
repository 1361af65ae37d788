//! Requests with an environment are reported to a collector of spans; nobody else's are, and nobody else notices.

use std::collections::BTreeSet;

use dev::router::collector::{Collector, Spans};
use dev::router::envoy::Options;

use super::bystanders::UNTOUCHED;
use super::world::{DOMAIN, World};
use crate::support::backend::ANSWER;
use crate::support::collector::{Collecting, Span};
use crate::support::envoy::{Client, ask, free_port, header};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn to(collector: &Collector) -> Options {
    Options {
        collector: Some(collector.clone()),
        ..Options::default()
    }
}

/// What clients send that decide about spans themselves.
fn decided(sampled: bool) -> [String; 2] {
    let flag = u8::from(sampled);
    [
        format!("traceparent: 00-{TRACE}-{PARENT}-0{flag}\r\n"),
        format!("x-b3-traceid: {TRACE}\r\nx-b3-spanid: {PARENT}\r\nx-b3-sampled: {flag}\r\n"),
    ]
}

#[tokio::test]
async fn nobody_else_is_reported_or_notices() {
    for protocol in [Spans::Otlp, Spans::Zipkin] {
        let collecting = Collecting::start(protocol).await;
        let test = "nobody_else_is_reported_or_notices";
        let Some(world) = World::start_with(test, &to(&collecting.collector)).await else {
            return;
        };
        let decided = decided(true)
            .map(|lines| format!("GET / HTTP/1.1\r\nHost: reviews\r\nX-CaSe: Yes\r\n{lines}\r\n"));
        let untouched = UNTOUCHED
            .into_iter()
            .chain(decided.iter().map(String::as_str));
        for request in untouched {
            let mut client = Client::connect(world.reviews).await;
            client.send(request).await;
            let head = client.until("\r\n\r\n").await;
            assert_eq!(head, format!("{ANSWER}Content-Length: 4\r\n\r\n"));
            assert_eq!(world.base.heads(), [request], "{protocol:?}");
        }
        // Spans are sent in the order in which requests end: had others any, they would come before these.
        for _ in 0..5 {
            assert_eq!(world.get("baggage: dev-env=ann\r\n").await.0, "ann");
        }
        for span in collecting.spans(10).await {
            assert_eq!(tag(&span, "dev.env"), "ann", "{span:#?}");
        }
    }
}

#[tokio::test]
async fn requests_of_an_environment_are_reported_with_its_name() {
    for protocol in [Spans::Otlp, Spans::Zipkin] {
        let collecting = Collecting::start(protocol).await;
        let test = "requests_of_an_environment_are_reported_with_its_name";
        let Some(world) = World::start_with(test, &to(&collecting.collector)).await else {
            return;
        };
        // Its own version, one of the base, and from outside.
        let (version, head) = world.get("baggage: dev-env=ann\r\n").await;
        assert_eq!(version, "ann");
        assert_eq!(header(&head, "x-dev-route"), Some("reviews=ann"));
        let of_ann = world.ann.heads().pop().unwrap();
        assert_eq!(world.get("x-dev-env: dan\r\n").await.0, "base");
        let of_dan = world.base.heads().pop().unwrap();
        let outside = format!("GET / HTTP/1.1\r\nHost: ann.{DOMAIN}\r\n\r\n");
        assert_eq!(ask(world.envoy.edge, &outside).await.1, "ann");
        let from_outside = world.ann.heads().pop().unwrap();
        // Whoever decided that nothing is reported did not know of the environment.
        for lines in decided(false) {
            world.get(&format!("x-dev-env: ann\r\n{lines}")).await;
        }
        let continued = world.ann.heads();

        let spans = collecting.spans(10).await;
        assert_eq!(spans.len(), 10, "{spans:#?}");
        for (sent, route) in [
            (&of_ann, "reviews=ann"),
            (&of_dan, "reviews=base"),
            (&from_outside, "reviews=ann"),
        ] {
            let (server, client) = pair(&spans, sent);
            assert_eq!(
                tag(server, "dev.env"),
                route.replace("reviews=base", "dan").replace("reviews=", "")
            );
            assert_eq!(tag(server, "dev.route"), route);
            assert_eq!(tag(server, "dev.base"), "shop");
            assert_eq!(client.parent, server.id, "{spans:#?}");
            assert_eq!(server.parent, "");
            if protocol == Spans::Otlp {
                assert_eq!(
                    (server.name.as_str(), server.service.as_str()),
                    (route, "dev-router")
                );
            }
        }
        let known = match protocol {
            // OpenTelemetry knows its own header only.
            Spans::Otlp => &continued[..1],
            Spans::Zipkin => &continued[..],
        };
        for sent in known {
            let (server, _) = pair(&spans, sent);
            assert_eq!(
                (server.trace.as_str(), server.parent.as_str()),
                (TRACE, PARENT)
            );
        }
        // What is for Envoy alone stays there.
        let all = [of_ann, of_dan, from_outside].concat() + &continued.concat();
        for inner in [
            "x-dev-cluster",
            "x-dev-answer",
            "x-dev-forwarded-proto",
            "x-forwarded-proto",
        ] {
            assert!(!all.to_ascii_lowercase().contains(inner), "{all}");
        }
    }
}

fn tag<'a>(span: &'a Span, name: &str) -> &'a str {
    span.tags.get(name).map_or("", String::as_str)
}

/// The spans of the request that was sent on like this: of the router, and of its call.
fn pair<'a>(spans: &'a [Span], sent: &str) -> (&'a Span, &'a Span) {
    let context = header(sent, "traceparent").unwrap_or_else(|| panic!("{sent}"));
    let parts: Vec<&str> = context.split('-').collect();
    assert_eq!(parts[3], "01", "{context}");
    let of_trace = |kind: &str| {
        let mut found = spans
            .iter()
            .filter(|span| span.trace == parts[1] && span.kind == kind);
        let by_id = |span: &&Span| kind == "SERVER" || span.id == parts[2];
        found
            .find(by_id)
            .unwrap_or_else(|| panic!("{kind} of {context}: {spans:#?}"))
    };
    let client = of_trace("CLIENT");
    let server = spans.iter().find(|span| span.id == client.parent);
    (server.unwrap_or_else(|| panic!("{client:?}")), client)
}

#[tokio::test]
async fn the_way_by_the_tracer_changes_nothing_else() {
    let test = "the_way_by_the_tracer_changes_nothing_else";
    // Nobody is there: a collector that is away holds up no request.
    for protocol in [Spans::Otlp, Spans::Zipkin] {
        let nowhere = Collector {
            protocol,
            host: "127.0.0.1".to_owned(),
            port: free_port().await,
        };
        let Some(traced) = World::start_with(test, &to(&nowhere)).await else {
            return;
        };
        let plain = World::start(test).await.unwrap();
        for env in ["ann", "dan", "cat", "bob", "nobody"] {
            for request in UNTOUCHED {
                let request = request.replace("\r\n\r\n", &format!("\r\nX-Dev-Env: {env}\r\n\r\n"));
                let mut seen = Vec::new();
                for world in [&traced, &plain] {
                    let mut client = Client::connect(world.reviews).await;
                    client.send(&request).await;
                    let answer = client.until("\r\n\r\n").await;
                    let mut heads = world.base.heads();
                    heads.extend(world.ann.heads());
                    let heads: Vec<String> =
                        heads.iter().map(|head| without_context(head)).collect();
                    seen.push((answer.replace(&date(&answer), ""), heads));
                }
                assert_eq!(seen[0], seen[1], "{protocol:?} {env}: {request}");
            }
        }
        let mut client = Client::connect(traced.reviews).await;
        client
            .send("GET / HTTP/1.1\r\nHost: reviews\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nx-dev-env: ann\r\n\r\n")
            .await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        client.send("both ways.").await;
        client.until("both ways.").await;
        let big = format!("x-dev-env: ann\r\nX-Big: {}\r\n", "x".repeat(500_000));
        assert_eq!(traced.get(&big).await.0, "ann");
        let many: String = (0..5000).map(|n| format!("X-{n}: {n}\r\n")).collect();
        assert_eq!(
            traced.get(&format!("x-dev-env: ann\r\n{many}")).await.0,
            "ann"
        );
    }
}

/// Without the headers in which traces are continued.
fn without_context(head: &str) -> String {
    let context: BTreeSet<&str> = [
        "traceparent",
        "tracestate",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-parentspanid",
        "x-b3-sampled",
    ]
    .into();
    let kept = head.split_inclusive("\r\n").filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !context.contains(name.to_ascii_lowercase().as_str())
    });
    kept.collect()
}

/// Of an answer that Envoy makes itself: it is that of the moment.
fn date(answer: &str) -> String {
    header(answer, "date").unwrap_or_default().to_owned()
}

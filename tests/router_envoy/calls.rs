//! gRPC: streams message by message, failures in its own terms, calls that no server has looked at.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use http_body_util::BodyExt;

use dev::router::collector::{Collector, Spans};
use dev::router::envoy::Options;

use super::world::{overrides, table};
use crate::support::envoy::{Envoy, free_port, loopback, program};
use crate::support::grpc::{Refusal, Refusing, call, connect, echo};

const STREAM: &str = "/shop.Reviews/Stream";

/// Envoy in front of `reviews`.
struct Calls {
    _envoy: Envoy,
    reviews: SocketAddr,
}

impl Calls {
    async fn start(test: &str, options: &Options) -> Option<Self> {
        let (base, ann) = (echo("base").await, echo("ann").await);
        Self::of(test, options, &[base], ann).await
    }

    async fn of(
        test: &str,
        options: &Options,
        base: &[SocketAddr],
        ann: SocketAddr,
    ) -> Option<Self> {
        let program = program(test)?;
        let mut table = table(free_port().await, free_port().await, base[0], ann, base[0]);
        let reviews = table.services.get_mut("reviews").unwrap();
        let port = reviews.ports.values_mut().next().unwrap();
        port.base = base.iter().copied().collect::<BTreeSet<_>>();
        port.overrides = overrides(ann);
        let reviews = loopback(port.listener);
        Some(Self {
            _envoy: Envoy::start_with(options, &program, &table).await,
            reviews,
        })
    }
}

/// Without a collector, and with one that is not there.
async fn all_options() -> [Options; 2] {
    let nowhere = Collector {
        protocol: Spans::Otlp,
        host: "127.0.0.1".to_owned(),
        port: free_port().await,
    };
    let traced = Options {
        collector: Some(nowhere),
        ..Options::default()
    };
    [Options::default(), traced]
}

#[tokio::test]
async fn grpc_streams_go_to_the_version_message_by_message() {
    for options in all_options().await {
        let test = "grpc_streams_go_to_the_version_message_by_message";
        let Some(calls) = Calls::start(test, &options).await else {
            return;
        };
        let mut sender = connect(calls.reviews).await;
        for (env, name) in [(None, "base"), (Some("ann"), "ann"), (Some("dan"), "base")] {
            let (request, tx) = call(STREAM, env);
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.headers()["x-name"], name);
            assert_eq!(answer.headers()["x-version"], "HTTP/2.0");
            let expected = match env {
                None => "content-type=application/grpc&te=trailers".to_owned(),
                Some(env) => format!(
                    "content-type=application/grpc&te=trailers&baggage=dev-env={env}&x-dev-env={env}"
                ),
            };
            let seen = answer.headers()["x-seen"].to_str().unwrap();
            // The tracer adds its own after what was sent.
            let traced = options.collector.is_some() && env.is_some();
            assert_eq!(seen.contains("traceparent"), traced, "{seen}");
            match traced {
                true => assert!(seen.starts_with(&expected), "{seen}"),
                false => assert_eq!(seen, expected),
            }
            let route = answer
                .headers()
                .get("x-dev-route")
                .map(|it| it.to_str().unwrap());
            assert_eq!(route, env.map(|_| format!("reviews={name}")).as_deref());
            let mut body = answer.into_body();
            // Each message is back before the next is sent.
            for message in ["one", "two"] {
                tx.unbounded_send(message).unwrap();
                let frame = body.frame().await.unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap(), message);
            }
            drop(tx);
            let last = body.frame().await.unwrap().unwrap();
            assert_eq!(last.into_trailers().unwrap()["grpc-status"], "0");
        }
    }
}

#[tokio::test]
async fn grpc_is_told_what_is_missing_in_its_own_terms() {
    let test = "grpc_is_told_what_is_missing_in_its_own_terms";
    let Some(calls) = Calls::start(test, &Options::default()).await else {
        return;
    };
    let mut sender = connect(calls.reviews).await;
    let (request, _tx) = call(STREAM, Some("bob"));
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["grpc-status"], "14"); // UNAVAILABLE
    let message = answer.headers()["grpc-message"].to_str().unwrap();
    assert!(message.contains("shop-bob/reviews"), "{message}");
    assert_eq!(answer.headers()["x-dev-route"], "reviews=bob");
}

#[tokio::test]
async fn thousands_of_streams_share_a_connection() {
    let test = "thousands_of_streams_share_a_connection";
    let Some(calls) = Calls::start(test, &Options::default()).await else {
        return;
    };
    let mut sender = connect(calls.reviews).await;
    let mut open = Vec::new();
    for _ in 0..2000 {
        let (request, tx) = call(STREAM, None);
        sender.ready().await.unwrap();
        let answer = sender.send_request(request).await.unwrap();
        open.push((answer, tx));
    }
    for (answer, tx) in open {
        tx.unbounded_send("late").unwrap();
        drop(tx);
        let body = answer.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "late");
    }
}

/// A unary call: one message there, one back.
async fn unary(to: SocketAddr, env: Option<&str>) -> (String, String) {
    let mut sender = connect(to).await;
    let (request, tx) = call("/shop.Reviews/Get", env);
    tx.unbounded_send("ask").unwrap();
    drop(tx);
    let answer = sender.send_request(request).await.unwrap();
    let early = answer.headers().get("grpc-status").cloned();
    let body = answer.into_body().collect().await.unwrap();
    let late = body
        .trailers()
        .map(|trailers| trailers["grpc-status"].clone());
    let status = early.or(late).unwrap();
    let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    (status.to_str().unwrap().to_owned(), text)
}

#[tokio::test]
async fn a_call_that_no_server_has_looked_at_is_made_again_elsewhere() {
    let test = "a_call_that_no_server_has_looked_at_is_made_again_elsewhere";
    for options in all_options().await {
        let refusing = Refusing::start(Refusal::Stream).await;
        // And where nobody listens.
        let nobody = loopback(free_port().await);
        for bad in [refusing.address, nobody] {
            let base = [echo("base").await, bad];
            let Some(calls) = Calls::of(test, &options, &base, echo("ann").await).await else {
                return;
            };
            for env in [None, Some("dan")] {
                for _ in 0..20 {
                    let (status, body) = unary(calls.reviews, env).await;
                    assert_eq!((status.as_str(), body.as_str()), ("0", "ask"), "{bad}");
                }
            }
        }
        // Otherwise it says nothing.
        assert!(refusing.calls() > 0);
    }
}

#[tokio::test]
async fn a_call_that_a_server_may_have_carried_out_is_never_made_again() {
    let test = "a_call_that_a_server_may_have_carried_out_is_never_made_again";
    for refusal in [Refusal::Answer, Refusal::Connection] {
        let (good, bad) = (echo("base").await, Refusing::start(refusal).await);
        let base = [good, bad.address];
        let Some(calls) = Calls::of(test, &Options::default(), &base, good).await else {
            return;
        };
        let mut unavailable = 0;
        for _ in 0..20 {
            let (status, _) = unary(calls.reviews, None).await;
            unavailable += usize::from(status == "14");
        }
        // Each was made once, and whoever asked was told of it.
        assert_eq!((bad.calls(), unavailable), (10, 10), "{refusal:?}");
    }
}

//! What is more than a request and a response: upgrades, HTTP/2, gRPC, protocols in which the server speaks first.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::world::{World, overrides, table};
use crate::support::envoy::{Client, Envoy, free_port, header, loopback, program};

#[tokio::test]
async fn a_websocket_reaches_the_version_and_talks_both_ways() {
    let test = "a_websocket_reaches_the_version_and_talks_both_ways";
    let Some(world) = World::start(test).await else {
        return;
    };
    let upgrade = |protocol: &str, more: &str| {
        format!(
            "GET /live HTTP/1.1\r\nHost: reviews\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nSec-WebSocket-Key: x\r\n{more}\r\n"
        )
    };
    for (protocol, more, version) in [
        ("websocket", "", "base"),
        ("WebSocket", "baggage: dev-env=ann\r\n", "ann"),
        ("SPDY/3.1", "", "base"),
        ("tcp", "x-dev-env: ann\r\n", "ann"),
    ] {
        let mut client = Client::connect(world.reviews).await;
        client.send(upgrade(protocol, more)).await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{protocol}: {head}");
        let route = (!more.is_empty()).then_some("reviews=ann");
        assert_eq!(header(&head, "x-dev-route"), route);
        client.send("ping one").await;
        client.until("ping one").await;
        client.send("ping two").await;
        client.until("ping two").await;
        let backend = if version == "ann" {
            &world.ann
        } else {
            &world.base
        };
        let sent = backend.heads().pop().unwrap();
        assert_eq!(header(&sent, "upgrade"), Some(protocol), "{sent}");
    }
    // An offer of h2c is declined, as a server may: the request is answered in HTTP/1.1.
    let mut client = Client::connect(world.reviews).await;
    client.send(upgrade("h2c", "")).await;
    assert_eq!(client.response().await.1, "base");
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard() {
    let Some(world) = World::start("a_server_that_speaks_first_is_heard").await else {
        return;
    };
    let mut stream = TcpStream::connect(world.redis).await.unwrap();
    let mut greeting = [0; 6];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"hello\n");
    // What looks like HTTP is not read as such.
    stream
        .write_all(b"GET / HTTP/1.1\r\nx-dev-env: ann\r\n\r\n")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "GET / HTTP/1.1\r\nx-dev-env: ann\r\n\r\nbye\n");
}

/// A server of HTTP/2 without TLS that sends each piece of a request's body back, then trailers. What it was asked is in
/// the response's headers.
async fn echo_h2(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service =
                service_fn(move |request| async move { Ok::<_, Infallible>(echo(name, request)) });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

type Pieces =
    std::pin::Pin<Box<dyn futures::Stream<Item = Result<Frame<Bytes>, hyper::Error>> + Send>>;

fn echo(name: &'static str, request: Request<Incoming>) -> Response<StreamBody<Pieces>> {
    let seen: Vec<String> = request
        .headers()
        .iter()
        .map(|(key, value)| format!("{key}={}", value.to_str().unwrap()))
        .collect();
    let version = format!("{:?}", request.version());
    let trailers = HeaderMap::from_iter([(
        hyper::header::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let end = futures::stream::once(async move { Ok(Frame::trailers(trailers)) });
    let pieces: Pieces = Box::pin(
        request
            .into_body()
            .into_data_stream()
            .map(|it| it.map(Frame::data))
            .chain(end),
    );
    Response::builder()
        .header("content-type", "application/grpc")
        .header("x-name", name)
        .header("x-version", version)
        .header("x-seen", seen.join("&"))
        .body(StreamBody::new(pieces))
        .unwrap()
}

struct Grpc {
    _envoy: Envoy,
    reviews: SocketAddr,
}

async fn grpc(test: &str) -> Option<Grpc> {
    let program = program(test)?;
    let (base, ann) = (echo_h2("base").await, echo_h2("ann").await);
    let mut table = table(free_port().await, free_port().await, base, ann, base);
    let port = table
        .services
        .get_mut("reviews")
        .unwrap()
        .ports
        .values_mut()
        .next()
        .unwrap();
    port.base = BTreeSet::from([base]);
    port.overrides = overrides(ann);
    let reviews = loopback(port.listener);
    Some(Grpc {
        _envoy: Envoy::start(&program, &table).await,
        reviews,
    })
}

type Sender = hyper::client::conn::http2::SendRequest<StreamBody<Pieces>>;

async fn connect(to: SocketAddr) -> Sender {
    let stream = TcpStream::connect(to).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

/// A gRPC call whose messages are sent through the channel.
fn call(
    env: Option<&str>,
) -> (
    Request<StreamBody<Pieces>>,
    futures::channel::mpsc::UnboundedSender<&'static str>,
) {
    let (tx, rx) = futures::channel::mpsc::unbounded();
    let pieces: Pieces = Box::pin(rx.map(|text: &'static str| Ok(Frame::data(Bytes::from(text)))));
    let mut request = Request::post("http://reviews/shop.Reviews/Stream")
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(env) = env {
        request = request.header("baggage", format!("dev-env={env}"));
    }
    (request.body(StreamBody::new(pieces)).unwrap(), tx)
}

#[tokio::test]
async fn grpc_streams_go_to_the_version_message_by_message() {
    let Some(grpc) = grpc("grpc_streams_go_to_the_version_message_by_message").await else {
        return;
    };
    let mut sender = connect(grpc.reviews).await;
    for (env, name) in [(None, "base"), (Some("ann"), "ann"), (Some("dan"), "base")] {
        let (request, tx) = call(env);
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.headers()["x-name"], name);
        assert_eq!(answer.headers()["x-version"], "HTTP/2.0");
        let expected = match env {
            None => "content-type=application/grpc&te=trailers".to_owned(),
            Some(env) => format!(
                "content-type=application/grpc&te=trailers&baggage=dev-env={env}&x-dev-env={env}"
            ),
        };
        assert_eq!(answer.headers()["x-seen"], expected.as_str());
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

#[tokio::test]
async fn grpc_is_told_what_is_missing_in_its_own_terms() {
    let Some(grpc) = grpc("grpc_is_told_what_is_missing_in_its_own_terms").await else {
        return;
    };
    let mut sender = connect(grpc.reviews).await;
    let (request, _tx) = call(Some("bob"));
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["grpc-status"], "14"); // UNAVAILABLE
    let message = answer.headers()["grpc-message"].to_str().unwrap();
    assert!(message.contains("shop-bob/reviews"), "{message}");
    assert_eq!(answer.headers()["x-dev-route"], "reviews=bob");
}

#[tokio::test]
async fn thousands_of_streams_share_a_connection() {
    let Some(grpc) = grpc("thousands_of_streams_share_a_connection").await else {
        return;
    };
    let mut sender = connect(grpc.reviews).await;
    let mut open = Vec::new();
    for _ in 0..2000 {
        let (request, tx) = call(None);
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

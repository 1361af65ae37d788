//! What is more than a request and a response: upgrades, long silences, protocols in which the server speaks first.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::world::{World, table};
use crate::support::cluster::long;
use crate::support::envoy::{Client, Envoy, free_port, header, loopback, program};
use crate::support::grpc::{call, connect, echo};
use crate::support::left_out::left_out;

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

/// Longer than a connection to a server is kept for the next request; in a long run, longer than any limit of Envoy's by default.
fn silence() -> Duration {
    Duration::from_secs(if long() { 660 } else { 3 })
}

#[tokio::test]
async fn streams_may_be_silent_for_long() {
    let Some(world) = World::start("streams_may_be_silent_for_long").await else {
        return;
    };
    let program = program("streams_may_be_silent_for_long").unwrap();
    let (base, ann) = (echo("base").await, echo("ann").await);
    let calls = table(free_port().await, free_port().await, base, ann, base);
    let _envoy = Envoy::start(&program, &calls).await;
    let reviews = calls.services["reviews"].ports.values().next().unwrap();
    let mut sender = connect(loopback(reviews.listener)).await;
    let mut streams = Vec::new();
    for env in [None, Some("ann")] {
        let (request, tx) = call("/shop.Reviews/Stream", env);
        let answer = sender.send_request(request).await.unwrap();
        streams.push((answer.into_body(), tx));
    }
    let mut sockets = Vec::new();
    for more in ["", "x-dev-env: ann\r\n"] {
        let mut client = Client::connect(world.reviews).await;
        client
            .send(format!("GET / HTTP/1.1\r\nHost: reviews\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{more}\r\n"))
            .await;
        client.until("\r\n\r\n").await;
        sockets.push(client);
    }
    let mut passed = TcpStream::connect(world.redis).await.unwrap();
    let mut greeting = [0; 6];
    passed.read_exact(&mut greeting).await.unwrap();
    // A body that is sent in two parts.
    let mut slow = Client::connect(world.reviews).await;
    slow.send("POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 10\r\n\r\nhello")
        .await;
    // And a connection that was used before, and a request after a head in two parts.
    let mut kept = Client::connect(world.reviews).await;
    kept.send("GET / HTTP/1.1\r\nHost: reviews\r\n\r\nGET / HTTP/1.1\r\n")
        .await;
    kept.response().await;

    // The passing of time is what this is about.
    tokio::time::sleep(silence()).await;

    for (mut body, tx) in streams {
        tx.unbounded_send("late").unwrap();
        let frame = http_body_util::BodyExt::frame(&mut body).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "late");
    }
    for mut client in sockets {
        client.send("late.").await;
        assert_eq!(client.until(".").await, "late.");
    }
    passed.write_all(b"late").await.unwrap();
    let mut back = [0; 4];
    passed.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"late");
    slow.send("world").await;
    assert_eq!(slow.response().await.1, "base");
    kept.send("Host: reviews\r\n\r\n").await;
    assert_eq!(kept.response().await.1, "base");
}

/// A real Redis on loopback, or a line that says what is left out.
async fn redis(test: &str) -> Option<(SocketAddr, tokio::process::Child, TempDir)> {
    let port = free_port().await;
    let folder = TempDir::new().unwrap();
    let started = Command::new("redis-server")
        .args(["--save", "", "--bind", "127.0.0.1", "--port"])
        .arg(port.to_string())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(process) = started else {
        left_out(&format!("{test} needs redis-server"));
        return None;
    };
    while TcpStream::connect(loopback(port)).await.is_err() {
        tokio::task::yield_now().await;
    }
    Some((loopback(port), process, folder))
}

#[tokio::test]
async fn redis_is_passed_through() {
    let test = "redis_is_passed_through";
    let Some(program) = program(test) else {
        return;
    };
    let Some((store, _process, _folder)) = redis(test).await else {
        return;
    };
    let table = table(free_port().await, free_port().await, store, store, store);
    let _envoy = Envoy::start(&program, &table).await;
    let port = table.services["redis"].ports.values().next().unwrap();
    let through = loopback(port.listener);
    let mut client = Client::connect(through).await;
    client.send("SET greeting hello\r\nGET greeting\r\n").await;
    assert_eq!(client.until("hello\r\n").await, "+OK\r\n$5\r\nhello\r\n");
    // Messages that nobody asks for one by one.
    let mut listening = Client::connect(through).await;
    listening.send("SUBSCRIBE news\r\n").await;
    listening.until(":1\r\n").await;
    client.send("PUBLISH news fire\r\n").await;
    listening.until("fire\r\n").await;
}

/// The first packet of MySQL's protocol, version 10: the client says nothing before it.
const MYSQL: &[u8] = b"\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00abcdefgh\x00\xff\xf7\xff\x02\x00\xff\xc3\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00ijklmnopqrst\x00mysql_native_password\x00";

#[tokio::test]
async fn the_greeting_of_mysql_comes_before_the_client_says_anything() {
    let test = "the_greeting_of_mysql_comes_before_the_client_says_anything";
    let Some(program) = program(test) else {
        return;
    };
    let server = crate::support::backend::Greeter::saying(MYSQL).await;
    let table = table(
        free_port().await,
        free_port().await,
        server.address,
        server.address,
        server.address,
    );
    let _envoy = Envoy::start(&program, &table).await;
    let port = table.services["redis"].ports.values().next().unwrap();
    let mut stream = TcpStream::connect(loopback(port.listener)).await.unwrap();
    let mut greeting = vec![0; MYSQL.len()];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, MYSQL);
}

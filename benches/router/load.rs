//! Requests over kept connections, as fast as they are answered or at a fixed rate.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::child::{self, Child};
use super::histogram::Histogram;

/// Until connections are open and caches are warm.
const WARM_UP: Duration = Duration::from_millis(300);

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// Ports on loopback; connections are spread over them.
    pub ports: Vec<u16>,
    /// How many connections.
    pub connections: usize,
    /// A header of each request.
    pub header: Option<(String, String)>,
    /// Requests per second of all connections together; without it each sends as soon as it has its answer.
    pub rate: Option<u32>,
    /// For so long, in milliseconds.
    pub millis: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// From the first byte of a request to the last of its response.
    pub times: Histogram,
    /// Requests without a response of 200.
    pub failed: u64,
    /// How long it took.
    pub seconds: f64,
    /// The 99th percentile of each turn in milliseconds: what else the machine does spoils some turns and not their median.
    pub turns: Vec<f64>,
}

impl Outcome {
    /// That of another run too.
    pub fn extend(&mut self, other: &Self) {
        self.times.extend(&other.times);
        self.failed += other.failed;
        self.seconds += other.seconds;
        self.turns.extend(&other.turns);
    }
}

/// Has the process do it.
pub fn run(load: &Load, process: &Child) -> Outcome {
    let line = serde_json::to_string(load).expect("JSON");
    let value = process.ask(&line);
    let times = Histogram::from_value(&value["times"]);
    Outcome {
        turns: vec![times.percentile(99.0)],
        times,
        failed: value["failed"].as_u64().expect("a number"),
        seconds: load.millis as f64 / 1000.0,
    }
}

/// The process.
pub fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    child::answer(&Value::Null);
    for line in child::lines() {
        let load: Load = serde_json::from_str(&line).expect("a load");
        let outcome = runtime.block_on(all(&load));
        child::answer(&json!({"times": outcome.times.to_value(), "failed": outcome.failed}));
    }
}

async fn all(load: &Load) -> Outcome {
    let begin = Instant::now() + WARM_UP;
    let connections = (0..load.connections).map(|number| {
        let load = load.clone();
        tokio::spawn(async move { one(&load, number, begin).await })
    });
    let mut outcome = Outcome::default();
    for done in futures::future::join_all(connections).await {
        outcome.extend(&done.expect("no panic"));
    }
    outcome
}

async fn one(load: &Load, number: usize, begin: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    let mut connection = Connection::open(load.ports[number % load.ports.len()]).await;
    let end = begin + Duration::from_millis(load.millis);
    // Connections take turns.
    let pause = load
        .rate
        .map(|rate| Duration::from_secs(1) * load.connections as u32 / rate);
    let mut next =
        Instant::now() + pause.unwrap_or_default() * number as u32 / load.connections as u32;
    loop {
        if let Some(pause) = pause {
            tokio::time::sleep_until(next).await;
            next += pause;
        }
        let start = Instant::now();
        if start >= end {
            return outcome;
        }
        let answer = connection.get(load.header.as_ref()).await;
        if start >= begin {
            outcome.times.add(start.elapsed());
            outcome.failed += u64::from(!answer.status().is_success());
        }
    }
}

/// A connection to a port on loopback.
pub struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
}

impl Connection {
    /// Connects.
    pub async fn open(port: u16) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect(address).await.expect("connected");
        stream.set_nodelay(true).expect("TCP");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        Self {
            sender,
            host: address.to_string(),
        }
    }

    /// One request. Gives the response without its body, which has been read.
    pub async fn get(&mut self, header: Option<&(String, String)>) -> http::Response<()> {
        let mut request = Request::get("/").header("host", &self.host);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(Empty::new()).expect("a request");
        self.sender.ready().await.expect("the connection stays");
        let response = self.sender.send_request(request).await.expect("answered");
        let (head, body) = response.into_parts();
        let _body = body.collect().await.expect("the whole response");
        http::Response::from_parts(head, ())
    }
}

//! The two ends of the tunnel, each in a process of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use dev::tunnel::agent::{Agent, Fallback};
use dev::tunnel::client::{Client, Event, Options};
use dev::tunnel::deliver::deliver;
use dev::tunnel::header::Header;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::child;

struct Closes;

impl Fallback for Closes {
    async fn serve(&self, _socket: TcpStream, _port: u16, _peer: SocketAddr) {}
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Answers each line with what the process has used, until there are no more.
fn report() {
    for _line in child::lines() {
        child::answer(&used());
    }
}

/// Processor time in milliseconds, and memory in KiB.
fn used() -> Value {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split_whitespace()
        .collect();
    let ticks = |field: usize| fields[field].parse::<u64>().expect("a number");
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = pages.split_whitespace().nth(1).expect("resident");
    let pages: u64 = pages.parse().expect("a number");
    // Ticks of 10 ms, pages of 4 KiB.
    json!({"millis": (ticks(11) + ticks(12)) * 10, "kib": pages * 4})
}

/// The agent: says the port of its carriers, and those that lead to the first and the second port of the client.
pub fn agent() {
    let runtime = runtime();
    let ports = runtime.block_on(async {
        let agent = Agent::new();
        let mut ports = Vec::new();
        for number in 0..3_u16 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .expect("a port");
            ports.push(listener.local_addr().expect("bound").port());
            let agent = agent.clone();
            let never = CancellationToken::new();
            tokio::spawn(async move {
                match number {
                    0 => agent.serve_carriers(listener, never).await,
                    port => {
                        agent
                            .serve_port(listener, port, Arc::new(Closes), never)
                            .await
                    }
                }
            });
        }
        ports
    });
    child::answer(&json!(ports));
    report();
}

/// The client: says so once all carriers are there.
pub fn client(control: &str, lanes: &str, ports: &[&str]) {
    let number = |text: &str| text.parse::<u16>().expect("a port");
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let control = address(number(control));
    let ports: Arc<[SocketAddr]> = ports.iter().map(|port| address(number(port))).collect();
    let lanes = lanes.parse().expect("a number");
    let runtime = runtime();
    let (events_tx, events_rx) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let client = Client::new(Options {
            who: "bench@here".into(),
            take: false,
            lanes,
            random: [1; 16],
        });
        let dial = || async move {
            let socket = TcpStream::connect(control).await?;
            socket.set_nodelay(true)?;
            Ok(socket)
        };
        let on_stream = move |header, stream| {
            let Header::Inbound { port, .. } = header;
            let to = ports[usize::from(port) - 1];
            async move { drop(deliver(stream, to).await) }
        };
        client
            .run(dial, on_stream, |event| drop(events_tx.send(event)))
            .await
    });
    for _ in 0..lanes {
        let event = events_rx.recv().expect("the client runs");
        assert!(matches!(event, Event::Connected { .. }), "{event:?}");
    }
    child::answer(&Value::Null);
    report();
}

//! An agent and its clients.

use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::cable::Cable;
use crate::tunnel::agent::Agent;
use crate::tunnel::client::{Client, Event, Options};
use crate::tunnel::header::Header;
use crate::tunnel::stream::Stream;
use crate::tunnel::wire::hello::Refused;

/// The header of streams in these tests.
pub(super) const INBOUND: Header = Header::Inbound {
    port: 9080,
    peer: None,
};

/// One client, and what it was told.
pub(super) struct Person {
    pub(super) client: Arc<Client>,
    pub(super) events_rx: mpsc::UnboundedReceiver<Event>,
    pub(super) streams_rx: mpsc::UnboundedReceiver<Stream>,
    pub(super) run: JoinHandle<Result<(), Refused>>,
    pub(super) cable: Cable,
    /// The agent that the cable leads to.
    pub(super) agent_tx: watch::Sender<Agent>,
}

/// How a client comes.
pub(super) fn options(number: u8, who: &str) -> Options {
    Options {
        who: who.to_owned(),
        take: false,
        lanes: 1,
        random: [number; 16],
    }
}

impl Person {
    /// Starts a client, which has a cable of its own.
    pub(super) fn start(agent: &Agent, options: Options) -> Self {
        let client = Client::new(options);
        let cable = Cable::new();
        let (events_tx, events_rx) = mpsc::unbounded_channel();
        let (streams_tx, streams_rx) = mpsc::unbounded_channel();
        let (agent_tx, agent_rx) = watch::channel(agent.clone());
        let run = {
            let (client, cable) = (Arc::clone(&client), cable.clone());
            let dial = move || {
                let agent = agent_rx.borrow().clone();
                let pair = cable.pair();
                async move {
                    let (near, far) = pair?;
                    tokio::spawn(async move { agent.carry(far).await });
                    Ok(near)
                }
            };
            let on_stream = move |header, stream| {
                assert_eq!(header, INBOUND);
                let _test_is_over = streams_tx.send(stream);
                async {}
            };
            tokio::spawn(async move {
                let tell = |event| drop(events_tx.send(event));
                client.run(dial, on_stream, tell).await
            })
        };
        Self {
            client,
            events_rx,
            streams_rx,
            run,
            cable,
            agent_tx,
        }
    }

    /// Starts a client, and waits until it is there.
    pub(super) async fn come(agent: &Agent, options: Options) -> Self {
        let mut person = Self::start(agent, options);
        assert!(!person.connected().await);
        person
    }

    pub(super) async fn event(&mut self) -> Event {
        self.events_rx.recv().await.unwrap()
    }

    /// Waits until a carrier is there. Says whether its lane goes on.
    pub(super) async fn connected(&mut self) -> bool {
        loop {
            if let Event::Connected { resumed, .. } = self.event().await {
                return resumed;
            }
        }
    }

    /// Waits until something was lost. Says how many connections, and why.
    pub(super) async fn lost(&mut self) -> (usize, String) {
        loop {
            if let Event::Lost {
                connections, cause, ..
            } = self.event().await
            {
                return (connections, cause);
            }
        }
    }

    /// Both ends of a new stream.
    pub(super) async fn stream(&mut self, agent: &Agent) -> (Stream, Stream) {
        let far = agent.open(&INBOUND).await.unwrap();
        let near = self.streams_rx.recv().await.unwrap();
        (near, far)
    }
}

/// Bytes pass both ways.
pub(super) async fn talk(near: &mut Stream, far: &mut Stream) {
    say(near, far).await;
    say(far, near).await;
}

async fn say(one: &mut Stream, other: &mut Stream) {
    one.write_all(b"hello").await.unwrap();
    let mut got = [0; 5];
    other.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
}

/// Bytes that look like chance, always the same for the same seed.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// SHA-256 of everything that comes until the end.
pub(super) async fn digest(mut from: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer).await.unwrap() {
            0 => return digest.finalize().to_vec(),
            count => digest.update(&buffer[..count]),
        }
    }
}

/// What several tasks have noted.
pub(super) type Notes<T> = Arc<Mutex<Vec<T>>>;

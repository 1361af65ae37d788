//! The pod's end of the tunnel: takes carriers of one client at a time, and leads connections to it.
//!
//! A connection that comes while the client is away waits up to [`HOLD`]; then it is the fallback's. One that is established waits up to
//! [`KEEP`] for the session to go on; then it is reset.

mod desk;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use self::desk::{Admitted, Desk, Hand};
use super::drive::{Carrier, Ended, drive};
use super::greet::{PATIENCE, greeted, part, say};
use super::header::Header;
use super::link::{Held, Link, Presence};
use super::session::{HOLD, KEEP, other_version};
use super::splice::splice;
use super::stream::Stream;
use super::wire::hello::{Hello, Refused, Welcome};
use super::wire::{Decoder, Frame, VERSIONS};

/// A pause after an accept that failed, for want of files say.
const AGAIN: Duration = Duration::from_millis(100);
/// Carriers that have not greeted yet, at a time.
const MOST_STRANGERS: usize = 64;
/// How long a client is given to hear why the agent ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What becomes of connections that no client takes.
pub trait Fallback: Send + Sync + 'static {
    /// Serves a connection to this port of the pod until it ends.
    fn serve(
        &self,
        socket: TcpStream,
        port: u16,
        peer: SocketAddr,
    ) -> impl Future<Output = ()> + Send;
}

/// The pod's end.
#[derive(Clone, Debug)]
pub struct Agent {
    desk: Arc<Desk>,
    strangers: Arc<tokio::sync::Semaphore>,
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}

impl Agent {
    /// That of a pod that has just started: nobody has it.
    pub fn new() -> Self {
        Self {
            desk: Arc::new(Desk::new()),
            strangers: Arc::new(tokio::sync::Semaphore::new(MOST_STRANGERS)),
        }
    }

    /// Who has it, `ann@laptop`, and since when.
    pub fn holder(&self) -> Option<(String, Instant)> {
        let holder = self.desk.holder()?;
        Some((holder.who, holder.since))
    }

    /// Whether a client is there that connections are led to.
    pub fn is_here(&self) -> bool {
        self.desk.pick().is_some()
    }

    /// What all lanes hold.
    pub fn held(&self) -> Held {
        self.desk.held()
    }

    /// Takes carriers until it is told to stop.
    pub async fn serve_carriers(&self, listener: TcpListener, stop: CancellationToken) {
        let mut carriers = JoinSet::new();
        while let Some((socket, _)) = accept(&listener, &stop, &mut carriers).await {
            let _slower = socket.set_nodelay(true);
            let agent = self.clone();
            carriers.spawn(async move { agent.carry(socket).await });
        }
        // What they greeted with has become a task of its own.
    }

    /// Takes one carrier: greets, and hands it to its lane. Returns before the carrier ends.
    pub async fn carry(&self, carrier: impl Carrier + 'static) {
        let Ok(_permit) = self.strangers.try_acquire() else {
            return;
        };
        let mut carrier: Box<dyn Carrier> = Box::new(carrier);
        // Whoever says nothing sensible gets no answer.
        let _gone = timeout(PATIENCE, self.greet(&mut carrier)).await;
    }

    async fn greet(&self, carrier: &mut Box<dyn Carrier>) -> Result<(), Ended> {
        let mut decoder = Decoder::default();
        let text = greeted(carrier, &mut decoder).await?;
        let Some(version) = VERSIONS.common(Hello::versions(&text)?) else {
            return refuse(carrier, &other_version()).await;
        };
        let hello = Hello::decode(&text)?;
        // The carrier is the lane's from here on.
        let hand = |carrier| Hand {
            carrier,
            decoder,
            received: hello.body.received,
            version,
        };
        match self.desk.admit(&hello, Instant::now()) {
            Admitted::Refused(refused) => refuse(carrier, &refused).await,
            Admitted::Known(carriers_tx) => {
                let _ended_just_now = carriers_tx.send(hand(take(carrier))).await;
                Ok(())
            }
            Admitted::New { lane, carriers_rx } => {
                let first = hand(take(carrier));
                let desk = Arc::clone(&self.desk);
                tokio::spawn(async move {
                    let gone = keep(&lane.link, first, carriers_rx).await;
                    lane.link.lose();
                    desk.forget(&lane, gone, Instant::now());
                });
                Ok(())
            }
        }
    }

    /// Takes connections to a port of the pod until it is told to stop; those that are there then go on.
    pub async fn serve_port(
        &self,
        listener: TcpListener,
        port: u16,
        fallback: Arc<impl Fallback>,
        stop: CancellationToken,
    ) {
        let mut connections = JoinSet::new();
        while let Some((socket, peer)) = accept(&listener, &stop, &mut connections).await {
            let agent = self.clone();
            let fallback = Arc::clone(&fallback);
            connections.spawn(async move {
                agent.connection(socket, port, peer, &*fallback).await;
            });
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn connection(
        &self,
        socket: TcpStream,
        port: u16,
        peer: SocketAddr,
        fallback: &impl Fallback,
    ) {
        let header = Header::Inbound {
            port,
            peer: Some(peer),
        };
        match self.open(&header).await {
            // It ends as its other end did; there is nobody to tell.
            Some(stream) => drop(splice(socket, stream).await),
            None => fallback.serve(socket, port, peer).await,
        }
    }

    /// A stream to the client, who may have to come back for it; none if that takes too long.
    pub async fn open(&self, header: &Header) -> Option<Stream> {
        let header = header.encode();
        loop {
            let mut changed = std::pin::pin!(self.desk.changed.notified());
            changed.as_mut().enable();
            if let Some(link) = self.desk.pick() {
                match link.open(&header) {
                    Ok(stream) => return Some(stream),
                    Err(_) => return None,
                }
            }
            let until = self.desk.away_since() + HOLD;
            if Instant::now() >= until {
                return None;
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Says goodbye to the client with these words.
    pub async fn end(&self, text: &str) {
        let text = bytes::Bytes::copy_from_slice(text.as_bytes());
        for link in self.desk.links() {
            link.end_with(Frame::Goodbye(text.clone()));
        }
        let gone = async {
            loop {
                let mut changed = std::pin::pin!(self.desk.changed.notified());
                changed.as_mut().enable();
                if self.desk.links().is_empty() {
                    return;
                }
                changed.await;
            }
        };
        let _late = timeout(LAST_WORDS, gone).await;
    }
}

/// The lane's task: carrier after carrier, until none comes in time. Says whether the client has gone, by
/// its own word or for too long.
async fn keep(
    link: &Arc<Link>,
    first: Hand,
    mut carriers_rx: tokio::sync::mpsc::Receiver<Hand>,
) -> bool {
    let mut hand = first;
    let mut resumed = false;
    loop {
        let welcome = Welcome {
            version: hand.version,
            received: link.received(),
            resumed: std::mem::replace(&mut resumed, true),
            dev: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: Vec::new(),
        };
        let first = Some(Frame::Welcome(welcome.encode()));
        let driven = drive(link, hand.carrier, hand.decoder, hand.received, first);
        let ended = tokio::select! {
            biased;
            // The client knows better than this end whether the last carrier is of use. No more come once somebody else has the agent:
            // then the carrier ends with the words that say so.
            Some(newer) = carriers_rx.recv() => {
                hand = newer;
                continue;
            }
            ended = driven => ended,
        };
        tracing::debug!("carrier: {ended}");
        if ended.is_final() {
            return matches!(ended, Ended::Goodbye(_));
        }
        let since = match link.presence() {
            Presence::Away { since } => since,
            Presence::Here | Presence::Lost => Instant::now(),
        };
        match timeout_at(since + KEEP, carriers_rx.recv()).await {
            Ok(Some(next)) => hand = next,
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

async fn refuse(carrier: &mut Box<dyn Carrier>, refused: &Refused) -> Result<(), Ended> {
    say(carrier, &Frame::Refused(refused.encode())).await?;
    part(carrier).await;
    Ok(())
}

/// The next connection; none once it is told to stop. Tasks that have ended are cleared away meanwhile.
async fn accept(
    listener: &TcpListener,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => return Some(accepted),
                Err(error) => {
                    tracing::warn!("cannot accept connections: {error}");
                    sleep(AGAIN).await;
                }
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
}

/// Takes the carrier out; what stays in its place says nothing more.
fn take(carrier: &mut Box<dyn Carrier>) -> Box<dyn Carrier> {
    std::mem::replace(carrier, Box::new(tokio::io::empty()))
}

//! The laptop's end of the tunnel: dials carriers again and again, and takes the streams that the agent opens.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::drive::{Carrier, Ended, drive};
use super::greet::{PATIENCE, greet};
use super::header::Header;
use super::link::{Held, Link, Presence};
use super::mux::{Reset, Side};
use super::session::KEEP;
use super::stream::Stream;
use super::wire::hello::{Hello, HelloBody, Reason, Refused, SessionId, Welcome, printable};
use super::wire::{Decoder, Frame, VERSIONS};

/// A carrier that lived for so long, or on which anything got through, was a good one: the next attempt is made at once.
const GOOD: Duration = Duration::from_secs(5);

/// What the client is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who it is, for others to read: `ann@laptop`.
    pub who: String,
    /// Whether somebody else's session is to end for it.
    pub take: bool,
    /// How many carriers are used at a time.
    pub lanes: usize,
    /// 128 random bits.
    pub random: [u8; 16],
}

/// What people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A carrier is there.
    Connected {
        /// Which one, from 0.
        lane: usize,
        /// The lane goes on where it was interrupted.
        resumed: bool,
        /// The agent's version of the program.
        agent: String,
    },
    /// A carrier has ended; it is dialled again.
    Interrupted {
        /// Which one.
        lane: usize,
        /// Why.
        cause: String,
    },
    /// A carrier could not be had; it is tried again.
    Failed {
        /// Which one.
        lane: usize,
        /// Why.
        cause: String,
    },
    /// A lane is over, with the connections on it. A new one is begun.
    Lost {
        /// Which one.
        lane: usize,
        /// How many connections were reset.
        connections: usize,
        /// Why.
        cause: String,
    },
}

/// The laptop's end.
#[derive(Debug)]
pub struct Client {
    options: Options,
    session: SessionId,
    numbers: AtomicU64,
    links: Mutex<BTreeMap<u64, Arc<Link>>>,
    changed: Arc<Notify>,
    stop: CancellationToken,
}

impl Client {
    /// A new session.
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            session: SessionId::new(options.random),
            options,
            numbers: AtomicU64::new(1),
            links: Mutex::default(),
            changed: Arc::default(),
            stop: CancellationToken::new(),
        })
    }

    /// Runs until it is stopped.
    ///
    /// `dial` makes a carrier; `on_stream` gets each stream that the agent opens; `on_event` what people should know.
    ///
    /// # Errors
    /// The agent refuses for a reason that trying again does not change.
    pub async fn run<D, C, F, S, T>(
        self: &Arc<Self>,
        dial: D,
        on_stream: S,
        on_event: impl Fn(Event),
    ) -> Result<(), Refused>
    where
        D: Fn() -> F,
        F: Future<Output = io::Result<C>>,
        C: Carrier,
        S: Fn(Header, Stream) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let (welcomed_tx, _) = watch::channel(false);
        let run = Run {
            client: self,
            dial: &dial,
            on_stream: &on_stream,
            on_event: &on_event,
            welcomed_tx: &welcomed_tx,
        };
        let lanes = 0..self.options.lanes.max(1);
        let mut lanes: FuturesUnordered<_> = lanes.map(|lane| run.lane(lane)).collect();
        while let Some(ended) = lanes.next().await {
            ended?;
        }
        Ok(())
    }

    /// Ends the session: the agent is told after everything that was written so far, if it can be reached.
    pub fn stop(&self) {
        self.stop.cancel();
        for link in self.links().values() {
            link.end_with(Frame::Goodbye("the client has ended".into()));
        }
    }

    /// What all lanes hold.
    pub fn held(&self) -> Held {
        self.links().values().fold(Held::default(), |sum, link| {
            let held = link.held();
            Held {
                streams: sum.streams + held.streams,
                outgoing: sum.outgoing + held.outgoing,
                unread: sum.unread + held.unread,
            }
        })
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hello(&self, lane: &Lane) -> Hello {
        Hello {
            versions: VERSIONS,
            body: HelloBody {
                session: self.session.clone(),
                lane: lane.number,
                resume: lane.welcomed,
                received: lane.link.received(),
                who: printable(&self.options.who),
                take: self.options.take && !lane.welcomed,
                dev: env!("CARGO_PKG_VERSION").to_owned(),
                capabilities: Vec::new(),
            },
        }
    }
}

/// A lane. Its streams are lost with it.
struct Lane {
    number: u64,
    link: Arc<Link>,
    welcomed: bool,
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.link.lose();
    }
}

struct Run<'a, D, S, E> {
    client: &'a Arc<Client>,
    dial: &'a D,
    on_stream: &'a S,
    on_event: &'a E,
    welcomed_tx: &'a watch::Sender<bool>,
}

impl<D, C, F, S, T, E> Run<'_, D, S, E>
where
    D: Fn() -> F,
    F: Future<Output = io::Result<C>>,
    C: Carrier,
    S: Fn(Header, Stream) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
    E: Fn(Event),
{
    fn begin(&self) -> Lane {
        let number = self.client.numbers.fetch_add(1, Ordering::Relaxed);
        let link = Link::new(Side::Client, Arc::clone(&self.client.changed));
        self.client.links().insert(number, Arc::clone(&link));
        // It ends when the lane is lost.
        tokio::spawn(take_streams(Arc::clone(&link), self.on_stream.clone()));
        Lane {
            number,
            link,
            welcomed: false,
        }
    }

    /// The lane is over: says so and begins another one.
    fn lose(&self, lane: &mut Lane, slot: usize, cause: String) {
        let connections = lane.link.lose();
        self.client.links().remove(&lane.number);
        (self.on_event)(Event::Lost {
            lane: slot,
            connections,
            cause,
        });
        *lane = self.begin();
    }

    /// Lane after lane, each over carrier after carrier.
    async fn lane(&self, slot: usize) -> Result<(), Refused> {
        // Only the first one learns whether somebody else has the agent.
        let mut welcomed_rx = self.welcomed_tx.subscribe();
        if slot > 0 {
            tokio::select! {
                _ = welcomed_rx.wait_for(|welcomed| *welcomed) => {}
                () = self.client.stop.cancelled() => return Ok(()),
            }
        }
        let mut lane = self.begin();
        let mut backoff = Backoff::default();
        while !self.client.stop.is_cancelled() {
            let pause = backoff.next(chance());
            let Some(dialled) = self.dial(&lane, pause).await else {
                if !self.client.stop.is_cancelled() {
                    self.lose(&mut lane, slot, "it was interrupted for too long".into());
                }
                continue;
            };
            let (carrier, welcome, decoder) = match dialled {
                Ok(dialled) => dialled,
                Err(Ended::Refused(refused)) => match refused.reason {
                    Reason::Version | Reason::Taken => return Err(refused),
                    Reason::Unknown => {
                        self.lose(&mut lane, slot, "the agent was restarted".into());
                        continue;
                    }
                    Reason::Other => {
                        let cause = refused.message;
                        (self.on_event)(Event::Failed { lane: slot, cause });
                        continue;
                    }
                },
                Err(error) => {
                    let cause = error.to_string();
                    (self.on_event)(Event::Failed { lane: slot, cause });
                    continue;
                }
            };
            lane.welcomed = true;
            let (begun, before) = (Instant::now(), lane.link.passed());
            (self.on_event)(Event::Connected {
                lane: slot,
                resumed: welcome.resumed,
                agent: printable(&welcome.dev),
            });
            self.welcomed_tx.send_replace(true);
            let ended = drive(&lane.link, carrier, decoder, welcome.received, None).await;
            if begun.elapsed() >= GOOD || lane.link.passed() > before {
                backoff = Backoff::default();
            }
            match ended {
                Ended::Done => return Ok(()),
                Ended::Refused(refused) => return Err(refused),
                ended if ended.is_final() => self.lose(&mut lane, slot, ended.to_string()),
                ended => {
                    let cause = ended.to_string();
                    (self.on_event)(Event::Interrupted { lane: slot, cause });
                }
            }
        }
        Ok(())
    }

    /// After the pause, a carrier on which the agent has said WELCOME. None if the client is stopped, or the lane cannot be kept any longer.
    async fn dial(
        &self,
        lane: &Lane,
        pause: Duration,
    ) -> Option<Result<(C, Welcome, Decoder), Ended>> {
        let too_late = async {
            match lane.link.presence() {
                Presence::Away { since } if lane.welcomed => sleep_until(since + KEEP).await,
                Presence::Away { .. } | Presence::Here | Presence::Lost => {
                    std::future::pending().await
                }
            }
        };
        let attempt = async {
            sleep(pause).await;
            let attempt = async {
                let mut carrier = (self.dial)().await?;
                let hello = self.client.hello(lane);
                let (welcome, decoder) = greet(&mut carrier, &hello).await?;
                Ok((carrier, welcome, decoder))
            };
            timeout(PATIENCE, attempt)
                .await
                .unwrap_or(Err(Ended::Silent))
        };
        tokio::select! {
            () = self.client.stop.cancelled() => None,
            () = too_late => None,
            dialled = attempt => Some(dialled),
        }
    }
}

/// Hands on the streams of a lane until that is lost; then they end too.
async fn take_streams<S, T>(link: Arc<Link>, on_stream: S)
where
    S: Fn(Header, Stream) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            opened = link.accept() => match opened {
                Some((stream, header)) => match Header::decode(header) {
                    Some(header) => {
                        streams.spawn(on_stream(header, stream));
                    }
                    None => stream.reset(Reset::Unsupported),
                },
                None => break,
            },
            Some(_) = streams.join_next(), if !streams.is_empty() => {}
        }
    }
    // They have been told that they are lost, and see to their own ends.
    while streams.join_next().await.is_some() {}
}

/// From 0 to 1. It spreads attempts and guards nothing.
fn chance() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}

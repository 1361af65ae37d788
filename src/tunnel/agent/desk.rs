//! Which session has the agent, and its lanes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::tunnel::drive::Carrier;
use crate::tunnel::link::{Held, Link, Presence};
use crate::tunnel::mux::Side;
use crate::tunnel::session::{Answer, HOLD, Holder, answer, taken};
use crate::tunnel::wire::hello::{Hello, Refused, SessionId};
use crate::tunnel::wire::{Decoder, Frame};

/// A carrier that has greeted.
pub(super) struct Hand {
    pub(super) carrier: Box<dyn Carrier>,
    pub(super) decoder: Decoder,
    /// How much of the lane the client has received.
    pub(super) received: u64,
    pub(super) version: u16,
}

/// A lane of the session that has the agent.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) session: SessionId,
    pub(super) number: u64,
    pub(super) link: Arc<Link>,
}

/// What becomes of a carrier.
pub(super) enum Admitted {
    Refused(Refused),
    /// It is one of a known lane, whose task takes it.
    Known(mpsc::Sender<Hand>),
    /// It is the first of a lane, whose task is to be started.
    New {
        lane: Lane,
        carriers_rx: mpsc::Receiver<Hand>,
    },
}

#[derive(Debug)]
struct Session {
    id: SessionId,
    who: String,
    since: Instant,
    lanes: HashMap<u64, (Arc<Link>, mpsc::Sender<Hand>)>,
}

impl Session {
    fn holder(&self) -> Holder {
        let here = |link: &Link| link.presence() == Presence::Here;
        Holder {
            session: self.id.clone(),
            who: self.who.clone(),
            since: self.since,
            here: self.lanes.values().any(|(link, _)| here(link)),
            lanes: self.lanes.len(),
        }
    }
}

#[derive(Debug)]
struct State {
    session: Option<Session>,
    /// Since when nobody has had the agent.
    away_since: Instant,
}

/// One for each agent.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// Something about who is there has changed.
    pub(super) changed: Arc<Notify>,
}

impl Desk {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                session: None,
                // Nobody has been here: there is nobody to wait for.
                away_since: now.checked_sub(HOLD).unwrap_or(now),
            }),
            changed: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn holder(&self) -> Option<Holder> {
        self.lock().session.as_ref().map(Session::holder)
    }

    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        let state = self.lock();
        let lanes = state.session.iter().flat_map(|one| one.lanes.values());
        lanes.map(|(link, _)| Arc::clone(link)).collect()
    }

    /// What all lanes hold.
    pub(super) fn held(&self) -> Held {
        self.links().iter().fold(Held::default(), |sum, link| {
            let held = link.held();
            Held {
                streams: sum.streams + held.streams,
                outgoing: sum.outgoing + held.outgoing,
                unread: sum.unread + held.unread,
            }
        })
    }

    /// The lane with the fewest streams of those whose client is there.
    pub(super) fn pick(&self) -> Option<Arc<Link>> {
        let state = self.lock();
        let links = state.session.as_ref()?.lanes.values().map(|(link, _)| link);
        let here = links.filter(|link| link.presence() == Presence::Here);
        here.min_by_key(|link| link.held().streams).cloned()
    }

    /// Since when no client has been there; now if one is.
    pub(super) fn away_since(&self) -> Instant {
        let state = self.lock();
        let Some(session) = &state.session else {
            return state.away_since;
        };
        let since = |link: &Link| match link.presence() {
            Presence::Away { since } => Some(since),
            Presence::Here => Some(Instant::now()),
            Presence::Lost => None,
        };
        let lanes = session.lanes.values();
        lanes
            .filter_map(|(link, _)| since(link))
            .max()
            .unwrap_or(state.away_since)
    }

    /// Decides about a client.
    pub(super) fn admit(&self, hello: &Hello, now: Instant) -> Admitted {
        let mut state = self.lock();
        let body = &hello.body;
        let holder = state.session.as_ref().map(Session::holder);
        let known = state
            .session
            .as_ref()
            .filter(|session| session.id == body.session)
            .and_then(|session| session.lanes.get(&body.lane));
        match answer(hello, holder.as_ref(), known.is_some(), now) {
            Answer::Refuse(refused) => Admitted::Refused(refused),
            Answer::Resume => match known {
                Some((_, carriers_tx)) => Admitted::Known(carriers_tx.clone()),
                None => self.add(&mut state, hello, now),
            },
            Answer::New => self.add(&mut state, hello, now),
            Answer::Replace => {
                if let Some(old) = state.session.take() {
                    let next = Holder {
                        who: body.who.clone(),
                        since: now,
                        ..old.holder()
                    };
                    let words = taken(&next, now).encode();
                    for (link, _) in old.lanes.values() {
                        link.end_with(Frame::Refused(words.clone()));
                    }
                }
                self.add(&mut state, hello, now)
            }
        }
    }

    fn add(&self, state: &mut State, hello: &Hello, now: Instant) -> Admitted {
        let body = &hello.body;
        let session = state.session.get_or_insert_with(|| Session {
            id: body.session.clone(),
            who: body.who.clone(),
            since: now,
            lanes: HashMap::new(),
        });
        let link = Link::new(Side::Agent, Arc::clone(&self.changed));
        let (carriers_tx, carriers_rx) = mpsc::channel(1);
        session
            .lanes
            .insert(body.lane, (Arc::clone(&link), carriers_tx));
        let lane = Lane {
            session: body.session.clone(),
            number: body.lane,
            link,
        };
        Admitted::New { lane, carriers_rx }
    }

    /// A lane is over; `gone`: because the client is, who is then not waited for.
    pub(super) fn forget(&self, lane: &Lane, gone: bool, now: Instant) {
        let mut state = self.lock();
        let Some(session) = state
            .session
            .as_mut()
            .filter(|session| session.id == lane.session)
        else {
            return;
        };
        session.lanes.remove(&lane.number);
        if session.lanes.is_empty() {
            state.session = None;
            let enough = now.checked_sub(HOLD).unwrap_or(now);
            state.away_since = if gone { enough } else { now };
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

//! One lane and its streams, shared between the task that has the carrier and those that have the streams.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::future::poll_fn;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::lane::Lane;
use super::mux::{Mux, Reset, Side, Wakes};
use super::stream::Stream;
use super::wire::Frame;

/// Whether the other end is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A carrier is there, and the other end answers.
    Here,
    /// No carrier, or an answer is overdue.
    Away {
        /// Since when.
        since: Instant,
    },
    /// The lane is over.
    Lost,
}

/// What a lane holds, for people and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Streams.
    pub streams: usize,
    /// Bytes to be sent, or sent and not acknowledged.
    pub outgoing: usize,
    /// Bytes that have come and were not read.
    pub unread: usize,
}

/// What is behind the lock.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) lane: Lane,
    pub(super) mux: Mux,
    /// The task with the carrier, when it waits for something to send.
    pub(super) driver: Option<Waker>,
    /// The lane is to end with this frame.
    pub(super) last_words: Option<Frame>,
}

impl Inner {
    pub(super) fn wants_driver(&self) -> bool {
        self.lane.wants_to_send() || self.last_words.is_some()
    }
}

/// One end of a lane and its streams.
#[derive(Debug)]
pub struct Link {
    inner: Mutex<Inner>,
    presence_tx: watch::Sender<Presence>,
    changed: Arc<Notify>,
}

impl Link {
    /// That of a new lane, without a carrier yet. Whoever waits for `changed` is told when its presence changes.
    pub fn new(side: Side, changed: Arc<Notify>) -> Arc<Self> {
        let presence = Presence::Away {
            since: Instant::now(),
        };
        Arc::new(Self {
            inner: Mutex::new(Inner {
                lane: Lane::default(),
                mux: Mux::new(side),
                driver: None,
                last_words: None,
            }),
            presence_tx: watch::Sender::new(presence),
            changed,
        })
    }

    /// Opens a stream. It may be written to at once, also while there is no carrier.
    ///
    /// # Errors
    /// The lane is lost or has too many streams.
    pub fn open(self: &Arc<Self>, header: &[u8]) -> Result<Stream, Reset> {
        let now = Instant::now();
        let number = self.with(|inner| inner.mux.open(&mut inner.lane, header, now))?;
        Ok(Stream::new(Arc::clone(self), number))
    }

    /// The next stream that the other end opens, and its header; none once the lane is lost.
    pub async fn accept(self: &Arc<Self>) -> Option<(Stream, Bytes)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Option<(Stream, Bytes)>> {
        let opened = self.with(|inner| inner.mux.accept(cx.waker()));
        opened.map(|opened| {
            opened.map(|(number, header)| (Stream::new(Arc::clone(self), number), header))
        })
    }

    /// Whether the other end is there.
    pub fn presence(&self) -> Presence {
        *self.presence_tx.borrow()
    }

    /// When that changes.
    pub fn watch_presence(&self) -> watch::Receiver<Presence> {
        self.presence_tx.subscribe()
    }

    /// What is held.
    pub fn held(&self) -> Held {
        let inner = self.lock();
        Held {
            streams: inner.mux.streams(),
            outgoing: inner.lane.held(),
            unread: inner.mux.unread(),
        }
    }

    /// How much has come.
    pub fn received(&self) -> u64 {
        self.lock().lane.received()
    }

    /// How many bytes got through, both ways.
    pub fn passed(&self) -> u64 {
        self.lock().lane.passed()
    }

    /// Has the lane end with this frame (GOODBYE or REFUSED), after everything that was written so far. Without a carrier nobody is told.
    pub fn end_with(&self, last_words: Frame) {
        self.with(|inner| inner.last_words = Some(last_words));
    }

    /// Ends the lane: its streams are reset. Gives how many there were.
    pub fn lose(&self) -> usize {
        let mut wakes = Wakes::new();
        let streams = {
            let mut inner = self.lock();
            let streams = inner.mux.unfinished();
            inner.mux.lose(&mut wakes);
            streams
        };
        self.set_presence(Presence::Lost);
        for waker in wakes {
            waker.wake();
        }
        streams
    }

    pub(super) fn set_presence(&self, presence: Presence) {
        let changed = self.presence_tx.send_if_modified(|known| {
            let changed = *known != presence && *known != Presence::Lost;
            if changed {
                *known = presence;
            }
            changed
        });
        if changed {
            self.changed.notify_waiters();
        }
    }

    /// Does something under the lock, and wakes the task with the carrier if there is now something to send.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let (done, driver) = {
            let mut inner = self.lock();
            let done = act(&mut inner);
            let driver = match inner.wants_driver() {
                true => inner.driver.take(),
                false => None,
            };
            (done, driver)
        };
        if let Some(waker) = driver {
            waker.wake();
        }
        done
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics under it; and if something did, the state is still what the other end can judge.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! PURE: who may write, by a Lease (`coordination.k8s.io/v1`), as Kubernetes' own controllers do it.
//!
//! Clocks of different machines are not compared: a Lease has expired when this process has seen no renewal for as long as it lasts.
//! The holder stops writing well before that: a write that it began is over before another process can begin one. Losing the Lease
//! ends nothing; the process goes on observing, and competes for it again.

mod hold;

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

pub use hold::{Hold, Holding};

/// How long a Lease lasts without renewal.
pub const LASTS: Duration = Duration::from_secs(15);
/// How often it is renewed.
pub const RENEW: Duration = Duration::from_secs(4);
/// The holder begins no write later than this after it began its last renewal. A write takes at most [`WRITE`].
pub const WRITES: Duration = Duration::from_secs(9);
/// How long one write may take; then its outcome is unknown, and it is looked at anew.
pub const WRITE: Duration = Duration::from_secs(5);
/// How often another process looks whether the Lease is free.
const LOOK: Duration = Duration::from_secs(2);

/// A Lease as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `metadata.resourceVersion`.
    pub version: String,
    /// `spec.holderIdentity`; empty: nobody.
    pub holder: String,
    /// `spec.leaseDurationSeconds`.
    pub lasts: Duration,
    /// `spec.acquireTime`, as it is written.
    pub acquired: Value,
    /// `spec.leaseTransitions`.
    pub transitions: i64,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Read the Lease.
    Read,
    /// Create it with this spec.
    Create(Value),
    /// Replace its spec where it still has this version.
    Replace(String, Value),
    /// Nothing until then.
    Wait(Instant),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The Lease as it is now; `None`: there is none.
    Read(Option<Seen>),
    /// It was written, and has this version now. `began`: when the request was sent.
    Written {
        /// The new version.
        version: String,
        /// When the request was sent.
        began: Instant,
    },
    /// Somebody else wrote first.
    Conflict,
    /// No answer, or a refusal.
    Failed,
}

/// One competitor.
#[derive(Clone, Debug)]
pub struct Elector {
    identity: String,
    /// The Lease as it was last seen, and when that version was seen first.
    seen: Option<(Option<Seen>, Instant)>,
    /// When the last successful renewal was sent.
    renewed: Option<Instant>,
    /// Before this nothing is done.
    wait: Option<Instant>,
}

impl Elector {
    /// A competitor of this name, which must be unique.
    pub fn new(identity: String) -> Self {
        Self {
            identity,
            seen: None,
            renewed: None,
            wait: None,
        }
    }

    /// Whether it holds the Lease, with so much time to spare that a write that begins now is over in time.
    pub fn may_write(&self, now: Instant) -> bool {
        self.writes_until().is_some_and(|until| now < until)
    }

    /// Until when writes may begin.
    pub fn writes_until(&self) -> Option<Instant> {
        self.renewed.map(|renewed| renewed + WRITES)
    }

    /// What to do now. `time` is what is written for people.
    pub fn next(&self, now: Instant, time: Timestamp) -> Next {
        if let Some(wait) = self.wait.filter(|wait| now < *wait) {
            return Next::Wait(wait);
        }
        let Some((seen, since)) = &self.seen else {
            return Next::Read;
        };
        let Some(seen) = seen else {
            return Next::Create(self.spec(None, time));
        };
        if seen.holder == self.identity {
            return match self.renewed.map(|renewed| renewed + RENEW) {
                Some(due) if now < due => Next::Wait(due),
                Some(_) | None => Next::Replace(seen.version.clone(), self.spec(Some(seen), time)),
            };
        }
        let expired = seen.holder.is_empty() || now >= *since + seen.lasts;
        match expired {
            true => Next::Replace(seen.version.clone(), self.spec(Some(seen), time)),
            false => Next::Read,
        }
    }

    /// Takes in what became of it.
    pub fn happened(&mut self, outcome: Outcome, now: Instant, time: Timestamp) {
        self.wait = None;
        match outcome {
            Outcome::Read(seen) => {
                let same = self
                    .seen
                    .as_ref()
                    .is_some_and(|(before, _)| *before == seen);
                let other = seen
                    .as_ref()
                    .is_none_or(|seen| seen.holder != self.identity);
                if other {
                    self.renewed = None;
                }
                if !same {
                    self.seen = Some((seen, now));
                }
                let held = self
                    .seen
                    .as_ref()
                    .and_then(|(seen, since)| Some((seen.as_ref()?, since)));
                if let Some((seen, since)) = held.filter(|_| other) {
                    // Not later than it can expire.
                    let free = *since + seen.lasts;
                    if !seen.holder.is_empty() && free > now {
                        self.wait = Some((now + LOOK).min(free));
                    }
                }
            }
            Outcome::Written { version, began } => {
                let before = self.seen.take().and_then(|(seen, _)| seen);
                let seen = self.as_written(before.as_ref(), version, time);
                self.seen = Some((Some(seen), now));
                self.renewed = Some(began);
            }
            // Read it again: somebody holds it now, or it was deleted.
            Outcome::Conflict => self.seen = None,
            Outcome::Failed => {
                // A write may have been done without our hearing of it.
                self.seen = self.seen.take().filter(|(seen, _)| {
                    seen.as_ref()
                        .is_some_and(|seen| seen.holder != self.identity)
                });
                self.wait = Some(now + Duration::from_secs(1));
            }
        }
    }

    /// The spec that gives the Lease away, with the version that it replaces. `None`: it is not held.
    pub fn release(&self) -> Option<(String, Value)> {
        let (seen, _) = self.seen.as_ref()?;
        let seen = seen.as_ref().filter(|seen| seen.holder == self.identity)?;
        let spec = json!({"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": seen.transitions});
        Some((seen.version.clone(), spec))
    }

    fn as_written(&self, before: Option<&Seen>, version: String, time: Timestamp) -> Seen {
        let same = before.filter(|before| before.holder == self.identity);
        Seen {
            version,
            holder: self.identity.clone(),
            lasts: LASTS,
            acquired: same.map_or_else(|| micro(time), |before| before.acquired.clone()),
            transitions: match (before, same) {
                (None, _) => 0,
                (Some(before), Some(_)) => before.transitions,
                (Some(before), None) => before.transitions.saturating_add(1),
            },
        }
    }

    fn spec(&self, before: Option<&Seen>, time: Timestamp) -> Value {
        let seen = self.as_written(before, String::new(), time);
        json!({
            "holderIdentity": seen.holder,
            "leaseDurationSeconds": LASTS.as_secs(),
            "acquireTime": seen.acquired,
            "renewTime": micro(time),
            "leaseTransitions": seen.transitions,
        })
    }
}

/// A time as Kubernetes' MicroTime.
fn micro(time: Timestamp) -> Value {
    Value::from(format!("{time:.6}"))
}

#[cfg(test)]
mod tests;

//! The loop around the elector: reads and writes the Lease, and tells whether writes may begin.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Elector, Next, Outcome, Seen};
use crate::cluster::Cluster;
use crate::cluster::write::{Path, Written};
use crate::control::CONTROL;

/// How long one request for the Lease may take: an answer that comes later is of no use.
const ANSWER: Duration = Duration::from_secs(3);

/// Until when writes may begin, as the rest of the process sees it. Clones share it.
#[derive(Clone, Debug)]
pub struct Holding {
    until_rx: watch::Receiver<Option<Instant>>,
}

impl Holding {
    /// Whether a write may begin now.
    pub fn may_write(&self) -> bool {
        self.until_rx
            .borrow()
            .is_some_and(|until| Instant::now() < until)
    }

    /// Waits until the Lease was gained, renewed or lost.
    pub async fn changed(&mut self) {
        if self.until_rx.changed().await.is_err() {
            // Nobody competes any more: nothing will ever change.
            std::future::pending::<()>().await;
        }
    }
}

/// The loop. It goes on as long as it is polled; nothing ends it.
pub struct Hold {
    cluster: Cluster,
    path: Path,
    elector: Mutex<Elector>,
    until_tx: watch::Sender<Option<Instant>>,
}

impl Hold {
    /// A competitor for the Lease `dev-control` of a base.
    pub fn new(cluster: Cluster, base: &str, identity: String) -> (Arc<Self>, Holding) {
        let (until_tx, until_rx) = watch::channel(None);
        let hold = Self {
            cluster,
            path: Path::namespaced("/apis/coordination.k8s.io/v1", base, "leases"),
            elector: Mutex::new(Elector::new(identity)),
            until_tx,
        };
        (Arc::new(hold), Holding { until_rx })
    }

    /// Competes for ever.
    pub async fn run(&self) {
        loop {
            let next = self.with(|elector| elector.next(Instant::now(), Timestamp::now()));
            let outcome = match next {
                Next::Wait(until) => {
                    tokio::time::sleep_until(until).await;
                    continue;
                }
                Next::Read => self.read().await,
                Next::Create(spec) => {
                    let lease = self.lease(None, &spec);
                    self.outcome(self.cluster.create_at(&self.path, CONTROL, &lease))
                        .await
                }
                Next::Replace(version, spec) => {
                    let lease = self.lease(Some(&version), &spec);
                    self.outcome(
                        self.cluster
                            .replace_at(&self.path, CONTROL, CONTROL, &lease),
                    )
                    .await
                }
            };
            let until = self.with(|elector| {
                elector.happened(outcome, Instant::now(), Timestamp::now());
                elector.writes_until()
            });
            self.until_tx.send_if_modified(|before| {
                let changed = *before != until;
                *before = until;
                changed
            });
        }
    }

    /// Gives the Lease away, so that the next process need not wait. Best effort.
    pub async fn release(&self) {
        self.until_tx.send_replace(None);
        if let Some((version, spec)) = self.with(|elector| elector.release()) {
            let lease = self.lease(Some(&version), &spec);
            let _outcome = self
                .outcome(
                    self.cluster
                        .replace_at(&self.path, CONTROL, CONTROL, &lease),
                )
                .await;
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Elector) -> T) -> T {
        work(&mut self.elector.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lease(&self, version: Option<&str>, spec: &Value) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": CONTROL, "resourceVersion": version},
            "spec": spec,
        })
    }

    async fn read(&self) -> Outcome {
        match tokio::time::timeout(ANSWER, self.cluster.read_at(&self.path, CONTROL)).await {
            Ok(Ok(found)) => Outcome::Read(found.as_ref().map(seen)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the Lease cannot be read");
                Outcome::Failed
            }
            Err(_) => Outcome::Failed,
        }
    }

    async fn outcome(&self, request: impl Future<Output = Written>) -> Outcome {
        let began = Instant::now();
        match tokio::time::timeout(ANSWER, request).await {
            Ok(Written::Done(lease)) => Outcome::Written {
                version: text(&lease["metadata"]["resourceVersion"]),
                began,
            },
            Ok(Written::Outdated) => Outcome::Conflict,
            Ok(Written::Failed(error)) => {
                tracing::warn!(%error, "the Lease cannot be written");
                Outcome::Failed
            }
            Err(_) => Outcome::Failed,
        }
    }
}

fn seen(lease: &Value) -> Seen {
    let spec = &lease["spec"];
    let lasts = spec["leaseDurationSeconds"].as_u64();
    Seen {
        version: text(&lease["metadata"]["resourceVersion"]),
        holder: text(&spec["holderIdentity"]),
        lasts: lasts.map_or(super::LASTS, Duration::from_secs),
        acquired: spec["acquireTime"].clone(),
        transitions: spec["leaseTransitions"].as_i64().unwrap_or_default(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

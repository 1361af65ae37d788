//! The loop: observes, decides, carries out. It ends only when its caller drops it.
//!
//! ```text
//! mirrors, acks, surroundings ──► Observed ──► decide ──► steps ──► API server
//!        ▲                                                  │
//!        └────────────── own writes, at once ◄──────────────┘
//! ```
//!
//! Writes are made while the Lease is held, one at a time for each Service. What is observed and what would be done is told by the
//! status server whether the Lease is held or not.

mod acks;
mod around;
mod carry_out;
mod events;
mod http;
mod observe;
mod own;
mod pending;
mod secrets;
mod status;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::cluster::write::Written;
use crate::control::decide::{Act, Decision, Periods, decide};
use crate::control::lease::{Hold, Holding};
use acks::Acks;
use around::Around;
use events::Events;
use observe::Watched;
use pending::Pending;
use secrets::Secrets;
use status::Status;

/// With what the process runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The base's namespace.
    pub base: String,
    /// The name of this process, such as its pod's: unique among those that compete.
    pub identity: String,
    /// The port of the routers' status servers.
    pub router_port: u16,
    /// How long things last.
    pub periods: Periods,
    /// The same cluster as the account that gives Secrets; `None`: none are given.
    pub provisioner: Option<Cluster>,
}

/// The process decides at least this often, should a notification ever be lost.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Runs until `stop` is ready; then it gives the Lease away.
pub async fn run(
    cluster: Cluster,
    options: Options,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) {
    let (hold, holding) = Hold::new(cluster.clone(), &options.base, options.identity.clone());
    let (status, report_tx) = Status::new(&options.identity);
    let competing = Arc::clone(&hold);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { competing.run().await });
    tasks.spawn(status.serve(listener));
    let looped = Loop {
        watched: Watched::begin(&cluster, &options.base),
        around: Around::begin(&cluster, &options.base),
        acks: Acks::new(options.router_port),
        events: Events::new(cluster.clone(), &options.base),
        secrets: Secrets::new(&options.base, options.provisioner.clone()),
        pending: Pending::default(),
        running: JoinSet::new(),
        holding,
        report_tx,
        cluster,
        options,
    };
    tokio::select! {
        () = looped.run() => {}
        () = stop => {}
    }
    tasks.abort_all();
    hold.release().await;
}

struct Loop {
    cluster: Cluster,
    options: Options,
    watched: Watched,
    around: Around,
    acks: Acks,
    events: Events,
    secrets: Secrets,
    pending: Pending,
    /// Steps that are being carried out.
    running: JoinSet<Done>,
    holding: Holding,
    report_tx: status::ReportSender,
}

/// A step that was carried out.
struct Done {
    act: Act,
    outcome: Written,
}

impl Loop {
    async fn run(mut self) {
        loop {
            let next = self.turn();
            self.wait(next).await;
        }
    }

    /// Decides, and begins what is to be done. The value: when to decide again at the latest.
    fn turn(&mut self) -> Instant {
        let now = Instant::now();
        let mut latest = now + LONGEST_PAUSE;
        if !self.watched.is_synced() || !self.around.is_known() {
            status::publish(&self.report_tx, self.report(None, &Decision::default()));
            return latest;
        }
        let mut observed = self.watched.observe(&self.around.now(), &self.acks);
        observed.observed.reserved = self.pending.ports();
        let time = Timestamp::now();
        let decision = decide(&observed.observed, &self.options.periods, time);
        self.acks.want(&decision.awaited, &observed.routers);
        if self.holding.may_write() {
            self.events.tell(&observed.observed, time);
            let (wishes, may_take) = self.watched.wishes();
            latest = latest.min(self.secrets.tend(wishes, may_take));
            for act in &decision.acts {
                match self.pending.may_begin(&act.service, now) {
                    Ok(()) => self.begin(act, &observed),
                    Err(Some(at)) => latest = latest.min(at),
                    Err(None) => {}
                }
            }
        }
        if let Some(again) = decision.again {
            let pause = again
                .duration_since(time)
                .try_into()
                .unwrap_or(Duration::ZERO);
            latest = latest.min(now + pause);
        }
        status::publish(&self.report_tx, self.report(Some(&observed), &decision));
        latest
    }

    fn begin(&mut self, act: &Act, observed: &observe::View) {
        self.pending.began(&act.service, &act.step);
        let work = carry_out::carry_out(
            self.cluster.clone(),
            &self.options.base,
            act,
            observed.shadow(&act.service),
        );
        let act = act.clone();
        self.running.spawn(async move {
            Done {
                act,
                outcome: work.await,
            }
        });
    }

    async fn wait(&mut self, latest: Instant) {
        tokio::select! {
            Some(done) = self.running.join_next() => {
                if let Ok(done) = done {
                    self.ended(done);
                }
            }
            () = self.watched.changed() => {}
            () = self.around.changed() => {}
            () = self.acks.changed() => {}
            () = self.holding.changed() => {}
            () = self.secrets.changed() => {}
            () = tokio::time::sleep_until(latest) => {}
        }
        // Whatever else is there already is taken in with it.
        while let Some(Ok(done)) = self.running.try_join_next() {
            self.ended(done);
        }
    }

    fn ended(&mut self, done: Done) {
        let Done { act, outcome } = done;
        let what = carry_out::name(&act.step);
        match outcome {
            Written::Done(object) => {
                tracing::info!(service = %act.service, %what, "done");
                self.watched.wrote(&act, object);
                self.pending.succeeded(&act.service);
            }
            Written::Outdated => {
                tracing::info!(service = %act.service, %what, "somebody else wrote first");
                self.pending.outdated(&act.service, Instant::now());
            }
            Written::Failed(error) => {
                tracing::warn!(service = %act.service, %what, %error, "failed");
                self.pending.failed(&act.service, Instant::now(), &error);
            }
        }
    }

    fn report(&self, observed: Option<&observe::View>, decision: &Decision) -> status::Report {
        let mut troubles: BTreeSet<String> = self.watched.troubles().into_iter().collect();
        troubles.extend(self.around.troubles());
        troubles.extend(self.pending.failures());
        troubles.extend(self.secrets.troubles());
        status::Report {
            leads: self.holding.may_write(),
            synced: observed.is_some(),
            services: observed
                .map(|observed| observed.services(&decision.states))
                .unwrap_or_default(),
            problems: observed
                .map(|observed| observed.problems.clone())
                .unwrap_or_default(),
            troubles,
            secrets: self.secrets.report(),
            removed: observed.is_some_and(|observed| !observed.observed.admitted)
                && decision.states.is_empty(),
            ..self.report_tx.borrow().clone()
        }
    }
}

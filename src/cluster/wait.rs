//! Waiting until services are ready, by watch; and what to say when they are not.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::runtime::watcher::{Config, Event};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::cluster::feed::{self, Notice, OnNotice, Shared};
use crate::cluster::health::{
    Health, Index, Judgement, Known, LogKey, LogWanted, Moment, ServiceObjects, Watched, World,
    judge,
};
use crate::cluster::logs;
use crate::error::Error;

/// Lines of a failing container that are told.
const LINES: i64 = 20;
/// For a look: whatever is not there by now is missing.
const SETTLED: Duration = Duration::MAX;
/// What only troubles are told from.
const DETAILS: [Watched; 3] = [Watched::Events, Watched::Claims, Watched::ClaimEvents];
/// How long the end of a failed wait is put off for lines that are still being read.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Watches one namespace for as long as it lives; any number of waits share it. Nothing is read before the first wait.
pub struct Watcher {
    shared: Arc<Shared>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    running: JoinSet<()>,
    kinds: BTreeSet<Watched>,
    asked: BTreeSet<LogKey>,
}

/// Services that are not ready: some failed for good, or the time is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// Every service of the wait, the ready ones too.
    pub services: Vec<Health>,
    /// How long was waited.
    pub after: Duration,
}

/// Why a wait ended badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitError {
    /// Services are not ready.
    NotReady(NotReady),
    /// The objects cannot be read.
    Access(Error),
}

/// Waits for services of one namespace. For several waits with the same watches, use a [`Watcher`].
pub async fn wait(
    client: Client,
    namespace: &str,
    services: &[ServiceObjects],
    timeout: Duration,
    on_notice: impl Fn(Notice) + Send + Sync + 'static,
    on_state: impl FnMut(&str, &Health),
) -> Result<Vec<Health>, WaitError> {
    let watcher = Watcher::new(client, namespace, on_notice);
    watcher.wait_for(services, timeout, on_state).await
}

impl Watcher {
    /// A watcher of a namespace. `on_notice` is told once when the API server goes away or comes back, and what may not
    /// be read.
    pub fn new(
        client: Client,
        namespace: &str,
        on_notice: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Self {
        let on_notice: OnNotice = Arc::new(on_notice);
        Self {
            shared: Shared::new(client, namespace, on_notice),
            tasks: Mutex::default(),
        }
    }

    /// Waits until all these services are ready at the same time. `on_state` is told each change of a service's health.
    /// Ends at once when a service failed for good, else after `timeout`.
    ///
    /// Objects are judged as they were when this was called or later: what was applied before the call is never taken for ready
    /// because of an older state. Targets that carry their generation save a read each.
    pub async fn wait_for(
        &self,
        services: &[ServiceObjects],
        timeout: Duration,
        mut on_state: impl FnMut(&str, &Health),
    ) -> Result<Vec<Health>, WaitError> {
        let began = Instant::now();
        let deadline = began + timeout;
        let own = own_kinds(services);
        let needed = with_parts(&own);
        let mut services = self.pinned(services, deadline).await;
        self.need(&needed, &own);
        let mut changes = self.shared.changes();
        let mut told: Vec<Option<Health>> = vec![None; services.len()];
        loop {
            changes.mark_unchanged();
            let mut again = None;
            if let Some(judged) = self.judge(&services, &own, &needed, began.elapsed())? {
                self.recognise(&mut services);
                for (judgement, told) in judged.iter().zip(&mut told) {
                    if told.as_ref() != Some(&judgement.health) {
                        on_state(&judgement.health.service, &judgement.health);
                        *told = Some(judgement.health.clone());
                    }
                }
                if judged.iter().all(|one| one.health.is_ready()) {
                    return Ok(judged.into_iter().map(|one| one.health).collect());
                }
                // What only troubles need is read when something is not ready: an unchanged application never pays for it.
                self.need(&BTreeSet::from(DETAILS), &own);
                self.read_logs(judged.iter().flat_map(|one| &one.logs));
                if judged.iter().any(|one| one.health.is_failed()) || Instant::now() >= deadline {
                    let services = self.last_word(&services, began.elapsed()).await;
                    let after = began.elapsed();
                    return Err(WaitError::NotReady(NotReady { services, after }));
                }
                again = judged.iter().filter_map(|one| one.again).min();
            } else if Instant::now() >= deadline {
                let services = self.last_word(&services, began.elapsed()).await;
                let after = began.elapsed();
                return Err(WaitError::NotReady(NotReady { services, after }));
            }
            let wake = again.map_or(deadline, |again| deadline.min(Instant::now() + again));
            tokio::select! {
                // The sender lives in `shared`.
                _ = changes.changed() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    /// How the services are now, with what only troubles need. Waits only until everything was read once, at most `timeout`.
    pub async fn look(
        &self,
        services: &[ServiceObjects],
        timeout: Duration,
    ) -> Result<Vec<Health>, WaitError> {
        let began = Instant::now();
        let deadline = began + timeout;
        let own = own_kinds(services);
        let mut needed = with_parts(&own);
        let mut services = self.pinned(services, deadline).await;
        // A look says what is missing, not what became of it.
        let targets = services.iter_mut().flat_map(|one| &mut one.workloads);
        targets.for_each(|target| target.known = Known::Nothing);
        let services = &services;
        let mut changes = self.shared.changes();
        loop {
            self.need(&needed, &own);
            changes.mark_unchanged();
            if let Some(judged) = self.judge(services, &own, &needed, SETTLED)? {
                if judged.iter().all(|one| one.health.is_ready()) {
                    return Ok(judged.into_iter().map(|one| one.health).collect());
                }
                if needed.contains(&Watched::Events) {
                    return Ok(self.last_word(services, SETTLED).await);
                }
                needed.extend(DETAILS);
            } else if timeout_at(deadline, changes.changed()).await.is_err() {
                let services = self.last_word(services, began.elapsed()).await;
                let after = began.elapsed();
                return Err(WaitError::NotReady(NotReady { services, after }));
            }
        }
    }

    /// The services with uid and generation of each object as it is now, where a watch that is behind could show an older one. A list
    /// that has not begun yet cannot.
    async fn pinned(&self, services: &[ServiceObjects], deadline: Instant) -> Vec<ServiceObjects> {
        let mut services = services.to_vec();
        let (begun, lists) = {
            let state = self.shared.lock();
            (state.begun.clone(), state.world.lists.clone())
        };
        let mut stale = Vec::new();
        for target in services.iter_mut().flat_map(|one| &mut one.workloads) {
            let Some(kind) = Watched::of(&target.key.api_version, &target.key.kind) else {
                continue;
            };
            if let Known::There { lists: so_far } = &mut target.known {
                *so_far = lists.get(&kind).map_or(0, |lists| lists.begun);
            }
            if target.generation.is_none() && begun.contains(&kind) {
                stale.push((kind, target));
            }
        }
        let reads = stale.into_iter().map(|(kind, target)| async move {
            match self.shared.metadata(kind, &target.key.name).await {
                Ok(Some(meta)) => {
                    target.uid = meta.uid;
                    target.generation = meta.generation;
                }
                Ok(None) if target.known != Known::Nothing => target.known = Known::Gone,
                // An object that cannot be read is judged by what the watch shows of it.
                Ok(None) | Err(_) => {}
            }
        });
        let _late = timeout_at(deadline, futures::future::join_all(reads)).await;
        services
    }

    /// Notes which objects are meant, where that was not known: others of their names are others.
    fn recognise(&self, services: &mut [ServiceObjects]) {
        let state = self.shared.lock();
        for target in services.iter_mut().flat_map(|one| &mut one.workloads) {
            let (Known::There { lists }, None) = (target.known, &target.uid) else {
                continue;
            };
            let kind = Watched::of(&target.key.api_version, &target.key.kind);
            // What an earlier list shows may be an older object.
            let later = kind.filter(|kind| state.world.lists_of(*kind).read > lists);
            let uid = later.and_then(|kind| state.world.uid_of(kind, &target.key.name));
            target.uid = uid.map(str::to_owned);
        }
    }

    /// `None` until everything that is needed was read once.
    fn judge(
        &self,
        services: &[ServiceObjects],
        own: &BTreeSet<Watched>,
        needed: &BTreeSet<Watched>,
        waited: Duration,
    ) -> Result<Option<Vec<Judgement>>, WaitError> {
        let state = self.shared.lock();
        if let Some(cause) = &state.rejected {
            let error = Error::cluster("the cluster does not accept the credentials any more")
                .reason("Unauthorized")
                .cause(cause.clone())
                .hint("log in again, as your cluster's provider says");
            return Err(WaitError::Access(error));
        }
        if let Some((kind, cause)) = state.denied.iter().find(|(kind, _)| own.contains(kind)) {
            let resource = kind.resource();
            let namespace = &self.shared.namespace;
            let error = Error::cluster(format!(
                "no right to list and watch {resource} in namespace {namespace}"
            ))
            .reason("MissingRight")
            .cause(cause.clone())
            .hint(format!(
                "ask for a role with the verbs list and watch on {resource}"
            ));
            return Err(WaitError::Access(error));
        }
        let read = |kind| state.world.synced.contains(kind) || state.denied.contains_key(kind);
        if !needed.iter().all(read) {
            return Ok(None);
        }
        Ok(Some(self.judge_all(&state.world, services, waited)))
    }

    fn judge_all(
        &self,
        world: &World,
        services: &[ServiceObjects],
        waited: Duration,
    ) -> Vec<Judgement> {
        let index = Index::new(world);
        let moment = Moment {
            now: self.shared.now(),
            waited,
        };
        let judged = services
            .iter()
            .map(|service| judge(service, &index, moment));
        judged.collect()
    }

    /// The healths at the end, with the lines of containers that are still being read.
    async fn last_word(&self, services: &[ServiceObjects], waited: Duration) -> Vec<Health> {
        let until = Instant::now() + LAST_LINES;
        let mut changes = self.shared.changes();
        loop {
            changes.mark_unchanged();
            let judged = self.judge_all(&self.shared.lock().world, services, waited);
            self.read_logs(judged.iter().flat_map(|one| &one.logs));
            let complete = judged.iter().all(|one| one.logs.is_empty());
            if complete || timeout_at(until, changes.changed()).await.is_err() {
                return judged.into_iter().map(|one| one.health).collect();
            }
        }
    }

    /// Begins to watch these kinds, where that is not done yet. Kinds that are not `own` can be done without.
    fn need(&self, kinds: &BTreeSet<Watched>, own: &BTreeSet<Watched>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for kind in kinds {
            if tasks.kinds.insert(*kind) {
                self.start(&mut tasks.running, *kind, !own.contains(kind));
            }
        }
    }

    fn start(&self, running: &mut JoinSet<()>, kind: Watched, optional: bool) {
        let shared = Arc::clone(&self.shared);
        let all = Config::default();
        macro_rules! follow {
            ($config:expr, $objects:ident, $on_event:expr) => {
                running.spawn(feed::follow(
                    shared,
                    kind,
                    $config,
                    optional,
                    |world| &mut world.$objects,
                    $on_event,
                ))
            };
        }
        match kind {
            Watched::Deployments => follow!(all, deployments, |_, _, _| {}),
            Watched::StatefulSets => follow!(all, stateful_sets, |_, _, _| {}),
            Watched::DaemonSets => follow!(all, daemon_sets, |_, _, _| {}),
            Watched::ReplicaSets => follow!(all, replica_sets, |_, _, _| {}),
            Watched::Jobs => follow!(all, jobs, |world, event, _| note_finished(world, event)),
            Watched::Pods => follow!(all, pods, |world, event, now| {
                if let Event::Apply(pod) | Event::InitApply(pod) = event {
                    let pod: &Pod = pod;
                    world.note_running(pod, now);
                }
            }),
            Watched::Claims => follow!(all, claims, |_, _, _| {}),
            Watched::Events => {
                follow!(all.fields("type!=Normal"), events, |_, _, _| {})
            }
            Watched::ClaimEvents => {
                let claims = "involvedObject.kind=PersistentVolumeClaim";
                follow!(all.fields(claims), claim_events, |_, _, _| {})
            }
        };
    }

    fn read_logs<'a>(&self, wanted: impl Iterator<Item = &'a LogWanted>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for wanted in wanted {
            if !tasks.asked.insert(wanted.key.clone()) {
                continue;
            }
            let shared = Arc::clone(&self.shared);
            let wanted = wanted.clone();
            tasks.running.spawn(async move {
                let lines = logs::last_lines(
                    &shared.client,
                    &shared.namespace,
                    &wanted.pod,
                    &wanted.key.container,
                    wanted.previous,
                    LINES,
                )
                .await;
                // Lines that cannot be read (the container is gone, no right to logs) are done without.
                let lines = lines.unwrap_or_default();
                shared.lock().world.logs.insert(wanted.key, lines);
                shared.changed();
            });
        }
    }
}

fn note_finished(world: &mut World, event: &Event<Job>) {
    if let Event::Delete(job) = event {
        let conditions = job
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        let complete = conditions
            .into_iter()
            .flatten()
            .any(|one| one.type_ == "Complete" && one.status == "True");
        if let (true, Some(uid)) = (complete, &job.metadata.uid) {
            world.finished_jobs.insert(uid.clone());
        }
    }
}

/// The kinds that the services themselves are made of.
fn own_kinds(services: &[ServiceObjects]) -> BTreeSet<Watched> {
    let targets = services.iter().flat_map(|service| &service.workloads);
    targets
        .filter_map(|target| Watched::of(&target.key.api_version, &target.key.kind))
        .collect()
}

/// And those that their controllers make.
fn with_parts(own: &BTreeSet<Watched>) -> BTreeSet<Watched> {
    let mut needed = own.clone();
    if own.contains(&Watched::Deployments) {
        needed.insert(Watched::ReplicaSets);
    }
    if own.iter().any(|kind| *kind != Watched::Claims) {
        needed.insert(Watched::Pods);
    }
    needed
}

#[cfg(test)]
mod tests;

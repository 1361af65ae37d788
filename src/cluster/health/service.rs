//! The health of a service: its workloads taken together.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use crate::cluster::health::rollout::{self, Look};
use crate::cluster::health::world::{Index, Watched, World};
use crate::cluster::health::{
    Health, Known, LogWanted, Reason, ServiceObjects, State, Target, Trouble, pod, trouble,
};

/// The health of a service, and what would tell more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The health.
    pub health: Health,
    /// Lines of containers that belong to its troubles and were not read yet.
    pub logs: Vec<LogWanted>,
    /// It must be judged again after this time although no object changes.
    pub again: Option<Duration>,
}

/// When a judgement is made, by the clock of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// How long the service has been waited for.
    pub waited: Duration,
}

/// An object that was just applied may reach the watch a little later.
const UNSEEN: Duration = Duration::from_secs(5);

/// Judges a service from what was read.
pub fn judge(service: &ServiceObjects, index: &Index<'_>, moment: Moment) -> Judgement {
    let name = service.service.as_str();
    let mut sum = Sum::default();
    for target in &service.workloads {
        if let Some(look) = look(name, target, index, moment.waited) {
            sum.add(name, look, index, moment.now);
        }
    }
    sum.finish(name, index)
}

#[derive(Default)]
struct Sum {
    ready: u32,
    wanted: u32,
    texts: Vec<String>,
    waits: bool,
    failed: Option<Trouble>,
    troubles: Vec<Trouble>,
    again: Option<Duration>,
}

impl Sum {
    fn add(&mut self, name: &str, look: Look<'_>, index: &Index<'_>, now: Timestamp) {
        self.ready += look.ready;
        self.wanted += look.wanted;
        if self.failed.is_none() {
            self.failed = look.failed;
        }
        self.call_again(look.again);
        if look.complete {
            self.settle(name, &look.pods, index, now);
            return;
        }
        self.waits = true;
        self.troubles.extend(look.troubles);
        for pod in &look.pods {
            if !pod::is_ready(pod) {
                self.troubles.extend(pod::troubles(name, pod, index));
            }
        }
        self.texts.push(look.text);
    }

    /// A complete rollout whose containers have only just started may be a crash loop between two crashes.
    fn settle(
        &mut self,
        name: &str,
        pods: &[&k8s_openapi::api::core::v1::Pod],
        index: &Index<'_>,
        now: Timestamp,
    ) {
        let unsettled = pods
            .iter()
            .filter(|pod| pod::is_ready(pod))
            .filter_map(|pod| pod::unsettled(name, pod, index, now));
        for (trouble, wait) in unsettled {
            self.waits = true;
            match trouble {
                Some(trouble) => self.troubles.push(trouble),
                None => self.texts.push("just started".to_owned()),
            }
            self.call_again(Some(wait));
        }
    }

    fn call_again(&mut self, after: Option<Duration>) {
        self.again = self.again.into_iter().chain(after).min();
    }

    fn finish(self, name: &str, index: &Index<'_>) -> Judgement {
        let mut troubles = trouble::merge(self.troubles);
        let mut failed = self.failed;
        let mut logs = Vec::new();
        for trouble in troubles.iter_mut().chain(&mut failed) {
            if let Some(wanted) = &trouble.log {
                trouble.lines = index.world.lines(&wanted.key).to_vec();
                if !index.world.logs.contains_key(&wanted.key) {
                    logs.push(wanted.clone());
                }
            }
        }
        let text = match (&failed, troubles.first()) {
            (Some(trouble), _) | (None, Some(trouble)) => trouble.message.clone(),
            (None, None) if self.waits => self.texts.join(", "),
            (None, None) if self.wanted == 0 => "ready".to_owned(),
            (None, None) => format!("{}/{} ready", self.ready, self.wanted),
        };
        let state = match failed {
            Some(trouble) => State::Failed {
                trouble: Box::new(trouble),
            },
            None if !self.waits => State::Ready,
            None if troubles.is_empty() => State::Progressing,
            None => State::Troubled { troubles },
        };
        Judgement {
            health: Health {
                service: name.to_owned(),
                ready: self.ready,
                wanted: self.wanted,
                text,
                state,
            },
            logs,
            again: self.again,
        }
    }
}

/// `None` for kinds that are not waited for (CronJobs, ConfigMaps, …).
fn look<'a>(name: &str, target: &Target, index: &Index<'a>, waited: Duration) -> Option<Look<'a>> {
    let key = &target.key;
    let kind = Watched::of(&key.api_version, &key.kind)?;
    let world = index.world;
    let absent = || Some(absent(target, kind, index, waited));
    let stale = |meta: &ObjectMeta| {
        let other = target.uid.is_some() && meta.uid != target.uid;
        if other && is_deleted(target, kind, world) {
            return Some(deleted(
                target,
                "it was deleted, and another one made, while it was waited for",
            ));
        }
        // One that waits for its pods to go first.
        if !other && meta.deletion_timestamp.is_some() && is_going(target, kind, world) {
            return Some(deleted(
                target,
                "it is being deleted while it is waited for",
            ));
        }
        let older = meta.generation.unwrap_or(0) < target.generation.unwrap_or(0);
        (other || older).then(|| Look::waiting("waiting for the change to be seen"))
    };
    macro_rules! judged {
        ($objects:ident, $look:expr) => {{
            let Some(object) = world.$objects.get(&key.name) else {
                return absent();
            };
            stale(&object.metadata).unwrap_or_else(|| $look(object))
        }};
    }
    Some(match kind {
        Watched::Deployments => judged!(deployments, |one| rollout::deployment(one, index)),
        Watched::StatefulSets => judged!(stateful_sets, |one| rollout::stateful_set(one, index)),
        Watched::DaemonSets => judged!(daemon_sets, |one| rollout::daemon_set(one, index)),
        Watched::ReplicaSets => judged!(replica_sets, |one| rollout::replica_set(one, index)),
        Watched::Jobs => judged!(jobs, |one| rollout::job(name, one, index)),
        Watched::Pods => judged!(pods, |one| rollout::bare_pod(name, one, index)),
        Watched::Claims => judged!(claims, |one| rollout::claim(one, index)),
        Watched::Events | Watched::ClaimEvents => return None,
    })
}

/// Whether an object that the watch does not show is gone, and not only unseen.
fn is_deleted(target: &Target, kind: Watched, world: &World) -> bool {
    let uid = target.uid.as_deref();
    let seen = uid.is_some_and(|uid| match kind {
        // One that was removed when it was done has to be seen to go.
        Watched::Jobs => world.deleted_jobs.contains(uid),
        _ => world.seen.contains(uid),
    });
    match target.known {
        Known::Nothing => false,
        Known::There { lists } => {
            seen || kind != Watched::Jobs && world.lists_of(kind).read > lists
        }
        Known::Gone => true,
    }
}

/// Whether an object that the watch shows as being deleted is the one that was applied. Of Jobs, those that are done may go.
fn is_going(target: &Target, kind: Watched, world: &World) -> bool {
    kind != Watched::Jobs
        && match target.known {
            Known::Nothing => false,
            Known::There { lists } => target.uid.is_some() || world.lists_of(kind).read > lists,
            Known::Gone => true,
        }
}

fn deleted<'a>(target: &Target, what: &str) -> Look<'a> {
    let trouble = Trouble::new(Reason::Deleted, target.key.clone(), what);
    let mut look = Look::waiting(what);
    look.failed = Some(trouble.hint(
        "is `dev down`, or somebody else, at work on this environment? `dev up` makes it again",
    ));
    look
}

fn absent<'a>(target: &Target, kind: Watched, index: &Index<'_>, waited: Duration) -> Look<'a> {
    let done = target
        .uid
        .as_ref()
        .is_some_and(|uid| index.world.finished_jobs.contains(uid));
    if done {
        return Look {
            ready: 1,
            wanted: 1,
            complete: true,
            ..Look::default()
        };
    }
    if is_deleted(target, kind, index.world) {
        return deleted(target, "it was deleted while it was waited for");
    }
    let mut look = Look::waiting("waiting to be seen");
    if waited < UNSEEN {
        look.again = Some(UNSEEN.saturating_sub(waited));
    } else if index.world.synced.contains(&kind) {
        look.troubles.push(
            Trouble::new(
                Reason::Missing,
                target.key.clone(),
                "it belongs to the environment, but is not in the cluster",
            )
            .hint(
                "`dev up` goes on where it was interrupted, and makes again what somebody deleted",
            ),
        );
    }
    look
}

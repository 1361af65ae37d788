//! Waiting for services while others are still applied: each is waited for from the moment its objects are written.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt, Shared, join_all};
use tokio::sync::watch;

use super::progress::Progress;
use super::report::{not_ready, service_objects};
use super::{Scope, UpOptions};
use crate::cluster::Cluster;
use crate::cluster::apply::{self, Observer};
use crate::cluster::health::{Health, ServiceObjects, Target};
use crate::cluster::wait::{WaitError, Watcher};
use crate::error::{Error, Place, Result};
use crate::manifest;
use crate::plan::{Change, Plan};
use crate::ui::Ui;

/// How long a look without waiting may take.
const LOOK: Duration = Duration::from_secs(10);

/// The end of a wait: the service is ready, or how it is instead.
type Ended = Result<Health, WaitError>;

/// How far the objects of a service are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Not all of them are written.
    Open,
    /// The same, and they will be when what all services stand on is.
    Foundation,
    /// All of them are written.
    Applied,
    /// They will not all be written.
    Failed,
}

/// The waits of one `dev up`.
pub struct Readiness<'a> {
    waits: BTreeMap<String, Shared<BoxFuture<'a, Ended>>>,
    steps: BTreeMap<String, watch::Sender<Step>>,
    objects: Vec<ServiceObjects>,
    watcher: &'a Watcher,
    progress: &'a Progress,
    wait: bool,
    began: Instant,
    /// The folder that the places of manifests are relative to.
    root: Option<&'a Path>,
    ui: &'a Ui,
}

/// What the waits of one `dev up` share; made before them.
pub struct Shelf {
    watcher: Watcher,
    progress: Progress,
}

impl Shelf {
    /// For the services of a scope.
    pub fn new(scope: &Scope, cluster: &Cluster, ui: &Ui) -> Self {
        let notices = ui.clone();
        Self {
            watcher: Watcher::new(cluster.client.clone(), &scope.namespace, move |notice| {
                notices.warn(notice.to_string());
            }),
            progress: Progress::new(scope.services.iter(), ui),
        }
    }
}

impl<'a> Readiness<'a> {
    /// Waits for the services of a scope as they are after the plan. Nothing is asked before a wait is awaited.
    pub fn new(
        shelf: &'a Shelf,
        scope: &Scope,
        plan: &Plan,
        options: &UpOptions,
        root: Option<&'a Path>,
        ui: &'a Ui,
    ) -> Result<Self> {
        let began = Instant::now();
        let deadline = began + options.timeout;
        let steps = crate::plan::schedule(&plan.changes, &plan.needs)?;
        let mut readiness = Self {
            waits: BTreeMap::new(),
            steps: BTreeMap::new(),
            objects: Vec::new(),
            watcher: &shelf.watcher,
            progress: &shelf.progress,
            wait: options.wait,
            began,
            root,
            ui,
        };
        for service in &scope.services {
            let objects = objects_of(service, plan);
            readiness.objects.push(objects.clone());
            let has_steps = steps.services.iter().any(|steps| steps.service == *service);
            let step = match (has_steps, plan.is_empty()) {
                (true, _) => Step::Open,
                // Without a workload to apply, what runs is what is looked at.
                (false, true) => Step::Applied,
                (false, false) => Step::Foundation,
            };
            let (tx, mut rx) = watch::channel(step);
            let (watcher, progress) = (&shelf.watcher, &shelf.progress);
            let wait = async move {
                // The sender lives as long as the waits. What failed is never waited for: the apply ends with its error.
                let _sender_lives = rx.wait_for(|step| *step == Step::Applied).await.is_ok();
                let left = deadline.saturating_duration_since(Instant::now());
                let tell = |name: &str, health: &Health| progress.health(name, health);
                let mut healths = watcher.wait_for(&[objects], left, tell).await?;
                Ok(healths.remove(0))
            };
            readiness
                .waits
                .insert(service.clone(), wait.boxed().shared());
            readiness.steps.insert(service.clone(), tx);
        }
        Ok(readiness)
    }

    fn step(&self, service: &str, step: Step) {
        if let Some(tx) = self.steps.get(service) {
            tx.send_replace(step);
        }
    }

    /// Waits until every service is ready or is known not to become so.
    pub async fn all(&self) -> Vec<Ended> {
        join_all(self.waits.values().cloned()).await
    }

    /// How every service is now.
    pub async fn look(&self) -> Result<Vec<Health>> {
        match self.watcher.look(&self.objects, LOOK).await {
            Ok(healths) => Ok(healths),
            Err(WaitError::NotReady(late)) => Ok(late.services),
            Err(WaitError::Access(error)) => Err(error),
        }
    }

    /// The services when all waits ended, or the error that tells of those that are not ready.
    pub fn conclude(&self, results: Vec<Ended>) -> Result<Vec<Health>> {
        let mut healths = Vec::new();
        let mut good = true;
        for result in results {
            match result {
                Ok(health) => healths.push(health),
                Err(WaitError::NotReady(late)) => {
                    good = false;
                    healths.extend(late.services);
                }
                Err(WaitError::Access(error)) => return Err(error),
            }
        }
        if good {
            Ok(healths)
        } else {
            Err(not_ready(&healths, self.began.elapsed()))
        }
    }

    /// The error of the services whose waits ended badly so far.
    pub fn not_ready(&self) -> Option<Error> {
        let ended = self.waits.values().filter_map(|wait| wait.peek().cloned());
        let bad: Vec<Ended> = ended.filter(Result::is_err).collect();
        if bad.is_empty() {
            None
        } else {
            self.conclude(bad).err()
        }
    }
}

#[async_trait]
impl Observer for Readiness<'_> {
    fn progress(&self, progress: apply::Progress<'_>) {
        use apply::Progress;
        match progress {
            Progress::AwaitingNamespace(what) => {
                self.ui
                    .note(format!("waiting for the end of the namespace: {what}"));
            }
            Progress::NamespaceCreated(name) => self.ui.detail(format!("namespace {name} made")),
            Progress::Applied(change) => {
                self.progress
                    .state(&change.service, &format!("applied {}", change.key));
            }
            Progress::Deleted(change) => self.ui.note(format!("deleted {}", change.key)),
            Progress::AwaitingNeeds { service, needs } => {
                self.progress
                    .state(service, &format!("waits for {}", needs.join(", ")));
            }
            Progress::FoundationApplied => {
                for tx in self.steps.values() {
                    if *tx.borrow() == Step::Foundation {
                        tx.send_replace(Step::Applied);
                    }
                }
            }
            Progress::ServiceApplied(service) => self.step(service, Step::Applied),
            Progress::ServiceFailed(service) => self.step(service, Step::Failed),
        }
    }

    fn place(&self, change: &Change, field: &[String]) -> Option<Place> {
        let object = change.place.as_ref()?;
        Some(match self.root {
            Some(root) => manifest::place_of(object, root, field),
            None => object.clone(),
        })
    }

    async fn ready(&self, service: &str) -> Result<()> {
        let (true, Some(wait), Some(step)) =
            (self.wait, self.waits.get(service), self.steps.get(service))
        else {
            return Ok(());
        };
        let mut step = step.subscribe();
        let failed = async { step.wait_for(|step| *step == Step::Failed).await.is_ok() };
        tokio::select! {
            ended = wait.clone() => match ended {
                Ok(_) => Ok(()),
                Err(WaitError::Access(error)) => Err(error),
                Err(WaitError::NotReady(late)) => Err(not_ready(&late.services, late.after)),
            },
            true = failed => {
                Err(Error::failed(format!("what needs {service} was left out")))
            }
        }
    }
}

/// The objects of a service, as they are after the plan.
fn objects_of(service: &str, plan: &Plan) -> ServiceObjects {
    let changes = plan.changes.iter();
    let stay = changes.filter(|change| change.service == service && change.desired.is_some());
    let mut objects = service_objects(stay.map(|change| (service, &change.key)));
    let objects = objects.pop().unwrap_or_else(|| ServiceObjects {
        service: service.to_owned(),
        workloads: Vec::new(),
    });
    ServiceObjects {
        workloads: objects.workloads.into_iter().map(Target::applied).collect(),
        ..objects
    }
}

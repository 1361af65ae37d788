//! Carrying a plan out: server-side apply, at once where the order allows it.
//!
//! A kill at any moment leaves nothing that `dev down` cannot find: the namespace carries labels, then the inventory lists what is
//! there and what will be, and only then is the first object written. The inventory shrinks when all is done.

mod confirm;
mod observer;
mod rehearse;
mod write;

use std::time::Duration;

use futures::StreamExt as _;

use crate::cluster::inventory::Missing;
use crate::cluster::remove::{self, Target};
use crate::cluster::{Cluster, Resource, access};
use crate::error::{Error, Result};
use crate::manifest::ObjectKey;
use crate::plan::{
    Action, Change, Id, Inventory, Live, NamespaceState, NamespaceStep, Plan, Schedule,
    ServiceSteps, schedule,
};

pub use confirm::confirm;
pub use observer::{Observer, PlaceOf, Progress, Silent};
pub use rehearse::rehearse;

/// Requests in flight at once.
const PARALLEL: usize = 16;

/// How a plan is carried out.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// How long the end of what is in the way (a terminating namespace, an object that is recreated) is awaited.
    pub timeout: Duration,
    /// Who makes the environment, as a DNS label.
    pub owner: Option<String>,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            owner: None,
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Objects created, changed or made anew.
    pub written: usize,
    /// Objects deleted.
    pub deleted: usize,
    /// Objects that were as they should be.
    pub unchanged: usize,
}

/// Carries a plan out. Nothing is written where something is blocked, where needs form a cycle, or where nothing changes.
///
/// # Errors
/// Of the first object that failed, with the others among its causes. Services that do not need what failed are applied all the same.
pub async fn apply(
    cluster: &Cluster,
    plan: &Plan,
    options: &ApplyOptions,
    observer: &dyn Observer,
) -> Result<Applied> {
    plan.check()?;
    let Schedule {
        foundation,
        services,
        prune,
    } = schedule(&plan.changes, &plan.needs)?;
    let run = Run {
        cluster,
        plan,
        options,
        observer,
    };
    let mut done = Applied {
        unchanged: plan.counts().unchanged,
        ..Applied::default()
    };
    if plan.is_empty() {
        return Ok(done);
    }
    run.prepare_namespace().await?;
    run.record().await?;
    run.rehearse_in_new_namespace().await?;

    for stage in &foundation {
        done.written += run.stage(stage).await?;
    }
    observer.progress(Progress::FoundationApplied);
    let finished = futures::future::join_all(services.iter().map(|steps| run.service(steps))).await;
    let mut errors = Vec::new();
    for result in finished {
        match result {
            Ok(written) => done.written += written,
            Err(error) => errors.push(error),
        }
    }
    if let Some(error) = all_of(errors) {
        return Err(error);
    }
    for stage in &prune {
        done.deleted += run.stage(stage).await?;
    }
    run.shrink_record().await?;
    Ok(done)
}

struct Run<'a> {
    cluster: &'a Cluster,
    plan: &'a Plan,
    options: &'a ApplyOptions,
    observer: &'a dyn Observer,
}

impl Run<'_> {
    async fn prepare_namespace(&self) -> Result<()> {
        let name = self.plan.namespace.as_str();
        match self.plan.namespace_step {
            NamespaceStep::Keep => return Ok(()),
            NamespaceStep::Create => {}
            NamespaceStep::AwaitEndThenCreate => {
                let tell = |why: &str| self.observer.progress(Progress::AwaitingNamespace(why));
                self.cluster
                    .await_namespace_end(name, self.options.timeout, &tell)
                    .await?;
            }
        }
        self.cluster
            .create_namespace(name, &self.plan.stamp, self.options.owner.as_deref())
            .await?;
        self.observer.progress(Progress::NamespaceCreated(name));
        // In a namespace that was not there, nothing could be asked before.
        access::require(
            self.cluster,
            &format!("bring {} up in {name}", self.plan.stamp.env),
            &access::needed(self.plan),
        )
        .await
        .map_err(|error| {
            error.hint(format!(
                "the namespace {name} was made; `dev down` removes it"
            ))
        })?;
        let pod = |change: &Change| change.key.api_version == "v1" && change.key.kind == "Pod";
        if self.plan.changes.iter().any(pod) {
            self.cluster
                .await_service_account(name, self.options.timeout)
                .await?;
        }
        Ok(())
    }

    /// Lists what is there and what will be, before the first object is written.
    async fn record(&self) -> Result<()> {
        let during = &self.plan.inventory_during;
        let owner = self.options.owner.as_deref();
        let listed = |now: &Inventory| now.union(during);
        let recorded = self
            .cluster
            .change_inventory(
                &self.plan.namespace,
                &self.plan.stamp,
                owner,
                Missing::Make,
                &listed,
            )
            .await;
        match recorded {
            Ok(_) => Ok(()),
            Err(error) if error.reason_code() == Some("NamespaceMissing") => {
                Err(self.unseen_namespace(error).await)
            }
            Err(error) => Err(error),
        }
    }

    /// In a namespace that was not there, the server could judge the form of objects only.
    async fn rehearse_in_new_namespace(&self) -> Result<()> {
        if self.plan.namespace_step == NamespaceStep::Keep {
            return Ok(());
        }
        let place = |change: &Change, field: &[String]| self.observer.place(change, field);
        let refused = rehearse::refusals(self.cluster, self.plan, &place).await;
        let errors = refused.into_iter().map(|(_, error)| error).collect();
        let made = format!(
            "the namespace {} was made, and nothing in it: run the command again, or `dev down`",
            self.plan.namespace
        );
        all_of(errors).map_or(Ok(()), |error| Err(error.hint(made)))
    }

    /// Where nobody could tell whether the namespace is there, that right is what is missing.
    async fn unseen_namespace(&self, error: Error) -> Error {
        let name = &self.plan.namespace;
        match self.cluster.namespace_state(name).await {
            Ok(NamespaceState::Unreadable) => Error::cluster(format!(
                "the namespace {name} does not exist, and is not made without the right to get namespaces"
            ))
            .reason("MissingRight")
            .hint("ask for the namespace, or for the rights to get and create namespaces"),
            _ => error,
        }
    }

    /// Takes out what is not there any more. What another run has added meanwhile stays.
    async fn shrink_record(&self) -> Result<()> {
        let gone: Vec<Id> = self
            .plan
            .inventory_during
            .entries()
            .map(|entry| Id::from(&entry.key))
            .filter(|id| !self.plan.inventory_after.contains(id))
            .collect();
        let without = |now: &Inventory| {
            let mut next = now.clone();
            for id in &gone {
                next.remove(id);
            }
            next
        };
        self.cluster
            .change_inventory(
                &self.plan.namespace,
                &self.plan.stamp,
                None,
                Missing::Fail,
                &without,
            )
            .await?;
        Ok(())
    }

    async fn service(&self, steps: &ServiceSteps) -> Result<usize> {
        let written = self.service_steps(steps).await;
        if written.is_err() {
            self.observer
                .progress(Progress::ServiceFailed(&steps.service));
        }
        written
    }

    async fn service_steps(&self, steps: &ServiceSteps) -> Result<usize> {
        if !steps.needs.is_empty() {
            self.observer.progress(Progress::AwaitingNeeds {
                service: &steps.service,
                needs: &steps.needs,
            });
            let waits = steps.needs.iter().map(|needed| self.observer.ready(needed));
            futures::future::try_join_all(waits).await?;
        }
        let mut written = 0;
        for stage in &steps.stages {
            written += self.stage(stage).await?;
        }
        self.observer
            .progress(Progress::ServiceApplied(&steps.service));
        if !steps.takeover.is_empty() {
            self.observer.ready(&steps.service).await?;
            written += self.stage(&steps.takeover).await?;
        }
        Ok(written)
    }

    /// Makes changes at once. All of them are tried, so that one run tells all that is wrong.
    async fn stage(&self, indices: &[usize]) -> Result<usize> {
        let changes = indices.iter().map(|index| &self.plan.changes[*index]);
        let results: Vec<Result<()>> = futures::stream::iter(changes)
            .map(|change| self.change(change))
            .buffer_unordered(PARALLEL)
            .collect()
            .await;
        let count = results.len();
        match all_of(results.into_iter().filter_map(Result::err).collect()) {
            None => Ok(count),
            Some(error) => Err(error),
        }
    }

    async fn change(&self, change: &Change) -> Result<()> {
        match &change.action {
            Action::Unchanged | Action::Blocked(_) => Ok(()),
            Action::Create => self.write(change, None).await,
            Action::Update(_) => self.write(change, change.live.as_ref()).await,
            Action::Recreate(_) => {
                self.delete(change).await?;
                self.write(change, None).await
            }
            Action::Delete => {
                self.delete(change).await?;
                self.observer.progress(Progress::Deleted(change));
                Ok(())
            }
        }
    }

    /// Makes an object, or changes the one that was observed.
    async fn write(&self, change: &Change, live: Option<&Live>) -> Result<()> {
        let Some(desired) = &change.desired else {
            return Ok(());
        };
        let resource = self.resource(&change.key).await?;
        let object = write::Object {
            cluster: self.cluster,
            resource: &resource,
            key: &change.key,
            desired,
            dry: false,
        };
        let written = match live {
            Some(live) => object.update(uid(live)).await,
            None => {
                let recorded = was_recorded(self.plan, &change.key);
                object.create(&self.plan.stamp, recorded).await
            }
        };
        written.map_err(|refused| {
            let place = |change: &Change, field: &[String]| self.observer.place(change, field);
            refused.at(change, refused.error.clone(), &place)
        })?;
        if change.key.kind == "CustomResourceDefinition" {
            self.cluster
                .forget_kinds(desired["spec"]["group"].as_str().unwrap_or_default());
            self.cluster
                .await_definition(&change.key.name, self.options.timeout)
                .await?;
        }
        self.observer.progress(Progress::Applied(change));
        Ok(())
    }

    /// Deletes the object that was observed, and no other of the same name, and waits for its end.
    async fn delete(&self, change: &Change) -> Result<()> {
        let resource = self.resource(&change.key).await?;
        let target = Target {
            resource,
            key: change.key.clone(),
            uid: change.live.as_ref().map_or("", uid).to_owned(),
        };
        remove::delete_and_await(self.cluster, vec![target], self.options.timeout, &|_| ()).await
    }

    async fn resource(&self, key: &ObjectKey) -> Result<Resource> {
        let known = self
            .plan
            .kinds
            .get(&(key.api_version.clone(), key.kind.clone()))
            .and_then(Option::as_ref);
        if let Some(served) = known {
            return Ok(Resource::new(&key.api_version, &key.kind, served));
        }
        self.cluster
            .resource(&key.api_version, &key.kind)
            .await?
            .ok_or_else(|| {
                Error::failed(format!(
                    "cannot apply {key}: this cluster does not serve the kind {} of {}",
                    key.kind, key.api_version
                ))
                .reason("UnknownKind")
            })
    }
}

/// Whether the inventory listed an object before this run.
fn was_recorded(plan: &Plan, key: &ObjectKey) -> bool {
    let recorded = plan.recorded.as_ref();
    recorded.is_some_and(|recorded| recorded.contains(&Id::from(key)))
}

fn uid(live: &Live) -> &str {
    live.value["metadata"]["uid"].as_str().unwrap_or_default()
}

/// The first error, with the others among its causes.
fn all_of(errors: Vec<Error>) -> Option<Error> {
    let mut errors = errors.into_iter();
    let first = errors.next()?;
    Some(errors.fold(first, |error, other| {
        let text = other
            .causes()
            .iter()
            .fold(format!("also: {other}"), |text, cause| {
                format!("{text}: {cause}")
            });
        error.cause(text)
    }))
}

#[cfg(test)]
mod tests;

//! `dev down`: removing exactly what an environment owns.

mod classify;
mod delete;
mod end;
mod environments;
mod foresee;
mod survey;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::cluster::inventory::Record;
use crate::cluster::{Cluster, Resource};
use crate::error::{Error, Result};
use crate::manifest::ObjectKey;
use crate::manifest::labels::{self, Stamp};
use crate::plan::{Inventory, NamespaceState, Rank, rank};

use classify::{Class, Earlier};
pub(super) use delete::{Target, delete_and_await};
use end::End;
pub use environments::{Environment, list_environments};
pub use foresee::foresee;
use survey::{Survey, survey, with_recorded};

/// How an environment is removed.
#[derive(Clone, Debug)]
pub struct DownOptions {
    /// Leave the namespace, even one that `dev` made.
    pub keep_namespace: bool,
    /// How long the end of the objects is awaited.
    pub timeout: Duration,
}

impl Default for DownOptions {
    fn default() -> Self {
        Self {
            keep_namespace: false,
            timeout: Duration::from_secs(300),
        }
    }
}

/// What was done, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// Objects that are gone.
    pub removed: Vec<ObjectKey>,
    /// Objects of the environment that are kept because they say `dev/keep: "true"`.
    pub kept: Vec<ObjectKey>,
    /// Objects in the namespace that are not the environment's.
    pub foreign: Vec<ObjectKey>,
    /// Objects in no namespace that the inventory lists, and that `dev` did not make.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<ObjectKey>,
    /// What became of the namespace.
    #[serde(rename = "namespaceEnd")]
    pub namespace: NamespaceEnd,
    /// What could not be removed or looked at, and why.
    pub failures: Vec<Error>,
}

/// What became of the namespace. Serialised as `{"state": "kept", "why": "…"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "why", rename_all = "camelCase")]
pub enum NamespaceEnd {
    /// There was none.
    #[default]
    Absent,
    /// It was deleted and is gone.
    Deleted,
    /// It stays, and this is why.
    Kept(String),
}

impl Removed {
    /// Whether there was nothing to remove.
    pub fn is_nothing(&self) -> bool {
        self.removed.is_empty()
            && self.failures.is_empty()
            && self.namespace != NamespaceEnd::Deleted
    }

    /// Notes an object that is not the environment's.
    fn leave(&mut self, key: ObjectKey) {
        match key.namespace {
            Some(_) => self.foreign.push(key),
            None => self.outside.push(key),
        }
    }

    /// The first failure, with the others among its causes.
    pub fn failure(&self) -> Option<Error> {
        let (first, others) = self.failures.split_first()?;
        Some(others.iter().fold(first.clone(), |error, other| {
            error.cause(format!("also: {other}"))
        }))
    }
}

/// Removes what the environment owns: what its inventory lists and what `dev` applied with its labels, of every kind that the cluster serves.
/// Then, where `dev` made the namespace and nothing else is in it, the namespace. A second run finds nothing.
///
/// # Errors
/// Only where nothing could be looked at, or objects do not go in time. Missing rights are in [`Removed::failures`]; the rest is
/// removed all the same.
pub async fn down(
    cluster: &Cluster,
    stamp: &Stamp,
    namespace: &str,
    options: &DownOptions,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Removed> {
    let mut report = Removed::default();
    let state = cluster.namespace_state(namespace).await?;
    match &state {
        NamespaceState::Absent => return Ok(report),
        NamespaceState::Terminating { .. } => {
            tell(&format!(
                "the namespace {namespace} is being deleted already"
            ));
            cluster
                .await_namespace_end(namespace, options.timeout, tell)
                .await?;
            report.namespace = NamespaceEnd::Deleted;
            return Ok(report);
        }
        NamespaceState::Active { .. } | NamespaceState::Unreadable => {}
    }
    let Whole {
        record,
        kinds,
        survey,
    } = look_around(cluster, stamp, namespace).await?;
    let earlier = survey.earlier;
    report.failures.extend(survey.failures);
    let own = labels::inventory_name(&stamp.env);
    let mut waves: BTreeMap<Wave, Vec<Target>> = BTreeMap::new();
    for found in survey.found {
        match found.class {
            Class::Owned => waves
                .entry(Wave::of(&found.target, &own))
                .or_default()
                .push(found.target),
            Class::Kept => report.kept.push(found.target.key),
            Class::Foreign => report.leave(found.target.key),
            Class::Dependent | Class::Ambient => {}
        }
    }
    // One that is found though none was read was made just now.
    let mut changed = waves.remove(&Wave::Record).is_some() && record.is_none();
    for targets in waves.into_values() {
        let outcome = delete::run(cluster, targets, options.timeout, tell).await?;
        report.removed.extend(outcome.gone);
        report.failures.extend(outcome.failures);
    }
    // Last, so that an interrupted run is continued by the next one; kept while something of it is left.
    if let Some(record) = record.filter(|_| report.failures.is_empty()) {
        changed |= !cluster
            .delete_record(namespace, &stamp.env, &record)
            .await?;
    }
    if changed {
        report.failures.push(brought_up(namespace));
    }
    let end = End {
        cluster,
        stamp,
        namespace,
        kinds: &kinds,
        earlier: &earlier,
    };
    report.namespace = end
        .come(
            &state,
            options.keep_namespace,
            options.timeout,
            tell,
            &mut report,
        )
        .await?;
    Ok(report)
}

/// Not everything is gone, and more is coming.
fn brought_up(namespace: &str) -> Error {
    Error::failed(format!(
        "the environment in {namespace} was brought up while it was removed"
    ))
    .reason("ChangedMeanwhile")
    .hint("is `dev up` at work on it? When that has ended, run `dev down` again")
}

/// All that is in a namespace, and whose it is.
struct Whole {
    /// The inventory of the environment.
    record: Option<Record>,
    kinds: Vec<Resource>,
    survey: Survey,
}

async fn look_around(cluster: &Cluster, stamp: &Stamp, namespace: &str) -> Result<Whole> {
    let (record, kinds) = futures::future::try_join(
        cluster.read_record(namespace, stamp),
        cluster.deletable_kinds(),
    )
    .await?;
    let nothing = Inventory::default();
    let inventory = record.as_ref().map_or(&nothing, |record| &record.inventory);
    let kinds = with_recorded(cluster, kinds, inventory).await?;
    let earlier = Earlier::default();
    let survey = survey(cluster, stamp, namespace, &kinds, inventory, &earlier).await?;
    Ok(Whole {
        record,
        kinds,
        survey,
    })
}

/// When an object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wave {
    /// Custom resources and what points at workloads: operators of the same environment must still run for their finalizers.
    First,
    /// Everything else in the namespace.
    Second,
    /// What is in no namespace.
    ClusterScoped,
    /// The inventory.
    Record,
}

impl Wave {
    /// `own`: the name of the environment's inventory.
    fn of(target: &Target, own: &str) -> Self {
        let key = &target.key;
        if key.kind == "ConfigMap" && key.api_version == "v1" && key.name == own {
            Self::Record
        } else if key.namespace.is_none() {
            Self::ClusterScoped
        } else if matches!(rank(key), Rank::Custom | Rank::Entry) {
            Self::First
        } else {
            Self::Second
        }
    }
}

//! `dev down`: removing exactly what an environment owns.

mod classify;
mod delete;
mod environments;
mod foresee;
mod survey;

use std::collections::BTreeMap;
use std::time::Duration;

use http::Request;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::{Cluster, Resource, namespace};
use crate::error::{Error, Result};
use crate::manifest::ObjectKey;
use crate::manifest::labels::{self, Stamp};
use crate::plan::{Inventory, NamespaceState, Rank, rank};

use classify::{Class, Earlier};
pub(super) use delete::{Target, delete_and_await};
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
        recorded,
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
            Class::Foreign => report.foreign.push(found.target.key),
            Class::Dependent | Class::Ambient => {}
        }
    }
    // The record was read, even where ConfigMaps may not be listed.
    let record = waves.remove(&Wave::Record).is_some() || recorded;
    for targets in waves.into_values() {
        let outcome = delete::run(cluster, targets, options.timeout, tell).await?;
        report.removed.extend(outcome.gone);
        report.failures.extend(outcome.failures);
    }
    // Last, so that an interrupted run is continued by the next one; kept while something of it is left.
    if record && report.failures.is_empty() {
        cluster.delete_inventory(namespace, &stamp.env).await?;
    }
    report.namespace = end_namespace(
        cluster,
        stamp,
        namespace,
        &state,
        &kinds,
        &earlier,
        options,
        tell,
        &mut report,
    )
    .await?;
    Ok(report)
}

/// All that is in a namespace, and whose it is.
struct Whole {
    /// There is an inventory of the environment.
    recorded: bool,
    kinds: Vec<Resource>,
    survey: Survey,
}

async fn look_around(cluster: &Cluster, stamp: &Stamp, namespace: &str) -> Result<Whole> {
    let (inventory, kinds) = futures::future::try_join(
        cluster.read_inventory(namespace, stamp),
        cluster.deletable_kinds(),
    )
    .await?;
    let recorded = inventory.is_some();
    let inventory = inventory.unwrap_or_default();
    let kinds = with_recorded(cluster, kinds, &inventory).await?;
    let nothing = Earlier::default();
    let survey = survey(cluster, stamp, namespace, &kinds, &inventory, &nothing).await?;
    Ok(Whole {
        recorded,
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

/// Deletes the namespace, where `dev` made it for this environment and nothing but the environment was in it.
#[allow(clippy::too_many_arguments)]
async fn end_namespace(
    cluster: &Cluster,
    stamp: &Stamp,
    namespace: &str,
    state: &NamespaceState,
    kinds: &[Resource],
    earlier: &Earlier,
    options: &DownOptions,
    tell: &(dyn Fn(&str) + Sync),
    report: &mut Removed,
) -> Result<NamespaceEnd> {
    let kept = |why: &str| Ok(NamespaceEnd::Kept(why.to_owned()));
    if let Some(why) = stays(state, stamp, options.keep_namespace) {
        return kept(why);
    }
    if !report.failures.is_empty() {
        return kept("not everything in it could be removed");
    }
    // Looked at again: others may have put something there in the meantime.
    let nothing = Inventory::default();
    let survey = survey(cluster, stamp, namespace, kinds, &nothing, earlier).await?;
    let left: Vec<ObjectKey> = survey
        .found
        .into_iter()
        .filter(|found| matches!(found.class, Class::Owned | Class::Kept | Class::Foreign))
        .map(|found| found.target.key)
        .collect();
    if let Some(why) = holds(&left, &survey.unseen) {
        return kept(&why);
    }
    let path = namespace::resource().object(None, namespace);
    let attempt = format!("delete the namespace {namespace}");
    match cluster
        .try_send::<Value>(Request::delete(path).body(Vec::new()))
        .await
    {
        Ok(_) => {}
        Err(failure) if failure.is_not_found() => return Ok(NamespaceEnd::Deleted),
        Err(failure) if failure.is_forbidden() => {
            let error = cluster.explain_failure(&attempt, &failure);
            let why = error.to_string();
            report.failures.push(error);
            return kept(&why);
        }
        Err(failure) => return Err(cluster.explain_failure(&attempt, &failure)),
    }
    cluster
        .await_namespace_end(namespace, options.timeout, tell)
        .await?;
    Ok(NamespaceEnd::Deleted)
}

/// Why a namespace stays whatever is in it.
fn stays(state: &NamespaceState, stamp: &Stamp, asked: bool) -> Option<&'static str> {
    if asked {
        return Some("as asked");
    }
    if *state == NamespaceState::Unreadable {
        return Some("you may not see who made it");
    }
    if !is_ours(state, stamp) {
        return Some("it was not made by dev for this environment");
    }
    if let NamespaceState::Active { labels } = state
        && labels.get(labels::KEEP).is_some_and(|mark| mark == "true")
    {
        return Some("it is marked dev/keep");
    }
    None
}

/// Why a namespace stays with these objects left in it, and these kinds not seen.
fn holds(left: &[ObjectKey], unseen: &[Resource]) -> Option<String> {
    if !left.is_empty() {
        let names: Vec<String> = left.iter().take(10).map(ToString::to_string).collect();
        let more = match left.len().saturating_sub(names.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        return Some(format!("{}{more} is in it", names.join(", ")));
    }
    let unseen: Vec<&str> = unseen
        .iter()
        .filter(|kind| !classify::is_passing(kind))
        .map(|kind| kind.plural.as_str())
        .collect();
    (!unseen.is_empty()).then(|| {
        format!(
            "you may not see whether there are {} in it",
            unseen.join(", ")
        )
    })
}

fn is_ours(state: &NamespaceState, stamp: &Stamp) -> bool {
    let NamespaceState::Active { labels: marks } = state else {
        return false;
    };
    let is = |key: &str, value: &str| marks.get(key).is_some_and(|found| found == value);
    is(labels::MANAGED_BY, labels::MANAGER)
        && is(labels::ENV, &stamp.env)
        && is(labels::APP, &stamp.app)
}

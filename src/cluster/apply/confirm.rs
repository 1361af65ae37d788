//! After the last write: whether what was applied is still there. `dev down`, or a person, may have been at work at the same time.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::observe::observe;
use crate::error::{Error, Result};
use crate::plan::{Change, Desired, Id, Observed, Plan, refusal};

/// Objects that an error names.
const NAMED: usize = 5;

/// Looks whether every object of the plan is there and recorded. A plan that changed nothing needs no second look.
///
/// # Errors
/// `RemovedMeanwhile`, with the objects that are gone.
pub async fn confirm(cluster: &Cluster, desired: &Desired, plan: &Plan) -> Result<()> {
    if plan.is_empty() {
        return Ok(());
    }
    let observed = observe(cluster, desired).await?;
    let gone = gone(plan, &observed);
    let names: Vec<&str> = gone.iter().take(NAMED).map(String::as_str).collect();
    let more = match gone.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::failed(format!(
        "removed while the environment was brought up: {}{more}",
        names.join(", ")
    ))
    .reason("RemovedMeanwhile")
    .hint("is `dev down`, or somebody else, at work on it? `dev up` makes again what is missing"))
}

/// PURE: what is not there, or not the environment's, though it was applied.
fn gone(plan: &Plan, observed: &Observed) -> Vec<String> {
    let recorded = observed.inventory.as_ref();
    let wanted = plan
        .changes
        .iter()
        .filter(|change| change.desired.is_some() && !goes_by_itself(change));
    let mut gone: Vec<String> = wanted
        .filter(|change| {
            let key = &change.key;
            let kind = (key.api_version.clone(), key.kind.clone());
            if observed.unreadable.contains_key(&kind) {
                return false;
            }
            let there = observed.objects.get(&Id::from(key)).is_some_and(|live| {
                let going = live.value["metadata"].get("deletionTimestamp").is_some();
                !going && refusal(key, live, &plan.stamp, true).is_none()
            });
            !there
        })
        .map(|change| change.key.to_string())
        .collect();
    if recorded.is_none() {
        gone.push("the record of what it owns".to_owned());
    }
    gone
}

/// A Job that is removed when it is done.
fn goes_by_itself(change: &Change) -> bool {
    let desired = change.desired.as_ref().unwrap_or(&Value::Null);
    change.key.kind == "Job" && !desired["spec"]["ttlSecondsAfterFinished"].is_null()
}

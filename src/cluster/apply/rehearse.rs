//! The server's own judgement of a plan before anything is written: each object that would be made or changed is sent as a dry run.
//! What that can and cannot know: `docs/design/applying.md`.

use std::collections::BTreeSet;

use futures::StreamExt as _;

use super::write::{Object, Refused};
use super::{PARALLEL, PlaceOf};
use crate::cluster::{Cluster, Resource};
use crate::error::{Error, Kind};
use crate::manifest::ObjectKey;
use crate::plan::{Action, Change, Plan};

/// Asks the server what it would say of every object that is made or changed; what it refuses for the object's own sake is
/// [`Action::Blocked`] in the plan that is returned. Of an unchanged environment nothing is asked.
///
/// What depends on other objects (quotas, webhooks, accounts, a namespace that is not there yet) is left to the writes: the plan
/// itself may settle it.
pub async fn rehearse(cluster: &Cluster, plan: Plan, place: &PlaceOf<'_>) -> Plan {
    let mut plan = plan;
    for (index, error) in refusals(cluster, &plan, place).await {
        plan.changes[index].action = Action::Blocked(error);
    }
    plan
}

/// The changes that the server refuses, by their index.
pub(super) async fn refusals(
    cluster: &Cluster,
    plan: &Plan,
    place: &PlaceOf<'_>,
) -> Vec<(usize, Error)> {
    let defined = defined_here(plan);
    let asked = plan.changes.iter().enumerate().filter(|(_, change)| {
        let key = &change.key;
        !defined.contains(&(key.group(), key.kind.as_str()))
    });
    let answers: Vec<Option<(usize, Error)>> = futures::stream::iter(asked)
        .map(async |(index, change)| {
            let refused = ask(cluster, plan, change).await?;
            final_error(change, refused, place).map(|error| (index, error))
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    answers.into_iter().flatten().collect()
}

/// Kinds that this plan defines, or defines anew: what the server knows of them now says nothing.
fn defined_here(plan: &Plan) -> BTreeSet<(&str, &str)> {
    let definitions = plan.changes.iter().filter(|change| {
        change.key.kind == "CustomResourceDefinition" && change.action != Action::Unchanged
    });
    definitions
        .filter_map(|change| {
            let spec = &change.desired.as_ref()?["spec"];
            Some((spec["group"].as_str()?, spec["names"]["kind"].as_str()?))
        })
        .collect()
}

async fn ask(cluster: &Cluster, plan: &Plan, change: &Change) -> Option<Refused> {
    let resource = served(plan, &change.key)?;
    let object = Object {
        cluster,
        resource: &resource,
        key: &change.key,
        desired: change.desired.as_ref()?,
        dry: true,
    };
    match &change.action {
        Action::Create => object
            .create(&plan.stamp, super::was_recorded(plan, &change.key))
            .await
            .err(),
        // Its fields are judged beside those of the object that goes: only its form can be.
        Action::Update(_) | Action::Recreate(_) => {
            let live = change.live.as_ref()?;
            object.update(super::uid(live)).await.err()
        }
        Action::Delete | Action::Unchanged | Action::Blocked(_) => None,
    }
}

fn served(plan: &Plan, key: &ObjectKey) -> Option<Resource> {
    let kind = (key.api_version.clone(), key.kind.clone());
    let served = plan.kinds.get(&kind)?.as_ref()?;
    Some(Resource::new(&key.api_version, &key.kind, served))
}

/// The error, where it is about the object itself and the write would end in it too.
fn final_error(change: &Change, refused: Refused, place: &PlaceOf<'_>) -> Option<Error> {
    let anew = matches!(change.action, Action::Recreate(_));
    let error = match refused.error.reason_code()? {
        // Nothing was written, and the manifest is what has to be changed.
        "Malformed" => refused.error.clone().of_kind(Kind::Usage),
        "TooLarge" => refused.error.clone(),
        "Invalid" | "ImmutableField" | "FieldConflict" | "RemovedMeanwhile" if !anew => {
            refused.error.clone()
        }
        "NotMadeByDev" | "OwnedByAnotherEnvironment" => refused.error.clone(),
        _ => return None,
    };
    Some(refused.at(change, error, place))
}

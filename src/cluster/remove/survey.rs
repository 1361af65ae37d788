//! What is in a namespace, and whose it is.

use futures::StreamExt as _;
use http::Request;
use serde_json::Value;

use super::classify::{Class, Earlier, Sighting, classify};
use super::delete::Target;
use crate::cluster::request::Failure;
use crate::cluster::{Cluster, Resource};
use crate::error::{Error, Result};
use crate::manifest::ObjectKey;
use crate::manifest::labels::Stamp;
use crate::plan::{Id, Inventory, Live};

/// Requests in flight at once.
const PARALLEL: usize = 16;

/// One object that was found in the namespace.
pub(super) struct Found {
    pub(super) target: Target,
    pub(super) class: Class,
}

/// The kinds to look at: what can be listed, and what was recorded (cluster-scoped kinds among it).
pub(super) async fn with_recorded(
    cluster: &Cluster,
    mut kinds: Vec<Resource>,
    inventory: &Inventory,
) -> Result<Vec<Resource>> {
    for entry in inventory.entries() {
        let key = &entry.key;
        let known = kinds
            .iter()
            .any(|kind| kind.kind == key.kind && kind.group() == key.group());
        if !known && let Some(resource) = cluster.resource(&key.api_version, &key.kind).await? {
            kinds.push(resource);
        }
    }
    Ok(kinds)
}

/// What was found.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) found: Vec<Found>,
    pub(super) failures: Vec<Error>,
    /// Kinds that could not be listed.
    pub(super) unseen: Vec<Resource>,
    /// What a later look must know of this one.
    pub(super) earlier: Earlier,
}

/// Looks at everything in the namespace, and at recorded objects in none. `earlier`: what a look before this one showed.
pub(super) async fn survey(
    cluster: &Cluster,
    stamp: &Stamp,
    namespace: &str,
    kinds: &[Resource],
    inventory: &Inventory,
    earlier: &Earlier,
) -> Result<Survey> {
    let readings: Vec<_> = futures::stream::iter(kinds)
        .map(async |kind| {
            let recorded: Vec<&ObjectKey> = inventory
                .entries()
                .map(|entry| &entry.key)
                .filter(|key| key.kind == kind.kind && key.group() == kind.group())
                .collect();
            (kind, look(cluster, namespace, kind, &recorded).await)
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    let mut survey = Survey::default();
    let mut seen = Vec::new();
    let mut targets = Vec::new();
    for (kind, reading) in readings {
        let objects = match reading {
            Ok(Look {
                objects,
                unseen,
                failures,
            }) => {
                if unseen {
                    survey.unseen.push(kind.clone());
                }
                survey.failures.extend(failures);
                objects
            }
            Err(failure) => {
                return Err(cluster
                    .explain_failure(&format!("list {} in {namespace}", kind.plural), &failure));
            }
        };
        for object in objects {
            let kind_key = (kind.api_version.clone(), kind.kind.clone());
            let Some((id, live)) = crate::cluster::observe::live(&kind_key, object) else {
                continue;
            };
            targets.push(target(kind, &id, &live));
            seen.push(Sighting {
                kind: kind.clone(),
                live,
                recorded: inventory.contains(&id),
            });
        }
    }
    let classes = classify(&seen, stamp, inventory.claims(), earlier);
    survey.earlier = Earlier::of(&seen, &classes, earlier);
    survey.found = targets
        .into_iter()
        .zip(classes)
        .map(|(target, class)| Found { target, class })
        .collect();
    Ok(survey)
}

fn target(kind: &Resource, id: &Id, live: &Live) -> Target {
    Target {
        resource: kind.clone(),
        key: ObjectKey {
            api_version: kind.api_version.clone(),
            kind: kind.kind.clone(),
            namespace: id.namespace.clone(),
            name: id.name.clone(),
        },
        uid: live.value["metadata"]["uid"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    }
}

#[derive(Default)]
struct Look {
    objects: Vec<Value>,
    unseen: bool,
    failures: Vec<Error>,
}

/// Whether the metadata of these objects says all that is asked of them: of StatefulSets the claim templates are too.
fn metadata_is_enough(kind: &Resource) -> bool {
    !(kind.group() == "apps" && kind.kind == "StatefulSet")
}

/// The metadata of all objects of a kind; of cluster-scoped kinds, and where listing is not allowed, of the recorded ones.
async fn look(
    cluster: &Cluster,
    namespace: &str,
    kind: &Resource,
    recorded: &[&ObjectKey],
) -> Result<Look, Failure> {
    let mut seen = Look::default();
    if kind.namespaced {
        match cluster
            .try_list(&kind.collection(Some(namespace)), metadata_is_enough(kind))
            .await
        {
            Ok(listed) => {
                seen.objects = listed.items;
                return Ok(seen);
            }
            // Not served any more, or served without lists.
            Err(failure) if matches!(failure.code(), Some(404 | 405)) => return Ok(seen),
            // An aggregated API whose server is down: what is in it cannot be known.
            Err(failure) if failure.code() == Some(503) => {
                seen.unseen = true;
                return Ok(seen);
            }
            Err(failure) if failure.is_forbidden() => seen.unseen = true,
            Err(failure) => return Err(failure),
        }
    }
    for key in recorded {
        let path = kind.object(Some(namespace), &key.name);
        match cluster
            .try_send::<Value>(Request::get(path).body(Vec::new()))
            .await
        {
            Ok(object) => seen.objects.push(object),
            Err(failure) if failure.is_not_found() => {}
            Err(failure) if failure.is_forbidden() => {
                seen.failures
                    .push(cluster.explain_failure(&format!("read {key}"), &failure));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(seen)
}

//! What the cluster holds of an environment, in few requests sent at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::request::Failure;
use crate::cluster::{Cluster, Resource};
use crate::error::{Error, Result};
use crate::manifest::{ObjectKey, labels};
use crate::plan::{Desired, Id, Inventory, Kinds, Live, Observed};

/// `(apiVersion, kind)`.
type Kind = (String, String);

/// What was read of one kind.
type Reading = (Kind, Result<Found>);

/// Objects of a kind.
#[derive(Debug, Default)]
struct Found {
    objects: Vec<Value>,
    /// They were asked for one by one, as they may not be listed: others may be there.
    by_name: bool,
}

/// Reads what is there of the kinds that are desired or were recorded.
pub async fn observe(cluster: &Cluster, desired: &Desired) -> Result<Observed> {
    let namespace = desired.namespace.as_str();
    let wanted: BTreeSet<Kind> = desired
        .objects
        .iter()
        .map(|object| (object.api_version().to_owned(), object.kind().to_owned()))
        .collect();
    let names = |kind: &Kind| -> Vec<String> {
        desired
            .objects
            .iter()
            .filter(|object| object.api_version() == kind.0 && object.kind() == kind.1)
            .map(|object| object.name().to_owned())
            .collect()
    };
    let (state, inventory, (kinds, mut readings)) = futures::future::try_join3(
        cluster.namespace_state(namespace),
        cluster.read_inventory(namespace, &desired.stamp),
        read_kinds(cluster, namespace, &wanted, &names),
    )
    .await?;

    // Kinds that are only recorded; most often there are none.
    let recorded = only_recorded(inventory.as_ref(), &wanted);
    let recorded_names = |kind: &Kind| -> Vec<String> {
        inventory
            .iter()
            .flat_map(Inventory::entries)
            .filter(|entry| entry.key.api_version == kind.0 && entry.key.kind == kind.1)
            .map(|entry| entry.key.name.clone())
            .collect()
    };
    let (more_kinds, more) = read_kinds(cluster, namespace, &recorded, &recorded_names).await?;
    readings.extend(more);
    // What was recorded and is wanted no more is not among the names that were asked for.
    let unlisted: BTreeSet<Kind> = readings
        .iter()
        .filter(|(kind, reading)| {
            wanted.contains(kind) && reading.as_ref().is_ok_and(|found| found.by_name)
        })
        .map(|(kind, _)| kind.clone())
        .collect();
    let rest = |kind: &Kind| -> Vec<String> {
        let known = names(kind);
        let same = |key: &ObjectKey| key.kind == kind.1 && key.group() == group_of(&kind.0);
        inventory
            .iter()
            .flat_map(Inventory::entries)
            .filter(|entry| same(&entry.key) && !known.contains(&entry.key.name))
            .map(|entry| entry.key.name.clone())
            .collect()
    };
    let (_, rest) = read_kinds(cluster, namespace, &unlisted, &rest).await?;
    readings.extend(rest);

    let mut observed = Observed {
        namespace: state,
        inventory,
        kinds: kinds.into_iter().chain(more_kinds).collect(),
        ..Observed::default()
    };
    for (kind, reading) in readings {
        match reading {
            Ok(found) => {
                for object in found.objects {
                    if let Some((id, live)) = live(&kind, object) {
                        observed.objects.insert(id, live);
                    }
                }
            }
            Err(error) => {
                observed.unreadable.insert(kind, error);
            }
        }
    }
    Ok(observed)
}

/// Recorded kinds of groups and names that are not read already, whatever their version.
fn only_recorded(inventory: Option<&Inventory>, wanted: &BTreeSet<Kind>) -> BTreeSet<Kind> {
    inventory
        .into_iter()
        .flat_map(Inventory::entries)
        .map(|entry| (entry.key.api_version.clone(), entry.key.kind.clone()))
        .filter(|recorded| {
            !wanted
                .iter()
                .any(|kind| kind.1 == recorded.1 && group_of(&kind.0) == group_of(&recorded.0))
        })
        .collect()
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

async fn read_kinds(
    cluster: &Cluster,
    namespace: &str,
    kinds: &BTreeSet<Kind>,
    names: &dyn Fn(&Kind) -> Vec<String>,
) -> Result<(Kinds, Vec<Reading>)> {
    let reads = kinds.iter().map(async |kind| {
        let resource = cluster.resource(&kind.0, &kind.1).await?;
        let reading = match &resource {
            Some(resource) => read(cluster, namespace, resource, names(kind)).await,
            None => Ok(Found::default()),
        };
        let served = resource.map(|resource| resource.served());
        Ok::<_, Error>((kind.clone(), served, reading))
    });
    let mut found = Kinds::new();
    let mut readings = Vec::new();
    for (kind, served, reading) in futures::future::try_join_all(reads).await? {
        readings.push((kind.clone(), not_fatal(reading)?));
        found.insert(kind, served);
    }
    Ok((found, readings))
}

/// A missing right concerns one kind; anything else ends the command.
#[allow(clippy::type_complexity)]
fn not_fatal(reading: Result<Found, (Error, bool)>) -> Result<Result<Found>> {
    match reading {
        Ok(found) => Ok(Ok(found)),
        Err((error, true)) => Ok(Err(error)),
        Err((error, false)) => Err(error),
    }
}

/// All objects of a kind in the namespace; of a cluster-scoped kind those of these names. Where listing is not allowed, each of the
/// names is read. The flag of an error says that a right is missing.
async fn read(
    cluster: &Cluster,
    namespace: &str,
    resource: &Resource,
    names: Vec<String>,
) -> Result<Found, (Error, bool)> {
    let explain = |attempt: String, failure: &Failure| {
        (
            cluster.explain_failure(&attempt, failure),
            failure.is_forbidden(),
        )
    };
    if resource.namespaced {
        let collection = resource.collection(Some(namespace));
        match cluster.try_list(&collection, false).await {
            Ok(listed) => {
                return Ok(Found {
                    objects: listed.items,
                    by_name: false,
                });
            }
            // The kind was in the table but this server does not have it.
            Err(failure) if failure.is_not_found() => return Ok(Found::default()),
            Err(failure) if failure.is_forbidden() => {}
            Err(failure) => {
                return Err(explain(
                    format!("list {} in {namespace}", resource.plural),
                    &failure,
                ));
            }
        }
    }
    let reads = names.iter().map(async |name| {
        let path = resource.object(Some(namespace), name);
        let request = http::Request::get(path).body(Vec::new());
        match cluster.try_send::<Value>(request).await {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(explain(format!("read {} {name}", resource.kind), &failure)),
        }
    });
    let found = futures::future::try_join_all(reads).await?;
    Ok(Found {
        objects: found.into_iter().flatten().collect(),
        by_name: resource.namespaced,
    })
}

/// An object of the cluster with what the plan needs to know about its field managers.
pub(super) fn live(kind: &Kind, mut value: Value) -> Option<(Id, Live)> {
    // Items of lists do not repeat them.
    let object = value.as_object_mut()?;
    object.insert("apiVersion".to_owned(), Value::from(kind.0.as_str()));
    object.insert("kind".to_owned(), Value::from(kind.1.as_str()));
    let managed = value
        .get_mut("metadata")
        .and_then(Value::as_object_mut)?
        .shift_remove("managedFields");
    let metadata = &value["metadata"];
    let key = ObjectKey {
        api_version: kind.0.clone(),
        kind: kind.1.clone(),
        namespace: metadata["namespace"].as_str().map(str::to_owned),
        name: metadata["name"].as_str()?.to_owned(),
    };
    let (owned, managers) = field_managers(managed.as_ref());
    Some((
        Id::from(&key),
        Live {
            value,
            owned,
            managers,
        },
    ))
}

/// The fields that `dev` applied, and the names of all other managers.
pub(super) fn field_managers(managed: Option<&Value>) -> (Option<Value>, Vec<String>) {
    let mut owned = None;
    let mut others: BTreeMap<String, ()> = BTreeMap::new();
    for entry in managed.and_then(Value::as_array).into_iter().flatten() {
        let manager = entry["manager"].as_str().unwrap_or_default();
        let applied = entry["operation"] == "Apply" && entry.get("subresource").is_none();
        if manager == labels::MANAGER && applied {
            owned = entry.get("fieldsV1").cloned();
        } else if manager != labels::MANAGER {
            others.insert(manager.to_owned(), ());
        }
    }
    (owned, others.into_keys().collect())
}

/// Every object of a namespace that could be copied, of every kind that the cluster serves. Kinds that may not be read are left out.
pub async fn everything(cluster: &Cluster, namespace: &str) -> Result<Vec<Value>> {
    let kinds = cluster.deletable_kinds().await?;
    let reads = kinds.iter().map(async |resource| {
        let collection = resource.collection(Some(namespace));
        match cluster.try_list(&collection, false).await {
            Ok(listed) => Ok((resource, listed.items)),
            Err(failure) if failure.is_forbidden() || failure.is_not_found() => {
                Ok((resource, Vec::new()))
            }
            Err(failure) => {
                let attempt = format!("list {} in {namespace}", resource.plural);
                Err(cluster.explain_failure(&attempt, &failure))
            }
        }
    });
    let mut objects = Vec::new();
    for (resource, items) in futures::future::try_join_all(reads).await? {
        let kind = (resource.api_version.clone(), resource.kind.clone());
        objects.extend(
            items
                .into_iter()
                .filter_map(|item| Some(live(&kind, item)?.1.value)),
        );
    }
    Ok(objects)
}

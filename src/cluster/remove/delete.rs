//! Deleting objects and waiting, by watch, until they are gone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt as _;
use http::Request;
use serde_json::{Value, json};

use crate::cluster::watch::{End, Seen};
use crate::cluster::{Cluster, Resource};
use crate::error::{Error, Result};
use crate::manifest::ObjectKey;

/// Requests in flight at once.
const PARALLEL: usize = 16;

/// An object to delete: this one, and no other that has its name later.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) resource: Resource,
    pub(crate) key: ObjectKey,
    pub(crate) uid: String,
}

/// What became of a set of objects.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) gone: Vec<ObjectKey>,
    pub(super) failures: Vec<Error>,
}

/// What a deletion gave.
enum Deletion {
    Gone,
    Going,
    Failed(Error),
}

/// Deletes objects and waits until they are gone; the first failure is an error.
pub(crate) async fn delete_and_await(
    cluster: &Cluster,
    targets: Vec<Target>,
    timeout: Duration,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let outcome = run(cluster, targets, timeout, tell).await?;
    match outcome.failures.into_iter().next() {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// Deletes objects and waits until they are gone. What may not be deleted is told, the rest is deleted all the same.
///
/// # Errors
/// `NotReady` for objects that do not go in time, with the finalizers that hold them.
pub(super) async fn run(
    cluster: &Cluster,
    targets: Vec<Target>,
    timeout: Duration,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Outcome> {
    tell(&format!("deleting {}", counted(targets.len())));
    let deletions: Vec<(Target, Deletion)> = futures::stream::iter(targets)
        .map(async |target| {
            let deletion = delete(cluster, &target).await;
            (target, deletion)
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    let mut outcome = Outcome::default();
    // Collections to watch: resource and namespace → objects by UID.
    let mut going: BTreeMap<(Resource, Option<String>), BTreeMap<String, ObjectKey>> =
        BTreeMap::new();
    for (target, deletion) in deletions {
        match deletion {
            Deletion::Gone => outcome.gone.push(target.key),
            Deletion::Failed(error) => outcome.failures.push(error),
            Deletion::Going => {
                let collection = (target.resource, target.key.namespace.clone());
                going
                    .entry(collection)
                    .or_default()
                    .insert(target.uid, target.key);
            }
        }
    }
    if going.is_empty() {
        return Ok(outcome);
    }
    let holds = Holds::default();
    if let Ok(mut held) = holds.0.lock() {
        let all = going.values().flat_map(BTreeMap::values);
        held.extend(all.map(|key| (key.clone(), Vec::new())));
    }
    let waits = going.iter().map(|(collection, objects)| {
        await_gone(cluster, collection, objects.clone(), &holds, tell)
    });
    match tokio::time::timeout(timeout, futures::future::try_join_all(waits)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(holds.error(timeout)),
    }
    outcome
        .gone
        .extend(going.into_values().flat_map(BTreeMap::into_values));
    Ok(outcome)
}

async fn delete(cluster: &Cluster, target: &Target) -> Deletion {
    let key = &target.key;
    let mut body = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation(key),
    });
    if !target.uid.is_empty() {
        body["preconditions"] = json!({"uid": target.uid});
    }
    let path = target.resource.object(key.namespace.as_deref(), &key.name);
    let request = Request::delete(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes());
    match cluster.try_send::<Value>(request).await {
        // A Status instead of the object: it was removed at once.
        Ok(answer) if answer["kind"] == "Status" => Deletion::Gone,
        Ok(_) => Deletion::Going,
        // Gone, or another object has its name now.
        Err(failure) if failure.is_not_found() || failure.is_conflict() => Deletion::Gone,
        Err(failure) => {
            let place = key
                .namespace
                .as_deref()
                .map_or(String::new(), |namespace| format!(" in {namespace}"));
            Deletion::Failed(cluster.explain_failure(&format!("delete {key}{place}"), &failure))
        }
    }
}

/// Objects that others belong to go last (`Foreground`), so that their end means that their pods are gone too.
fn propagation(key: &ObjectKey) -> &'static str {
    let leaf = matches!(
        (key.group(), key.kind.as_str()),
        (
            "",
            "ConfigMap"
                | "Secret"
                | "ServiceAccount"
                | "PersistentVolumeClaim"
                | "Pod"
                | "LimitRange"
                | "ResourceQuota"
        ) | (
            "rbac.authorization.k8s.io" | "networking.k8s.io" | "autoscaling" | "policy",
            _
        )
    );
    if leaf { "Background" } else { "Foreground" }
}

fn counted(count: usize) -> String {
    if count == 1 {
        "1 object".to_owned()
    } else {
        format!("{count} objects")
    }
}

/// What is still waited for: object → the finalizers that hold it.
#[derive(Default)]
struct Holds(Mutex<BTreeMap<ObjectKey, Vec<String>>>);

impl Holds {
    fn error(&self, timeout: Duration) -> Error {
        let left = self.0.lock().map(|left| left.clone()).unwrap_or_default();
        let names: Vec<String> = left.keys().map(ToString::to_string).collect();
        let error = Error::not_ready(format!(
            "not gone after {} s: {}",
            timeout.as_secs(),
            names.join(", ")
        ))
        .reason("DeletionPending");
        left.iter()
            .filter(|(_, finalizers)| !finalizers.is_empty())
            .fold(error, |error, (key, finalizers)| {
                error.cause(format!("{key} waits for {}", finalizers.join(", ")))
            })
            .hint("run the command again: it goes on where it was")
    }
}

/// Waits until none of these objects (by UID) is in the collection.
async fn await_gone(
    cluster: &Cluster,
    (resource, namespace): &(Resource, Option<String>),
    mut left: BTreeMap<String, ObjectKey>,
    holds: &Holds,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let collection = resource.collection(namespace.as_deref());
    let attempt = format!("see whether {} are gone", resource.plural);
    loop {
        let listed = cluster
            .try_list(&collection, true)
            .await
            .map_err(|failure| cluster.explain_failure(&attempt, &failure))?;
        left.retain(|uid, key| {
            let there = listed
                .items
                .iter()
                .find(|item| item["metadata"]["uid"] == uid.as_str());
            note(holds, key, there, tell);
            there.is_some()
        });
        if left.is_empty() {
            return Ok(());
        }
        let mut see = |seen: Seen| {
            let (object, there) = match &seen {
                Seen::There(object) => (object, true),
                Seen::Gone(object) => (object, false),
            };
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
            if let Some(key) = left.get(uid) {
                note(holds, key, there.then_some(object), tell);
            }
            if !there {
                left.remove(uid);
            }
            if left.is_empty() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        match cluster
            .watch(&collection, None, &listed.resource_version, true, &mut see)
            .await
        {
            Ok(End::Done) => return Ok(()),
            Ok(End::Stale) => {}
            Err(failure) => return Err(cluster.explain_failure(&attempt, &failure)),
        }
    }
}

/// Notes what holds an object, and tells it where it is none of Kubernetes' own finalizers.
fn note(holds: &Holds, key: &ObjectKey, object: Option<&Value>, tell: &(dyn Fn(&str) + Sync)) {
    let Ok(mut held) = holds.0.lock() else { return };
    let Some(object) = object else {
        held.remove(key);
        if !held.is_empty() {
            let names: Vec<String> = held.keys().take(3).map(ToString::to_string).collect();
            let more = if held.len() > 3 { ", …" } else { "" };
            let count = counted(held.len());
            tell(&format!(
                "waiting for the end of {count}: {}{more}",
                names.join(", ")
            ));
        }
        return;
    };
    let finalizers: Vec<String> = object["metadata"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|finalizer| finalizer.as_str().map(str::to_owned))
        .collect();
    let foreign: Vec<&str> = finalizers
        .iter()
        .map(String::as_str)
        .filter(|name| {
            !matches!(
                *name,
                "foregroundDeletion" | "orphan" | "kubernetes.io/pvc-protection"
            )
        })
        .collect();
    if !foreign.is_empty() && held.get(key) != Some(&finalizers) {
        let mut text = String::new();
        let _infallible = write!(text, "{key} waits for {}", foreign.join(", "));
        tell(&text);
    }
    held.insert(key.clone(), finalizers);
}

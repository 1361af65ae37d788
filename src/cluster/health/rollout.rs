//! Whether a workload's rollout is complete, by the rules of `kubectl rollout status`
//! (kubectl's `pkg/polymorphichelpers/rollout_status.go`), and which pods belong to the new version.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cluster::health::events::{is_current, latest, text};
use crate::cluster::health::world::{Index, uid};
use crate::cluster::health::{Reason, Trouble, creation, pod};
use crate::manifest::ObjectKey;

const REVISION: &str = "deployment.kubernetes.io/revision";

/// A look at one workload.
#[derive(Debug, Default)]
pub(super) struct Look<'a> {
    /// Pods of the new version that are available.
    pub(super) ready: u32,
    pub(super) wanted: u32,
    pub(super) complete: bool,
    /// What it waits for.
    pub(super) text: String,
    pub(super) failed: Option<Trouble>,
    /// Troubles of the workload itself.
    pub(super) troubles: Vec<Trouble>,
    /// Pods of the new version.
    pub(super) pods: Vec<&'a Pod>,
    /// Look again after this time.
    pub(super) again: Option<Duration>,
}

impl Look<'_> {
    /// Nothing can be said yet.
    pub(super) fn waiting(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    fn of_replicas(ready: u32, wanted: u32) -> Self {
        Self {
            ready,
            wanted,
            text: format!("{ready}/{wanted} ready"),
            ..Self::default()
        }
    }
}

const UNOBSERVED: &str = "waiting for its controller";

pub(super) fn deployment<'a>(object: &'a Deployment, index: &Index<'a>) -> Look<'a> {
    let (Some(spec), Some(status)) = (&object.spec, &object.status) else {
        return Look::waiting(UNOBSERVED);
    };
    if !observed(&object.metadata, status.observed_generation) {
        return Look::waiting(UNOBSERVED);
    }
    let key = key("apps/v1", "Deployment", &object.metadata);
    let wanted = number(spec.replicas.or(Some(1)));
    let updated = number(status.updated_replicas);
    let total = number(status.replicas);
    let available = number(status.available_replicas);
    let set = newest_set(object, index);
    let set_ready = set
        .and_then(|set| set.status.as_ref())
        .map(|status| number(status.available_replicas));
    let mut look = Look::of_replicas(set_ready.unwrap_or(available.min(updated)), wanted);
    look.pods = set.map_or_else(Vec::new, |set| index.pods_of(uid(&set.metadata)).to_vec());
    look.complete = updated >= wanted && total <= updated && available >= updated;
    if look.complete {
        // The ReplicaSet's own watch may be a moment behind.
        look.ready = available;
    }
    if !look.complete && updated >= wanted && total > updated && look.ready >= wanted {
        look.text = format!("{} old pods are ending", total - updated);
    }
    for condition in status.conditions.iter().flatten() {
        let reason = condition.reason.as_deref().unwrap_or_default();
        let message = condition.message.as_deref().unwrap_or_default();
        let failure = condition.type_ == "ReplicaFailure" && condition.status == "True"
            || condition.type_ == "Progressing" && reason == "ReplicaSetCreateError";
        if failure {
            look.troubles.push(creation::trouble(key.clone(), message));
        } else if condition.type_ == "Progressing" && reason == "ProgressDeadlineExceeded" {
            let seconds = spec.progress_deadline_seconds.unwrap_or(600);
            look.troubles.push(
                Trouble::new(
                    Reason::ProgressDeadlineExceeded,
                    key.clone(),
                    format!("no progress for {seconds} s"),
                )
                .detail(message)
                .hint("see what its pods wait for: `dev status`, `dev logs`"),
            );
        }
    }
    if spec.paused == Some(true) && !look.complete {
        let hint = format!("kubectl rollout resume deployment/{}", key.name);
        look.troubles
            .push(Trouble::new(Reason::Paused, key, "its rollout is paused").hint(hint));
    }
    look
}

pub(super) fn replica_set<'a>(object: &'a ReplicaSet, index: &Index<'a>) -> Look<'a> {
    let (Some(spec), Some(status)) = (&object.spec, &object.status) else {
        return Look::waiting(UNOBSERVED);
    };
    if !observed(&object.metadata, status.observed_generation) {
        return Look::waiting(UNOBSERVED);
    }
    let wanted = number(spec.replicas.or(Some(1)));
    let mut look = Look::of_replicas(number(status.available_replicas), wanted);
    look.complete = look.ready >= wanted;
    look.pods = index.pods_of(uid(&object.metadata)).to_vec();
    let failures = status.conditions.iter().flatten();
    for failure in failures.filter(|one| one.type_ == "ReplicaFailure" && one.status == "True") {
        let message = failure.message.as_deref().unwrap_or_default();
        let key = key("apps/v1", "ReplicaSet", &object.metadata);
        look.troubles.push(creation::trouble(key, message));
    }
    look
}

pub(super) fn stateful_set<'a>(object: &'a StatefulSet, index: &Index<'a>) -> Look<'a> {
    let (Some(spec), Some(status)) = (&object.spec, &object.status) else {
        return Look::waiting(UNOBSERVED);
    };
    if !observed(&object.metadata, status.observed_generation) {
        return Look::waiting(UNOBSERVED);
    }
    let wanted = number(spec.replicas.or(Some(1)));
    let strategy = spec.update_strategy.as_ref();
    let on_delete = strategy.and_then(|one| one.type_.as_deref()) == Some("OnDelete");
    let partition = strategy
        .and_then(|one| one.rolling_update.as_ref()?.partition)
        .map_or(0, |partition| number(Some(partition)));
    let available = number(status.available_replicas.or(status.ready_replicas));
    let updated = number(status.updated_replicas);
    let rolled_out = if on_delete {
        true
    } else if partition > 0 {
        updated >= wanted.saturating_sub(partition)
    } else {
        updated >= wanted || status.update_revision == status.current_revision
    };
    let complete = available >= wanted && rolled_out && number(Some(status.replicas)) <= wanted;
    let fresh = if on_delete || partition > 0 {
        available
    } else {
        available.min(updated.max(if rolled_out { available } else { 0 }))
    };
    let mut look = Look::of_replicas(fresh, wanted);
    look.complete = complete;
    look.pods = index.pods_of(uid(&object.metadata)).to_vec();
    let key = key("apps/v1", "StatefulSet", &object.metadata);
    if !complete {
        let made = look.pods.len() < wanted as usize;
        look.troubles
            .extend(refused(key.clone(), &object.metadata, made, index));
    }
    if !complete && !rolled_out {
        look.troubles.extend(stuck(
            key,
            look.pods.as_slice(),
            status.update_revision.as_deref(),
        ));
    }
    look
}

/// A StatefulSet does not replace a pod of the old version that never became ready (a documented limit of `OrderedReady`).
fn stuck(key: ObjectKey, pods: &[&Pod], revision: Option<&str>) -> Option<Trouble> {
    let revision = revision?;
    let old = pods.iter().find(|one| {
        let labels = one.metadata.labels.as_ref();
        let hash = labels.and_then(|labels| labels.get("controller-revision-hash"));
        hash.is_some_and(|hash| hash != revision) && !pod::is_ready(one)
    })?;
    let name = old.metadata.name.as_deref().unwrap_or_default();
    let text =
        format!("it waits for the old pod {name}, which is not ready, before it makes the new one");
    Some(
        Trouble::new(Reason::ProgressDeadlineExceeded, key, text)
            .hint(format!("kubectl delete pod {name}")),
    )
}

pub(super) fn daemon_set<'a>(object: &'a DaemonSet, index: &Index<'a>) -> Look<'a> {
    let (Some(spec), Some(status)) = (&object.spec, &object.status) else {
        return Look::waiting(UNOBSERVED);
    };
    if !observed(&object.metadata, status.observed_generation) {
        return Look::waiting(UNOBSERVED);
    }
    let wanted = number(Some(status.desired_number_scheduled));
    let available = number(status.number_available);
    let strategy = spec.update_strategy.as_ref();
    let on_delete = strategy.and_then(|one| one.type_.as_deref()) == Some("OnDelete");
    let updated = if on_delete {
        wanted
    } else {
        number(status.updated_number_scheduled)
    };
    let mut look = Look::of_replicas(available.min(updated), wanted);
    look.complete = updated >= wanted && available >= wanted;
    let pods = index.pods_of(uid(&object.metadata));
    let generation = object.metadata.generation.map(|one| one.to_string());
    look.pods = pods
        .iter()
        .filter(|pod| {
            let labels = pod.metadata.labels.as_ref();
            let label = labels.and_then(|labels| labels.get("pod-template-generation"));
            on_delete || label.is_none() || label == generation.as_ref()
        })
        .copied()
        .collect();
    if !look.complete {
        let missing = pods.len() < wanted as usize;
        let key = key("apps/v1", "DaemonSet", &object.metadata);
        look.troubles
            .extend(refused(key, &object.metadata, missing, index));
    }
    look
}

pub(super) fn job<'a>(service: &str, object: &'a Job, index: &Index<'a>) -> Look<'a> {
    let spec = object.spec.as_ref();
    let status = object.status.as_ref();
    let wanted = number(spec.and_then(|spec| spec.completions).or(Some(1)));
    let done = number(status.and_then(|status| status.succeeded));
    let attempts = number(status.and_then(|status| status.failed));
    let mut look = Look {
        ready: done.min(wanted),
        wanted,
        text: match attempts {
            0 => "the job is running".to_owned(),
            n => format!("the job is running, {n} attempts failed"),
        },
        pods: index.pods_of(uid(&object.metadata)).to_vec(),
        ..Look::default()
    };
    if spec.and_then(|spec| spec.suspend) == Some(true) {
        look.complete = true;
        look.text = "the job is suspended".to_owned();
        return look;
    }
    let key = key("batch/v1", "Job", &object.metadata);
    let conditions = status.and_then(|status| status.conditions.as_ref());
    for condition in conditions.into_iter().flatten() {
        if condition.status != "True" {
            continue;
        }
        match condition.type_.as_str() {
            "Complete" | "SuccessCriteriaMet" => look.complete = true,
            "Failed" | "FailureTarget" => {
                look.failed = Some(job_failed(
                    service,
                    key.clone(),
                    condition,
                    &look.pods,
                    index,
                ));
            }
            _ => {}
        }
    }
    if look.complete {
        look.ready = wanted;
    } else if look.failed.is_none() {
        let made = look.pods.is_empty();
        look.troubles
            .extend(refused(key, &object.metadata, made, index));
    }
    look
}

fn job_failed(
    service: &str,
    key: ObjectKey,
    condition: &k8s_openapi::api::batch::v1::JobCondition,
    pods: &[&Pod],
    index: &Index<'_>,
) -> Trouble {
    let reason = condition.reason.as_deref().unwrap_or_default();
    let message = condition.message.as_deref().unwrap_or_default();
    let why = match reason {
        "BackoffLimitExceeded" => "it failed too often (backoffLimit)",
        "DeadlineExceeded" => "it ran longer than its activeDeadlineSeconds",
        "PodFailurePolicy" => "its podFailurePolicy ended it",
        _ => "it failed",
    };
    let last = pods
        .iter()
        .filter(|pod| {
            pod.status
                .as_ref()
                .and_then(|status| status.phase.as_deref())
                == Some("Failed")
        })
        .max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let mut trouble = Trouble::new(Reason::JobFailed, key, why)
        .detail(message)
        .hint(format!(
            "see `dev logs {service}`; a failed Job is not tried again: change it, or `dev up --recreate`"
        ));
    if let Some(last) = last {
        let pod = pod::failed(service, last, index);
        trouble.message = format!(
            "{why}: {}",
            pod.message.trim_start_matches("the pod failed: ")
        );
        trouble.container = pod.container;
        trouble.log = pod.log;
    }
    trouble
}

pub(super) fn bare_pod<'a>(service: &str, object: &'a Pod, index: &Index<'a>) -> Look<'a> {
    let mut look = Look::of_replicas(u32::from(pod::is_ready(object)), 1);
    look.pods = vec![object];
    match object
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
    {
        Some("Succeeded") => {
            look.complete = true;
            look.ready = 1;
        }
        Some("Failed") => look.failed = Some(pod::failed(service, object, index)),
        _ => look.complete = look.ready == 1,
    }
    look
}

/// Claims are not waited for: one that no pod uses may stay unbound for ever. What is wrong with them is told.
pub(super) fn claim<'a>(object: &'a PersistentVolumeClaim, index: &Index<'a>) -> Look<'a> {
    let troubles: Vec<_> = claim_trouble(object, index).into_iter().collect();
    Look {
        complete: troubles.is_empty(),
        text: "waiting for a volume".to_owned(),
        troubles,
        ..Look::default()
    }
}

/// What keeps a claim from its volume, where the cluster says so.
pub(super) fn claim_trouble(object: &PersistentVolumeClaim, index: &Index<'_>) -> Option<Trouble> {
    let phase = object.status.as_ref()?.phase.as_deref()?;
    let key = key("v1", "PersistentVolumeClaim", &object.metadata);
    if phase == "Lost" {
        let text = "its volume is gone, and the data with it";
        return Some(
            Trouble::new(Reason::PvcPending, key, text).hint("delete the claim and make it again"),
        );
    }
    if phase != "Pending" {
        return None;
    }
    let events = index.events_of(uid(&object.metadata));
    let event = latest(events, &["ProvisioningFailed", "FailedBinding"])?;
    let class = object
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref());
    let text_ = match class {
        Some(class) => format!("storage class {class} gives it no volume"),
        None => "it names no storage class, and the cluster has no default one".to_owned(),
    };
    Some(
        Trouble::new(Reason::PvcPending, key, text_)
            .detail(text(event))
            .hint("see `kubectl get storageclass`; set storageClassName to one of them"),
    )
}

/// What a controller without a `ReplicaFailure` condition says about pods that it cannot make.
fn refused(key: ObjectKey, meta: &ObjectMeta, missing: bool, index: &Index<'_>) -> Option<Trouble> {
    if !missing {
        return None;
    }
    let event = latest(index.events_of(uid(meta)), &["FailedCreate"])?;
    is_current(event, meta).then(|| {
        // `create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden: …`
        let said = text(event);
        let said = said
            .split_once("failed error: ")
            .map_or(said, |(_, said)| said);
        let said = said.strip_prefix("Error creating: ").unwrap_or(said);
        creation::trouble(key, said)
    })
}

/// The ReplicaSet of the Deployment's newest revision.
fn newest_set<'a>(object: &Deployment, index: &Index<'a>) -> Option<&'a ReplicaSet> {
    let revision = |meta: &ObjectMeta| {
        let annotations = meta.annotations.as_ref()?;
        annotations.get(REVISION)?.parse::<u64>().ok()
    };
    let sets = index.replica_sets_of(uid(&object.metadata));
    sets.iter()
        .filter(|set| revision(&set.metadata) == revision(&object.metadata))
        .chain(sets.iter().max_by_key(|set| revision(&set.metadata)))
        .next()
        .copied()
}

fn observed(meta: &ObjectMeta, observed: Option<i64>) -> bool {
    observed.unwrap_or(0) >= meta.generation.unwrap_or(0)
}

fn number(value: Option<i32>) -> u32 {
    value
        .and_then(|value| u32::try_from(value).ok())
        .unwrap_or(0)
}

/// The key of an object that was read as a typed one.
pub(super) fn key(api_version: &str, kind: &str, meta: &ObjectMeta) -> ObjectKey {
    ObjectKey {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: meta.namespace.clone(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

//! What is wrong with one pod.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use k8s_openapi::jiff::Timestamp;

use crate::cluster::health::container::Container;
use crate::cluster::health::events::{latest, text};
use crate::cluster::health::world::{Index, uid};
use crate::cluster::health::{Reason, Trouble, rollout, scheduling};
use crate::manifest::ObjectKey;

/// Everything that is wrong with a pod now.
pub(super) fn troubles(service: &str, pod: &Pod, index: &Index<'_>) -> Vec<Trouble> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    if pod.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let key = key(pod);
    if status.phase.as_deref() == Some("Failed") {
        return vec![failed(service, pod, index)];
    }
    if let Some(condition) = condition(pod, "PodScheduled").filter(|one| one.status == "False") {
        let mut troubles = unbound_claims(pod, index);
        let reason = condition.reason.as_deref().unwrap_or_default();
        let message = condition.message.as_deref().unwrap_or_default();
        troubles.push(scheduling::trouble(key, pod, reason, message));
        return troubles;
    }
    let events = index.events_of(uid(&pod.metadata));
    let mut troubles: Vec<_> = containers(service, pod, &key, index)
        .iter()
        .filter_map(Container::trouble)
        .collect();
    if troubles.is_empty() && is_starting(pod) {
        let mount = latest(
            events,
            &["FailedMount", "FailedAttachVolume", "FailedMapVolume"],
        )
        .map(text)
        // Said while kubelet has not read the object yet; the next try finds it.
        .filter(|text| !text.contains("not registered") && !text.contains("failed to sync"));
        if let Some(mount) = mount {
            troubles.push(volume(key.clone(), mount));
        } else if let Some(event) = latest(events, &["FailedCreatePodSandBox"]) {
            let text_ = "the pod's network or sandbox cannot be set up on its node";
            troubles.push(
                Trouble::new(Reason::PodSandbox, key.clone(), text_)
                    .detail(text(event))
                    .hint("the node's container runtime or network plugin is at fault, not the service"),
            );
        }
    }
    if troubles.is_empty() && !is_ready(pod) && status.reason.as_deref() == Some("NodeLost")
        || troubles.is_empty() && !is_ready(pod) && latest(events, &["NodeNotReady"]).is_some()
    {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let node = node.unwrap_or("unknown");
        troubles.push(
            Trouble::new(
                Reason::NodeLost,
                key,
                format!("its node {node} does not answer"),
            )
            .hint(format!("see `kubectl describe node {node}`")),
        );
    }
    troubles
}

/// The first container of a ready pod that has not run long enough to be believed.
pub(super) fn unsettled(
    service: &str,
    pod: &Pod,
    index: &Index<'_>,
    now: Timestamp,
) -> Option<(Option<Trouble>, Duration)> {
    let key = key(pod);
    let mut waits: Vec<_> = containers(service, pod, &key, index)
        .iter()
        .filter(|container| !container.init)
        .filter_map(|container| container.unsettled(index.world, now))
        .collect();
    waits.sort_by_key(|(trouble, wait)| (trouble.is_some(), *wait));
    waits.pop()
}

/// A pod that ended: evicted, refused by its node, or its containers failed and are not restarted.
pub(super) fn failed(service: &str, pod: &Pod, index: &Index<'_>) -> Trouble {
    let key = key(pod);
    let status = pod.status.as_ref();
    let reason = status.and_then(|status| status.reason.as_deref());
    let message = status.and_then(|status| status.message.as_deref());
    let message = message.unwrap_or_default();
    if let Some(reason) = reason {
        let (code, text) = match reason {
            "NodeLost" | "Terminated" | "NodeShutdown" | "Shutdown" => {
                (Reason::NodeLost, "its node went away".to_owned())
            }
            "Evicted" | "Preempting" => {
                (Reason::Evicted, "it was evicted from its node".to_owned())
            }
            "DeadlineExceeded" => (
                Reason::PodFailed,
                "it ran longer than its activeDeadlineSeconds".to_owned(),
            ),
            other => (Reason::Evicted, format!("its node refused it: {other}")),
        };
        return Trouble::new(code, key, text)
            .detail(message)
            .hint("see `kubectl describe node` for pressure on memory, disk or pods");
    }
    let containers = containers(service, pod, &key, index);
    let ended = containers.iter().find_map(Container::trouble);
    match ended {
        Some(mut trouble) => {
            trouble.message = format!("the pod failed: {}", trouble.message);
            trouble.reason = Reason::PodFailed;
            trouble
        }
        None => Trouble::new(Reason::PodFailed, key, "the pod failed").detail(message),
    }
}

/// Whether the pod's condition `Ready` is true and it is not being removed.
pub(super) fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

pub(super) fn key(pod: &Pod) -> ObjectKey {
    rollout::key("v1", "Pod", &pod.metadata)
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

fn containers<'a>(
    service: &'a str,
    pod: &'a Pod,
    key: &'a ObjectKey,
    index: &'a Index<'_>,
) -> Vec<Container<'a>> {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else {
        return Vec::new();
    };
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let events = index.events_of(uid(&pod.metadata));
    let one = |status: &'a ContainerStatus, in_init: bool| {
        let init = spec.init_containers.iter().flatten();
        let spec = init
            .chain(&spec.containers)
            .find(|container| container.name == status.name);
        let own = spec.and_then(|spec| spec.restart_policy.as_deref());
        let sidecar = in_init && own == Some("Always");
        Container {
            service,
            pod,
            key,
            status,
            init: in_init && !sidecar,
            restarts_always: own.unwrap_or(policy) == "Always",
            has_readiness_probe: spec.is_some_and(|spec| spec.readiness_probe.is_some()),
            events,
        }
    };
    let init = status.init_container_statuses.iter().flatten();
    let main = status.container_statuses.iter().flatten();
    init.map(|status| one(status, true))
        .chain(main.map(|status| one(status, false)))
        .collect()
}

/// Whether a container waits for the pod's volumes and network.
fn is_starting(pod: &Pod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    });
    statuses
        .filter_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.as_deref())
        .any(|reason| matches!(reason, "ContainerCreating" | "PodInitializing"))
}

fn volume(key: ObjectKey, message: &str) -> Trouble {
    let why = message
        .rsplit_once(" : ")
        .map_or(message, |(_, why)| why)
        .trim();
    let hint = if why.contains("not found") || why.contains("non-existent config key") {
        "add it to the service's manifests, or mark the volume `optional: true`"
    } else {
        "see the claim and its volume: `kubectl describe pvc`"
    };
    Trouble::new(
        Reason::VolumeMount,
        key,
        format!("a volume cannot be mounted: {why}"),
    )
    .detail(message)
    .hint(hint)
}

/// Claims of this pod that wait for a volume or do not exist.
fn unbound_claims(pod: &Pod, index: &Index<'_>) -> Vec<Trouble> {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter_map(|volume| {
            let name = &volume.persistent_volume_claim.as_ref()?.claim_name;
            let claim = index.world.claims.get(name)?;
            rollout::claim_trouble(claim, index)
        })
        .collect()
}

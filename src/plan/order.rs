//! What may be applied at once, and what has to wait for what.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result, did_you_mean};
use crate::manifest::{ObjectKey, is_alias, labels};
use crate::plan::{Action, Change};

/// When an object is applied, by its kind. Lower ranks first; deletions in reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// What others are defined by: custom resource definitions, classes, namespaces, volumes.
    Definition,
    /// Limits, which have to be there before what they limit.
    Policy,
    /// Accounts and their rights.
    Access,
    /// What pods refer to: configuration, secrets, claims, Services.
    Reference,
    /// What runs.
    Workload,
    /// What points at what runs: Ingresses, routes, autoscalers.
    Entry,
    /// Custom resources, which may need all of the above.
    Custom,
}

/// The rank of an object.
pub fn rank(key: &ObjectKey) -> Rank {
    let group = key.group();
    match (group, key.kind.as_str()) {
        (_, "CustomResourceDefinition" | "APIService")
        | (
            "" | "storage.k8s.io" | "scheduling.k8s.io" | "node.k8s.io" | "networking.k8s.io",
            "Namespace" | "StorageClass" | "PriorityClass" | "RuntimeClass" | "IngressClass"
            | "PersistentVolume",
        ) => Rank::Definition,
        ("", "ResourceQuota" | "LimitRange")
        | ("networking.k8s.io", "NetworkPolicy")
        | ("policy", "PodDisruptionBudget") => Rank::Policy,
        ("", "ServiceAccount") | ("rbac.authorization.k8s.io", _) => Rank::Access,
        ("", "ConfigMap" | "Secret" | "PersistentVolumeClaim" | "Service" | "Endpoints")
        | ("discovery.k8s.io", "EndpointSlice") => Rank::Reference,
        ("", "Pod" | "ReplicationController")
        | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job" | "CronJob") => Rank::Workload,
        ("networking.k8s.io" | "extensions", "Ingress")
        | ("autoscaling", _)
        | ("gateway.networking.k8s.io", _)
        | ("admissionregistration.k8s.io", _) => Rank::Entry,
        _ => Rank::Custom,
    }
}

/// Which changes may be made at once. Numbers are indices into the plan's changes; unchanged and blocked ones are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// One after the other, for all services: everything below [`Rank::Workload`]. It holds nothing that could be ready too early,
    /// and names that resolve before their pods run do no harm.
    pub foundation: Vec<Vec<usize>>,
    /// After it, all services at once, each when the services that it needs are ready.
    pub services: Vec<ServiceSteps>,
    /// After all of it, one after the other: deletions.
    pub prune: Vec<Vec<usize>>,
}

/// The workloads of one service, and what comes after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSteps {
    /// The service.
    pub service: String,
    /// The services that must be ready first.
    pub needs: Vec<String>,
    /// One after the other.
    pub stages: Vec<Vec<usize>>,
    /// When the service is ready: aliases that become Services of its own. Until then the base answers.
    pub takeover: Vec<usize>,
}

/// Whether a change turns an alias into a Service that leads to pods of this environment, and may wait until they are ready. One
/// without an address of its own may not: its pods may have to find each other by it before. Nor one that wishes for Secrets:
/// its pods wait for them.
fn takes_over(change: &Change) -> bool {
    let was_alias = change
        .live
        .as_ref()
        .is_some_and(|live| is_alias(&live.value));
    let Some(desired) = change.desired.as_ref().filter(|_| was_alias) else {
        return false;
    };
    let spec = &desired["spec"];
    !is_alias(desired)
        && spec["clusterIP"] != "None"
        && spec["publishNotReadyAddresses"] != true
        && desired["metadata"]["annotations"][labels::SECRETS].is_null()
}

/// Sorts the changes of a plan into what may be made at once. Fails for needs that form a cycle or name no service.
///
/// Services without a change have no steps, but their needs count when a cycle is looked for.
pub fn schedule(changes: &[Change], needs: &BTreeMap<String, Vec<String>>) -> Result<Schedule> {
    check_needs(needs)?;
    let mut foundation: BTreeMap<Rank, Vec<usize>> = BTreeMap::new();
    let mut services: BTreeMap<&str, BTreeMap<Rank, Vec<usize>>> = BTreeMap::new();
    let mut takeovers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut prune: BTreeMap<Rank, Vec<usize>> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        let rank = rank(&change.key);
        let stages = match &change.action {
            Action::Unchanged | Action::Blocked(_) => continue,
            Action::Delete => &mut prune,
            Action::Update(_) if takes_over(change) => {
                services.entry(&change.service).or_default();
                takeovers.entry(&change.service).or_default().push(index);
                continue;
            }
            Action::Create | Action::Update(_) | Action::Recreate(_) => {
                if rank < Rank::Workload {
                    &mut foundation
                } else {
                    services.entry(&change.service).or_default()
                }
            }
        };
        stages.entry(rank).or_default().push(index);
    }
    Ok(Schedule {
        foundation: foundation.into_values().collect(),
        services: services
            .into_iter()
            .map(|(service, stages)| ServiceSteps {
                service: service.to_owned(),
                needs: needs.get(service).cloned().unwrap_or_default(),
                stages: stages.into_values().collect(),
                takeover: takeovers.remove(service).unwrap_or_default(),
            })
            .collect(),
        prune: prune.into_values().rev().collect(),
    })
}

/// Fails for needs that form a cycle, naming it, and for needs that name no service.
pub fn check_needs(needs: &BTreeMap<String, Vec<String>>) -> Result<()> {
    for (service, needed) in needs {
        for name in needed {
            if !needs.contains_key(name) {
                let known = needs.keys().map(String::as_str);
                return Err(Error::usage(format!(
                    "the service \"{service}\" needs \"{name}\", which is no service"
                ))
                .reason("UnknownService")
                .maybe_hint(did_you_mean(name, known)));
            }
        }
    }
    let mut done = BTreeSet::new();
    for service in needs.keys() {
        if let Some(cycle) = find_cycle(service, needs, &mut Vec::new(), &mut done) {
            return Err(Error::usage(format!(
                "services need each other in a circle: {}",
                cycle.join(" → ")
            ))
            .reason("CyclicNeeds")
            .hint("leave one of these needs out of dev.yaml"));
        }
    }
    Ok(())
}

fn find_cycle<'a>(
    service: &'a str,
    needs: &'a BTreeMap<String, Vec<String>>,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a str>> {
    if let Some(start) = path.iter().position(|seen| *seen == service) {
        let mut cycle = path[start..].to_vec();
        cycle.push(service);
        return Some(cycle);
    }
    if done.contains(service) {
        return None;
    }
    path.push(service);
    for needed in needs.get(service).into_iter().flatten() {
        let cycle = find_cycle(needed, needs, path, done);
        if cycle.is_some() {
            return cycle;
        }
    }
    path.pop();
    done.insert(service);
    None
}

#[cfg(test)]
mod tests;

//! Which objects of a namespace make up a service: its Service, the workload behind it, and what those need.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::{clean, is_generated};
use crate::error::{Error, Result, did_you_mean};
use crate::manifest::references;
use crate::manifest::{Manifest, Origin, walk};

/// Kinds that are taken along when something taken refers to them.
const FOLLOWED: [&str; 9] = [
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "PersistentVolumeClaim",
    "Role",
    "Service",
    "Certificate",
    "Issuer",
    "ResourceClaimTemplate",
];

/// The objects of the service, cleaned of what the cluster wrote, in a fixed order: as in `objects`.
///
/// Taken are the Service of that name; every Deployment, StatefulSet and DaemonSet (or bare Pod) that it selects; the
/// other Services that select the same pods; transitively the ConfigMaps, Secrets, accounts and claims that those refer to;
/// Roles and RoleBindings of the accounts; Ingresses and routes to the Service; autoscalers, disruption budgets and
/// monitors of the workload. What the cluster makes itself (tokens, `kube-root-ca.crt`) is not.
///
/// # Errors
/// There is no Service of that name, or it selects nothing.
pub fn closure(service: &str, objects: &[Value]) -> Result<Vec<Manifest>> {
    let start = objects
        .iter()
        .position(|object| kind(object) == "Service" && name(object) == service)
        .ok_or_else(|| no_service(service, objects))?;
    let mut taken: BTreeSet<usize> = BTreeSet::from([start]);
    let workloads = workloads_of(&objects[start], objects);
    if workloads.is_empty() && !is_external(&objects[start]) {
        return Err(Error::failed(format!(
            "the Service {service} selects no Deployment, StatefulSet, DaemonSet or Pod, so there is nothing to copy"
        ))
        .hint("write its manifests, and name them under manifests: in dev.yaml"));
    }
    let mut queue: VecDeque<usize> = VecDeque::from([start]);
    queue.extend(&workloads);
    taken.extend(&workloads);
    while let Some(at) = queue.pop_front() {
        for next in refers_to(&objects[at], objects)
            .into_iter()
            .chain(depends_on(at, objects))
        {
            if !is_generated(&objects[next]) && taken.insert(next) {
                queue.push_back(next);
            }
        }
    }
    Ok(taken
        .into_iter()
        .map(|at| manifest(&objects[at], service))
        .collect())
}

fn manifest(object: &Value, service: &str) -> Manifest {
    let mut value = object.clone();
    clean(&mut value);
    Manifest {
        value,
        origin: Origin {
            service: service.to_owned(),
            place: None,
        },
    }
}

fn no_service(service: &str, objects: &[Value]) -> Error {
    let services = objects
        .iter()
        .filter(|object| kind(object) == "Service")
        .map(name);
    Error::failed(format!("there is no Service {service} to copy in the base"))
        .maybe_hint(did_you_mean(service, services))
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn group(object: &Value) -> &str {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    api_version.split_once('/').map_or("", |(group, _)| group)
}

fn is_external(service: &Value) -> bool {
    let selector = service["spec"]["selector"].as_object();
    selector.is_none_or(Map::is_empty)
}

fn pod_labels(object: &Value) -> Option<&Map<String, Value>> {
    let labels = match walk::pod_template(group(object), kind(object))? {
        "" => object.get("metadata")?.get("labels")?,
        path => walk::get(object, path)?.get("metadata")?.get("labels")?,
    };
    labels.as_object()
}

/// Owned objects come back by their owners: ReplicaSets by Deployments, pods by all of them.
fn is_owned(object: &Value) -> bool {
    object["metadata"]["ownerReferences"]
        .as_array()
        .is_some_and(|owners| !owners.is_empty())
}

fn workloads_of(service: &Value, objects: &[Value]) -> Vec<usize> {
    let Some(selector) = service["spec"]["selector"]
        .as_object()
        .filter(|s| !s.is_empty())
    else {
        return Vec::new();
    };
    let is_workload = |object: &Value| {
        matches!(
            kind(object),
            "Deployment"
                | "StatefulSet"
                | "DaemonSet"
                | "Rollout"
                | "ReplicaSet"
                | "ReplicationController"
                | "Pod"
        ) && !is_owned(object)
    };
    let matches = |labels: &Map<String, Value>| {
        selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    };
    let found = objects
        .iter()
        .enumerate()
        .filter(|(_, object)| is_workload(object));
    found
        .filter(|(_, object)| pod_labels(object).is_some_and(matches))
        .map(|(at, _)| at)
        .collect()
}

/// The objects that this one names.
fn refers_to(object: &Value, objects: &[Value]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut copy = object.clone();
    let namespace = object["metadata"]["namespace"].as_str();
    references::each(&mut copy, group(object), kind(object), &mut |reference| {
        let here = reference.namespace().is_none() || reference.namespace() == namespace;
        if !here || !FOLLOWED.contains(&reference.kind.as_str()) {
            return;
        }
        // A binding or a route of another service must not pull that service in.
        let of_others = matches!(
            kind(object),
            "RoleBinding" | "Ingress" | "HTTPRoute" | "GRPCRoute" | "TCPRoute" | "TLSRoute"
        ) && !matches!(reference.kind.as_str(), "Role" | "Secret");
        if of_others {
            return;
        }
        let wanted =
            |other: &Value| kind(other) == reference.kind && Some(name(other)) == reference.name();
        found.extend(objects.iter().position(wanted));
    });
    found
}

/// The objects that point at this one and belong to it.
fn depends_on(at: usize, objects: &[Value]) -> Vec<usize> {
    let object = &objects[at];
    let points = |other: &Value| -> bool {
        match (kind(object), kind(other)) {
            ("ServiceAccount", "RoleBinding") => names_subject(other, object),
            ("Service", "Ingress" | "HTTPRoute" | "GRPCRoute" | "TCPRoute" | "TLSRoute") => {
                names_object(other, object)
            }
            (_, "HorizontalPodAutoscaler" | "VerticalPodAutoscaler" | "ScaledObject") => {
                names_object(other, object)
            }
            (_, "PodDisruptionBudget" | "PodMonitor") => {
                pod_labels(object).is_some_and(|labels| selects(&other["spec"]["selector"], labels))
            }
            (_, "NetworkPolicy") => {
                // A policy for all pods of the namespace is no part of a service.
                let selector = &other["spec"]["podSelector"];
                let all = selector.as_object().is_none_or(Map::is_empty);
                !all && pod_labels(object).is_some_and(|labels| selects(selector, labels))
            }
            ("Service", "ServiceMonitor") => object["metadata"]["labels"]
                .as_object()
                .is_some_and(|labels| selects(&other["spec"]["selector"], labels)),
            (_, "Service") => {
                let selector = other["spec"]["selector"]
                    .as_object()
                    .filter(|s| !s.is_empty());
                let labels = pod_labels(object);
                selector.zip(labels).is_some_and(|(selector, labels)| {
                    selector
                        .iter()
                        .all(|(key, value)| labels.get(key) == Some(value))
                })
            }
            ("Secret", "Certificate") => other["spec"]["secretName"].as_str() == Some(name(object)),
            _ => false,
        }
    };
    objects
        .iter()
        .enumerate()
        .filter(|(_, other)| points(other))
        .map(|(at, _)| at)
        .collect()
}

fn names_object(other: &Value, object: &Value) -> bool {
    let mut copy = other.clone();
    let mut found = false;
    references::each(&mut copy, group(other), kind(other), &mut |reference| {
        found |= reference.kind == kind(object) && reference.name() == Some(name(object));
    });
    found
}

fn names_subject(binding: &Value, account: &Value) -> bool {
    let subjects = binding["subjects"].as_array();
    subjects.into_iter().flatten().any(|subject| {
        subject["kind"] == "ServiceAccount" && subject["name"].as_str() == Some(name(account))
    })
}

/// Whether a label selector matches these labels. An unknown operator does not.
fn selects(selector: &Value, labels: &Map<String, Value>) -> bool {
    let by_labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut by_labels = by_labels.map(|(key, value)| labels.get(key) == Some(value));
    let by_expressions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    let mut by_expressions = by_expressions.map(|expression| {
        let value = labels.get(expression["key"].as_str().unwrap_or_default());
        let listed = expression["values"]
            .as_array()
            .is_some_and(|values| value.is_some_and(|value| values.contains(value)));
        match expression["operator"].as_str().unwrap_or_default() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    selector.is_object() && by_labels.all(|fits| fits) && by_expressions.all(|fits| fits)
}

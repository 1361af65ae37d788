//! What a copy must not do: answer for the original, take its addresses, run its schedules, or be scaled beside it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Mode, Target};
use crate::manifest::{Manifest, walk};

/// The fields of a Service that only make sense with a load balancer.
const BALANCER_FIELDS: [&str; 5] = [
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "loadBalancerClass",
    "allocateLoadBalancerNodePorts",
    "externalTrafficPolicy",
];

/// What is known of the whole set.
#[derive(Debug)]
pub(super) struct Safety {
    on: bool,
    /// The least replicas that an autoscaler would have given, by kind and name of its target.
    floors: HashMap<(String, String), u64>,
}

impl Safety {
    pub(super) fn of(objects: &[Manifest], target: &Target) -> Self {
        let mut floors = HashMap::new();
        for object in objects {
            let (path, least) = match object.kind() {
                "HorizontalPodAutoscaler" => ("spec.scaleTargetRef", "minReplicas"),
                "ScaledObject" => ("spec.scaleTargetRef", "minReplicaCount"),
                _ => continue,
            };
            let Some(scaled) = walk::get(&object.value, path) else {
                continue;
            };
            let kind = scaled["kind"].as_str().unwrap_or("Deployment");
            let name = scaled["name"].as_str().unwrap_or_default();
            let least = object.value["spec"][least].as_u64().unwrap_or(1).max(1);
            floors.insert((kind.to_owned(), name.to_owned()), least);
        }
        Self {
            on: target.mode == Mode::Copy,
            floors,
        }
    }

    /// Why an object is not copied at all.
    pub(super) fn drops(&self, object: &Manifest) -> Option<&'static str> {
        if !self.on {
            return None;
        }
        match object.kind() {
            "PodDisruptionBudget" => Some("a copy may be disrupted at any time"),
            "HorizontalPodAutoscaler" | "ScaledObject" => {
                Some("a copy is not scaled: it keeps the replicas of its workload")
            }
            "VerticalPodAutoscaler" => {
                Some("a copy keeps the resources that its manifest asks for")
            }
            _ => None,
        }
    }

    /// Makes one object safe; `said` gets what was changed.
    pub(super) fn apply(&self, object: &mut Manifest, group: &str, said: &mut Vec<String>) {
        if !self.on {
            return;
        }
        let kind = object.kind().to_owned();
        match (group, kind.as_str()) {
            ("", "Service") => service(&mut object.value, said),
            ("batch", "CronJob") => suspend(&mut object.value, said),
            ("", "PersistentVolumeClaim") => unbind(&mut object.value, said),
            _ => {}
        }
        self.keep_replicas(object, &kind, said);
        if let Some(template) = walk::pod_template(group, &kind) {
            let path = if template.is_empty() {
                "spec".to_owned()
            } else {
                format!("{template}.spec")
            };
            if let Some(pod) = walk::get_mut(&mut object.value, &path) {
                free_host_ports(pod, said);
            }
        }
    }

    fn keep_replicas(&self, object: &mut Manifest, kind: &str, said: &mut Vec<String>) {
        let key = (kind.to_owned(), object.name().to_owned());
        let Some(least) = self.floors.get(&key) else {
            return;
        };
        let spec = object.value.get_mut("spec").and_then(Value::as_object_mut);
        if let Some(spec) = spec
            && spec.get("replicas").is_none_or(Value::is_null)
        {
            spec.insert("replicas".to_owned(), Value::from(*least));
            said.push(format!(
                "{least} replicas, the least that its autoscaler would give"
            ));
        }
    }
}

fn service(value: &mut Value, said: &mut Vec<String>) {
    let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    let kind = spec
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("ClusterIP")
        .to_owned();
    if kind == "LoadBalancer" {
        spec.insert("type".to_owned(), Value::from("ClusterIP"));
        said.push("type LoadBalancer became ClusterIP".to_owned());
    }
    let balanced = BALANCER_FIELDS
        .iter()
        .filter(|field| spec.contains_key(**field));
    let gone: Vec<&str> = balanced
        .copied()
        .filter(|field| kind == "LoadBalancer" || *field != "externalTrafficPolicy")
        .collect();
    for field in gone.iter().chain(&["healthCheckNodePort"]) {
        spec.shift_remove(*field);
    }
    if let Some(Value::Array(addresses)) = spec.shift_remove("externalIPs")
        && !addresses.is_empty()
    {
        said.push("externalIPs cleared".to_owned());
    }
    // A headless Service stays one.
    let fixed = spec
        .get("clusterIP")
        .and_then(Value::as_str)
        .is_some_and(|ip| !ip.is_empty() && ip != "None");
    if fixed {
        said.push("the fixed clusterIP was cleared".to_owned());
        spec.shift_remove("clusterIP");
        spec.shift_remove("clusterIPs");
    }
    clear_node_ports(spec, said);
}

fn clear_node_ports(spec: &mut Map<String, Value>, said: &mut Vec<String>) {
    let Some(Value::Array(ports)) = spec.get_mut("ports") else {
        return;
    };
    for port in ports.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(number) = port.shift_remove("nodePort")
            && number.as_u64().is_some_and(|number| number > 0)
        {
            said.push(format!("the fixed nodePort {number} was cleared"));
        }
    }
}

fn suspend(value: &mut Value, said: &mut Vec<String>) {
    let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    if spec.get("suspend") != Some(&Value::Bool(true)) {
        spec.insert("suspend".to_owned(), Value::Bool(true));
        said.push("suspended: a copy runs no schedule; kubectl create job --from=cronjob/NAME runs it once".to_owned());
    }
}

/// A volume can be bound by one claim only, and that is the original's.
fn unbind(value: &mut Value, said: &mut Vec<String>) {
    let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    if spec.shift_remove("volumeName").is_some() {
        said.push("volumeName cleared: the copy gets a volume of its own".to_owned());
    }
}

/// A host port can be taken once on each node.
fn free_host_ports(pod: &mut Value, said: &mut Vec<String>) {
    if pod.get("hostNetwork") == Some(&Value::Bool(true)) {
        said.push(
            "uses the network of its node, where the ports of the original may be taken".to_owned(),
        );
        return;
    }
    for list in ["containers[].ports[]", "initContainers[].ports[]"] {
        walk::maps(pod, list, &mut |port| {
            if let Some(number) = port.shift_remove("hostPort")
                && number.as_u64().is_some_and(|number| number > 0)
            {
                said.push(format!("hostPort {number} was cleared"));
            }
        });
    }
}

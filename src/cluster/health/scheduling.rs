//! Why no node takes a pod, read from the scheduler's message.

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;

use crate::cluster::health::{Reason, Trouble};
use crate::manifest::ObjectKey;

/// One thing that keeps a pod from some nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Obstacle {
    /// Too little of a resource: `cpu`, `memory`, `pods`, `ephemeral-storage`, `nvidia.com/gpu`, …
    Resource {
        /// Nodes that have too little.
        nodes: u32,
        /// Of what.
        resource: String,
    },
    /// A taint that the pod does not tolerate.
    Taint {
        /// Nodes that have it.
        nodes: u32,
        /// The taint, as the scheduler prints it.
        taint: String,
    },
    /// The pod's node selector or node affinity.
    NodeAffinity {
        /// Nodes that do not match.
        nodes: u32,
    },
    /// Affinity or anti-affinity to other pods, or topology spread.
    PodAffinity {
        /// Nodes that do not match.
        nodes: u32,
        /// Which rule, in the scheduler's words.
        rule: String,
    },
    /// A host port that is taken.
    HostPort {
        /// Nodes where it is.
        nodes: u32,
    },
    /// A claim without a volume, missing, or bound elsewhere.
    Volume {
        /// The scheduler's words.
        text: String,
    },
    /// Nodes that are cordoned.
    Cordoned {
        /// How many.
        nodes: u32,
    },
    /// There is no node at all.
    NoNodes,
    /// A scheduling gate that nobody has lifted.
    Gate {
        /// The gate's name.
        name: String,
    },
    /// Something else.
    Other {
        /// The scheduler's words.
        text: String,
    },
}

/// Reads `0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {a: b}. preemption: …`.
pub fn parse_scheduler_message(message: &str) -> Vec<Obstacle> {
    let message = message.trim();
    if message.starts_with("no nodes available") {
        return vec![Obstacle::NoNodes];
    }
    let causes = message
        .split_once("nodes are available: ")
        .map_or(message, |(_, causes)| causes);
    // What follows (preemption, resource claims) says nothing new.
    let causes = causes.split(". ").next().unwrap_or(causes);
    split_causes(causes.trim().trim_end_matches('.'))
        .into_iter()
        .map(obstacle)
        .collect()
}

/// Splits at commas that are followed by a count; taints have commas in them.
fn split_causes(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(", ") {
        let rest = &text[at + 2..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && rest[digits..].starts_with(' ') {
            parts.push(&text[start..at]);
            start = at + 2;
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn obstacle(cause: &str) -> Obstacle {
    let cause = cause.trim();
    let (nodes, text) = match cause.split_once(' ') {
        Some((count, text)) if count.bytes().all(|byte| byte.is_ascii_digit()) => {
            (count.parse().unwrap_or(0), text)
        }
        _ => (0, cause),
    };
    let has = |needle: &str| text.contains(needle);
    if let Some(resource) = text.strip_prefix("Insufficient ") {
        let resource = resource.to_owned();
        Obstacle::Resource { nodes, resource }
    } else if has("Too many pods") {
        let resource = "pods".to_owned();
        Obstacle::Resource { nodes, resource }
    } else if has("untolerated taint") {
        let taint = text
            .split_once('{')
            .and_then(|(_, rest)| rest.rsplit_once('}'))
            .map_or(text, |(taint, _)| taint)
            .trim()
            .trim_end_matches(':');
        let taint = taint.to_owned();
        Obstacle::Taint { nodes, taint }
    } else if has("volume") || has("Volume") {
        let text = text.to_owned();
        Obstacle::Volume { text }
    } else if has("node affinity/selector") || has("node selector") {
        Obstacle::NodeAffinity { nodes }
    } else if has("affinity") || has("topology spread") {
        let rule = text
            .trim_start_matches("node(s) ")
            .trim_start_matches("didn't match ")
            .trim_start_matches("didn't satisfy ");
        let rule = rule.to_owned();
        Obstacle::PodAffinity { nodes, rule }
    } else if has("free ports") {
        Obstacle::HostPort { nodes }
    } else if has("were unschedulable") {
        Obstacle::Cordoned { nodes }
    } else {
        let text = text.to_owned();
        Obstacle::Other { text }
    }
}

/// The trouble of a pod that no node takes.
pub(super) fn trouble(key: ObjectKey, pod: &Pod, reason: &str, message: &str) -> Trouble {
    let obstacles = if reason == "SchedulingGated" {
        gates(pod)
    } else {
        parse_scheduler_message(message)
    };
    let told: Vec<_> = obstacles.iter().map(|one| tell(one, pod)).collect();
    let text = if told.is_empty() {
        "no node takes the pod".to_owned()
    } else {
        format!("no node takes the pod: {}", told.join("; "))
    };
    let hint = obstacles.first().map(hint);
    let mut trouble = Trouble::new(Reason::Unschedulable { obstacles }, key, text).detail(message);
    trouble.hint = hint;
    trouble
}

fn gates(pod: &Pod) -> Vec<Obstacle> {
    let gates = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.scheduling_gates.as_ref());
    gates
        .into_iter()
        .flatten()
        .map(|gate| Obstacle::Gate {
            name: gate.name.clone(),
        })
        .collect()
}

fn tell(obstacle: &Obstacle, pod: &Pod) -> String {
    match obstacle {
        Obstacle::Resource { nodes, resource } if resource == "pods" => {
            format!("{} full of pods", on(*nodes))
        }
        Obstacle::Resource { nodes, resource } => {
            let asked = requests(pod, resource);
            let asked = asked.map(|asked| format!(" (it asks for {asked})"));
            let asked = asked.unwrap_or_default();
            format!("not enough {resource} on {}{asked}", count(*nodes))
        }
        Obstacle::Taint { nodes, taint } => {
            format!("taint {taint} on {}", count(*nodes))
        }
        Obstacle::NodeAffinity { nodes } => {
            let node = count(*nodes);
            format!("nodeSelector or node affinity does not match {node}")
        }
        Obstacle::PodAffinity { nodes, rule } => format!("{rule} on {}", count(*nodes)),
        Obstacle::HostPort { nodes } => format!("its host port is taken on {}", count(*nodes)),
        Obstacle::Volume { text } | Obstacle::Other { text } => text.clone(),
        Obstacle::Cordoned { nodes } => format!("{} cordoned", on(*nodes)),
        Obstacle::NoNodes => "the cluster has no nodes".to_owned(),
        Obstacle::Gate { name } => format!("scheduling gate {name} is not lifted"),
    }
}

fn hint(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Resource { resource, .. } => format!(
            "lower resources.requests of {resource}, remove environments that are not used (`dev down`), or add a node"
        ),
        Obstacle::Taint { .. } => "add a toleration, or remove the taint from the node".to_owned(),
        Obstacle::NodeAffinity { .. } => {
            "compare nodeSelector and affinity with `kubectl get nodes --show-labels`".to_owned()
        }
        Obstacle::PodAffinity { .. } => {
            "environments are small: prefer `preferredDuringScheduling…` to `required…`".to_owned()
        }
        Obstacle::HostPort { .. } => "drop hostPort: a Service needs none".to_owned(),
        Obstacle::Volume { .. } => "see the claim: `kubectl describe pvc`".to_owned(),
        Obstacle::Cordoned { .. } => {
            "`kubectl uncordon NODE`, or wait for the maintenance".to_owned()
        }
        Obstacle::NoNodes => "the cluster needs at least one node".to_owned(),
        Obstacle::Gate { .. } => "whoever set the gate must lift it".to_owned(),
        Obstacle::Other { .. } => "see `kubectl describe pod`".to_owned(),
    }
}

/// What the pod asks for of a resource: the containers' requests, as written.
fn requests(pod: &Pod, resource: &str) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let asked: Vec<_> = spec
        .containers
        .iter()
        .filter_map(|container| {
            let requests = container.resources.as_ref()?.requests.as_ref()?;
            requests.get(resource).map(|quantity| quantity.0.as_str())
        })
        .collect();
    (!asked.is_empty()).then(|| asked.join(" + "))
}

fn count(nodes: u32) -> String {
    match nodes {
        0 => "the nodes".to_owned(),
        1 => "1 node".to_owned(),
        more => format!("{more} nodes"),
    }
}

fn on(nodes: u32) -> String {
    match nodes {
        0 => "the nodes are".to_owned(),
        1 => "1 node is".to_owned(),
        more => format!("{more} nodes are"),
    }
}

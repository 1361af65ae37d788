//! PURE: what NetworkPolicies of a base let through, as far as routing depends on it. In doubt something is not let through.
//!
//! Addresses in rules (`ipBlock`) are not followed: only a block of all addresses counts. The policies of other namespaces are not
//! read: what leaves an environment's own pods is its developer's business.

mod advice;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::{Selector, SelectorExt};

use crate::control::ROUTER;
use crate::control::listeners::RANGE;

type Labels = BTreeMap<String, String>;

/// What policies are judged with.
#[derive(Clone, Copy, Debug)]
pub struct Network<'a> {
    /// The base's namespace.
    pub base: &'a str,
    /// The labels of that namespace.
    pub namespace: &'a Labels,
    /// Its NetworkPolicies.
    pub policies: &'a [Arc<NetworkPolicy>],
    /// All its pods, the routers' left out.
    pub pods: &'a [Arc<Pod>],
    /// The labels of the routers' pods, as they will be.
    pub router: &'a Labels,
}

/// Ports of a pod: one with its names in the pod's containers, or the routers' listeners.
#[derive(Clone, Debug)]
struct Ports {
    numbers: RangeInclusive<u16>,
    names: BTreeSet<String>,
}

/// One rule of a policy, the same for both directions.
struct Rule<'a> {
    /// Empty: everybody.
    peers: &'a [NetworkPolicyPeer],
    ports: &'a [NetworkPolicyPort],
}

/// A direction, as policies name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Ingress,
    Egress,
}

impl<'a> Network<'a> {
    /// Why traffic through the routers would be refused, or let through where it was not meant to be, with the rule that is
    /// needed. `pods`: those behind the Service; `targets`: its target ports.
    pub fn refusal(&self, service: &str, pods: &[&Pod], targets: &[IntOrString]) -> Option<String> {
        let listeners = Ports {
            numbers: RANGE,
            names: BTreeSet::new(),
        };
        for pod in pods {
            let labels = labels_of(pod);
            for target in targets {
                let Some(ports) = resolve(pod, target) else {
                    continue;
                };
                if let Some(policy) = self.refused(Way::Ingress, labels, &ports, self.router) {
                    return Some(format!(
                        "NetworkPolicy {policy} refuses the routers at its pods; {}",
                        advice::to_pods(service, self.base, labels, targets, pod)
                    ));
                }
                if let Some(policy) = self.refused(Way::Egress, self.router, &ports, labels) {
                    return Some(format!(
                        "NetworkPolicy {policy} keeps the routers from its pods; {}",
                        advice::from_routers(self.base)
                    ));
                }
                let meant = self.sources(labels, &ports);
                let reachable = self.sources(self.router, &listeners);
                if meant != reachable {
                    return Some(self.sources_differ(service, meant.as_ref(), reachable.as_ref()));
                }
                for client in self.pods {
                    let client = labels_of(client);
                    let direct = self.refused(Way::Egress, client, &ports, labels);
                    let routed = self.refused(Way::Egress, client, &listeners, self.router);
                    if let (None, Some(policy)) = (direct, routed) {
                        return Some(format!(
                            "NetworkPolicy {policy} keeps clients from the routers; {}",
                            advice::to_routers(&policy, self.base)
                        ));
                    }
                }
            }
        }
        // The routers also speak to pods of environments, whose labels nobody knows beforehand.
        let everywhere = Ports {
            numbers: 1..=u16::MAX,
            names: BTreeSet::new(),
        };
        let free = self.rules(Way::Egress, self.router);
        let limited = self.restricts(Way::Egress, self.router);
        if !limited.is_empty()
            && !free
                .iter()
                .any(|rule| rule.is_open() && rule.covers(&everywhere))
        {
            return Some(format!(
                "NetworkPolicy {} keeps the routers from the pods of environments; {}",
                limited.join(", "),
                advice::from_routers(self.base)
            ));
        }
        None
    }

    fn sources_differ(
        &self,
        service: &str,
        meant: Option<&BTreeSet<String>>,
        reachable: Option<&BTreeSet<String>>,
    ) -> String {
        match (meant, reachable) {
            (None, _) => format!(
                "NetworkPolicy {} refuses clients at the routers; {}",
                self.restricts(Way::Ingress, self.router).join(", "),
                advice::open_routers(self.base)
            ),
            (Some(meant), _) => format!(
                "its pods accept only some clients, and the routers do not accept exactly the same ones; {}",
                advice::same_sources(service, self.base, meant)
            ),
        }
    }

    /// The policy that refuses traffic of one end, as seen from `own`; `None`: it is let through.
    fn refused(&self, way: Way, own: &Labels, ports: &Ports, other: &Labels) -> Option<String> {
        let restricting = self.restricts(way, own);
        if restricting.is_empty() {
            return None;
        }
        // For both directions the ports are those of the receiving end.
        let allowed = self.rules(way, own).iter().any(|rule| {
            rule.covers(ports)
                && (rule.is_open() || rule.peers.iter().any(|peer| self.is_peer(peer, other)))
        });
        (!allowed).then(|| restricting.join(", "))
    }

    /// Who may reach pods with these labels there, the routers left out; `None`: everybody.
    fn sources(&self, own: &Labels, ports: &Ports) -> Option<BTreeSet<String>> {
        if self.restricts(Way::Ingress, own).is_empty() {
            return None;
        }
        let rules = self.rules(Way::Ingress, own);
        let mut sources = BTreeSet::new();
        for rule in rules.iter().filter(|rule| rule.covers(ports)) {
            if rule.is_open() {
                return None;
            }
            let only_router = |peer: &&NetworkPolicyPeer| {
                let labels = peer.pod_selector.as_ref();
                labels
                    .and_then(|selector| selector.match_labels.as_ref())
                    .is_some_and(|labels| labels.values().any(|value| value == ROUTER))
            };
            let peers = rule.peers.iter().filter(|peer| !only_router(peer));
            sources.extend(peers.map(|peer| serde_json::to_string(peer).unwrap_or_default()));
        }
        Some(sources)
    }

    /// The names of the policies that restrict this way of pods with these labels.
    fn restricts(&self, way: Way, own: &Labels) -> Vec<String> {
        let policies = self
            .policies
            .iter()
            .filter(|policy| applies(policy, way, own));
        policies
            .filter_map(|policy| policy.metadata.name.clone())
            .collect()
    }

    fn rules(&self, way: Way, own: &Labels) -> Vec<Rule<'a>> {
        let policies = self
            .policies
            .iter()
            .filter(|policy| applies(policy, way, own));
        policies.flat_map(|policy| rules_of(policy, way)).collect()
    }

    /// Whether a peer is, or includes, a pod of the base with these labels.
    fn is_peer(&self, peer: &NetworkPolicyPeer, labels: &Labels) -> bool {
        if peer.ip_block.is_some() {
            return false;
        }
        let namespace = match &peer.namespace_selector {
            None => true,
            Some(selector) => {
                let mut known = self.namespace.clone();
                known.insert("kubernetes.io/metadata.name".into(), self.base.to_owned());
                selects(Some(selector), &known)
            }
        };
        namespace
            && peer
                .pod_selector
                .as_ref()
                .is_none_or(|selector| selects(Some(selector), labels))
    }
}

impl Rule<'_> {
    /// Whether it is for everybody.
    fn is_open(&self) -> bool {
        let all = |peer: &NetworkPolicyPeer| {
            peer.ip_block.as_ref().is_some_and(|block| {
                block.cidr == "0.0.0.0/0" && block.except.as_ref().is_none_or(Vec::is_empty)
            })
        };
        self.peers.is_empty() || self.peers.iter().any(all)
    }

    /// Whether it is for all of these ports.
    fn covers(&self, ports: &Ports) -> bool {
        let tcp = |port: &&NetworkPolicyPort| {
            port.protocol
                .as_deref()
                .is_none_or(|protocol| protocol == "TCP")
        };
        self.ports.is_empty()
            || self.ports.iter().filter(tcp).any(|port| match &port.port {
                None => true,
                Some(IntOrString::String(name)) => ports.names.contains(name),
                Some(IntOrString::Int(first)) => {
                    let last = port.end_port.unwrap_or(*first);
                    *first <= i32::from(*ports.numbers.start())
                        && i32::from(*ports.numbers.end()) <= last
                }
            })
    }
}

fn applies(policy: &NetworkPolicy, way: Way, own: &Labels) -> bool {
    let Some(spec) = &policy.spec else {
        return false;
    };
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let named = |name: &str| types.iter().any(|one| one == name);
    let this_way = match way {
        Way::Ingress => types.is_empty() || named("Ingress"),
        Way::Egress => named("Egress") || (types.is_empty() && spec.egress.is_some()),
    };
    this_way && selects(spec.pod_selector.as_ref(), own)
}

fn rules_of(policy: &NetworkPolicy, way: Way) -> Vec<Rule<'_>> {
    let Some(spec) = &policy.spec else {
        return Vec::new();
    };
    match way {
        Way::Ingress => spec
            .ingress
            .iter()
            .flatten()
            .map(|rule| Rule {
                peers: rule.from.as_deref().unwrap_or_default(),
                ports: rule.ports.as_deref().unwrap_or_default(),
            })
            .collect(),
        Way::Egress => spec
            .egress
            .iter()
            .flatten()
            .map(|rule| Rule {
                peers: rule.to.as_deref().unwrap_or_default(),
                ports: rule.ports.as_deref().unwrap_or_default(),
            })
            .collect(),
    }
}

/// Without a selector everything is selected; one that cannot be read selects everything too, to be careful.
pub fn selects(selector: Option<&LabelSelector>, labels: &Labels) -> bool {
    selector.is_none_or(|selector| {
        Selector::try_from(selector.clone()).map_or(true, |selector| selector.matches(labels))
    })
}

fn labels_of(pod: &Pod) -> &Labels {
    static NONE: Labels = Labels::new();
    pod.metadata.labels.as_ref().unwrap_or(&NONE)
}

/// A target port as a number; `None` where the pod has no port of this name, so nothing arrives there.
fn resolve(pod: &Pod, target: &IntOrString) -> Option<Ports> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let declared: Vec<_> = containers
        .flat_map(|container| container.ports.iter().flatten())
        .collect();
    let number = match target {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => declared
            .iter()
            .find(|port| port.name.as_deref() == Some(name))
            .map(|port| port.container_port)?,
    };
    let names = declared
        .iter()
        .filter(|port| port.container_port == number)
        .filter_map(|port| port.name.clone());
    let number = u16::try_from(number).ok()?;
    Some(Ports {
        numbers: number..=number,
        names: names.collect(),
    })
}

#[cfg(test)]
mod tests;

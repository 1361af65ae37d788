//! PURE: the part of a Service that routing changes, and how what somebody else wrote is told from what was put there.
//!
//! A routed Service selects the routers by the KEYS of its owner's selector, each with the value `dev-router`. A three-way
//! merge by the owner (`kubectl apply`, Helm) then changes every key back, and a server-side apply replaces the selector as a
//! whole: neither leaves a mixture. Keys that the routers' pods need otherwise are left out: a merge adds them again.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};

use crate::control::ROUTER;
use crate::control::listeners::{self, Listeners};
use crate::manifest::labels;

/// Labels that the routers' pods carry with a value of their own: `dev` writes the first, their Deployment's controller the second.
const RESERVED: [&str; 2] = [labels::MANAGED_BY, "pod-template-hash"];

/// Which pods a Service selects, and its ports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    /// `spec.selector`.
    pub selector: BTreeMap<String, String>,
    /// `spec.ports`, in their order.
    pub ports: Vec<ServicePort>,
}

/// How much of a Service's selector and ports is the routers'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// All of it: it is routed.
    All,
    /// A mixture, which may select nothing: somebody else wrote to a routed Service.
    Some,
    /// None: it is as its owner wrote it.
    None,
}

impl Routing {
    /// That of a Service as it is.
    pub fn of(service: &Service) -> Self {
        let spec = service.spec.clone().unwrap_or_default();
        Self {
            selector: spec.selector.unwrap_or_default(),
            ports: spec.ports.unwrap_or_default(),
        }
    }

    /// Whether both are the same for routing: node ports are the API server's business.
    pub fn same(&self, other: &Self) -> bool {
        let bare = |port: &ServicePort| ServicePort {
            node_port: None,
            ..port.clone()
        };
        self.selector == other.selector
            && self.ports.iter().map(bare).eq(other.ports.iter().map(bare))
    }

    /// What it becomes when the routers answer on these ports.
    pub fn routed(&self, listeners: &Listeners) -> Self {
        let ports = self.ports.iter().map(|port| ServicePort {
            target_port: listeners
                .get(&listeners::key(port))
                .map(|listener| IntOrString::Int(i32::from(*listener)))
                .or_else(|| port.target_port.clone()),
            ..port.clone()
        });
        Self {
            selector: router_labels(self.selector.keys()),
            ports: ports.collect(),
        }
    }

    /// What the owner means by a Service that is, or was, routed: whatever is the routers' is put back to the original, everything
    /// else is as somebody wrote it.
    pub fn owners(&self, original: &Self, listeners: &Listeners) -> Self {
        let mut selector = self.selector.clone();
        if self.selects_some_router(original) {
            for (key, value) in &original.selector {
                match selector.get(key).map(String::as_str) {
                    Some(ROUTER) => {}
                    // Left out when it was routed, and not by its owner.
                    None if RESERVED.contains(&key.as_str()) => {}
                    Some(_) | None => continue,
                }
                selector.insert(key.clone(), value.clone());
            }
            // A router's label that the original does not know is of no use to anybody.
            selector.retain(|key, value| value != ROUTER || original.selector.contains_key(key));
        }
        let ports = self.ports.iter().map(|port| ServicePort {
            target_port: match listener_of(port, listeners) {
                Some(before) => original
                    .ports
                    .iter()
                    .find(|port| listeners::key(port) == before)
                    .and_then(|port| port.target_port.clone())
                    // The port itself is what a target port is by default.
                    .or(Some(IntOrString::Int(port.port))),
                None => port.target_port.clone(),
            },
            ..port.clone()
        });
        Self {
            ports: ports.collect(),
            selector,
        }
    }

    /// How much of it is the routers'.
    pub fn marks(&self, original: &Self, listeners: &Listeners) -> Marks {
        let routed = original.routed(listeners);
        if !routed.selector.is_empty() && self.same(&routed) {
            return Marks::All;
        }
        let some_port = self
            .ports
            .iter()
            .any(|port| listener_of(port, listeners).is_some());
        if some_port || self.selects_some_router(original) {
            Marks::Some
        } else {
            Marks::None
        }
    }

    /// Whether a label of its selector is the routers' and not the owner's.
    pub fn selects_some_router(&self, original: &Self) -> bool {
        self.selector.iter().any(|(key, value)| {
            value == ROUTER
                && original
                    .selector
                    .get(key)
                    .is_none_or(|before| before != ROUTER)
        })
    }
}

/// The labels by which the routers are selected in place of a selector with these keys. Empty when they can carry none of them.
pub fn router_labels<'a>(keys: impl Iterator<Item = &'a String>) -> BTreeMap<String, String> {
    keys.filter(|key| !RESERVED.contains(&key.as_str()))
        .map(|key| (key.clone(), ROUTER.to_owned()))
        .collect()
}

/// The port (as in [`Listeners`]) on whose listener this one ends.
fn listener_of<'a>(port: &ServicePort, listeners: &'a Listeners) -> Option<&'a str> {
    let Some(IntOrString::Int(number)) = port.target_port else {
        return None;
    };
    let found = listeners
        .iter()
        .find(|(_, listener)| i32::from(**listener) == number)?;
    Some(found.0)
}

#[cfg(test)]
mod tests;

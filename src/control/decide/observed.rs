//! What is decided upon.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use serde::{Deserialize, Serialize};

use crate::control::listeners::Listeners;

/// Everything that a decision depends on. Only to be made when all of it was read at least once.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The base's Services by name, without shadows.
    pub services: BTreeMap<String, Arc<Service>>,
    /// The shadows, by the name of the Service that they stand for.
    pub shadows: BTreeMap<String, Arc<Service>>,
    /// The pods behind Services, by the name of the Service (shadows too).
    pub backends: BTreeMap<String, Backends>,
    /// Services that an admitted environment overrides.
    pub wanted: BTreeSet<String>,
    /// Whether the base has an admission list, and nobody asked for everything to be taken away.
    pub admitted: bool,
    /// Why Services cannot be routed, for those that cannot. Judged as if they were not routed.
    pub refusals: BTreeMap<String, String>,
    /// The routers' pods.
    pub routers: Vec<Router>,
    /// Their Deployment; `None`: there is none.
    pub template: Option<Template>,
    /// Ports of the routers that shadows have which are being written: nothing else shows them yet.
    pub reserved: BTreeSet<u16>,
}

/// What the routers' Deployment says about their pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Labels of its pods.
    pub labels: BTreeMap<String, String>,
    /// How many there should be.
    pub replicas: usize,
}

/// Addresses behind a Service, from its EndpointSlices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backends {
    /// Those that are ready.
    pub ready: BTreeSet<IpAddr>,
    /// All of them.
    pub all: BTreeSet<IpAddr>,
}

/// A router's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Router {
    /// The pod's name.
    pub pod: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is ready and not about to end.
    pub ready: bool,
    /// What Envoy has acknowledged, by Service, as far as it was asked.
    pub acked: BTreeMap<String, Acked>,
}

/// What Envoy has acknowledged of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acked {
    /// By the Service's port number.
    #[serde(default)]
    pub ports: BTreeMap<u16, AckedPort>,
}

/// What Envoy has acknowledged of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckedPort {
    /// The port that it listens on.
    pub listener: u16,
    /// How many addresses of the base's pods it has; `None` where the router does not tell.
    #[serde(default)]
    pub base: Option<usize>,
}

impl Observed {
    /// The addresses behind a Service.
    pub(super) fn backends(&self, name: &str) -> Backends {
        self.backends.get(name).cloned().unwrap_or_default()
    }
}

impl Router {
    /// Whether a Service with this selector reaches it.
    pub(super) fn has(&self, selector: &BTreeMap<String, String>) -> bool {
        carries(&self.labels, selector)
    }

    /// Whether Envoy listens for this Service as it should. `some_base`: it has pods, which Envoy must know too.
    pub(super) fn acknowledged(
        &self,
        service: &str,
        listeners: &Listeners,
        some_base: bool,
    ) -> bool {
        let Some(acked) = self.acked.get(service) else {
            return false;
        };
        listeners.iter().all(|(key, listener)| {
            let port = key.split('/').next().and_then(|port| port.parse().ok());
            port.and_then(|port: u16| acked.ports.get(&port))
                .is_some_and(|port| {
                    port.listener == *listener && !(some_base && port.base == Some(0))
                })
        })
    }
}

/// Whether labels satisfy a selector.
pub(super) fn carries(
    labels: &BTreeMap<String, String>,
    selector: &BTreeMap<String, String>,
) -> bool {
    selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

//! PURE: what a router says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::state::Known;
use crate::router::ads::{Acked, Kind};
use crate::router::envoy::names;
use crate::router::model::{Protocol, RoutedPort};

/// One router pod. Fields are only ever added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodStatus {
    /// The pod's name.
    pub pod: String,
    /// Whether it has read the cluster's objects.
    pub synced: bool,
    /// What Envoy has acknowledged, by service of the base.
    pub acked: BTreeMap<String, AckedService>,
    /// What is wrong, one line each.
    pub errors: Vec<String>,
}

/// What Envoy has acknowledged of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckedService {
    /// By port of the Service.
    pub ports: BTreeMap<u16, AckedPort>,
    /// Whether requests to the Service reach the routers.
    pub switched: bool,
}

/// What Envoy has acknowledged of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckedPort {
    /// The port that Envoy listens on.
    pub listener: u16,
    /// How many ready addresses of the base's pods it has.
    pub base: usize,
    /// The environments that it leads to their own versions, with how many ready addresses each has.
    pub envs: BTreeMap<String, usize>,
}

/// What somebody waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) service: Option<String>,
    pub(super) env: Option<String>,
}

impl PodStatus {
    /// The state of this pod.
    pub(super) fn new(pod: &str, known: &Known, acked: &Acked) -> Self {
        let mut services = BTreeMap::new();
        for (service, routed) in &known.table.services {
            let mut ports = BTreeMap::new();
            for (number, port) in &routed.ports {
                if let Some(port) = acked_port(known, acked, service, *number, port) {
                    ports.insert(*number, port);
                }
            }
            if !ports.is_empty() {
                let switched = known.switched.contains(service);
                services.insert(service.clone(), AckedService { ports, switched });
            }
        }
        let mut errors = known.troubles.clone();
        if !acked.connected {
            errors.push("Envoy is not connected".to_owned());
        }
        errors.extend(acked.rejections.iter().map(|rejection| {
            format!(
                "Envoy refuses {} {}: {}",
                rejection.kind.noun(),
                rejection.name,
                rejection.message.trim()
            )
        }));
        Self {
            pod: pod.to_owned(),
            synced: known.synced,
            acked: services,
            errors,
        }
    }

    /// A pod that says nothing.
    pub(super) fn silent(pod: &str, why: String) -> Self {
        Self {
            pod: pod.to_owned(),
            errors: vec![why],
            ..Self::default()
        }
    }

    /// Whether it is as somebody wants it: Envoy serves the service; where an environment is named, its requests reach the routers, and
    /// are led to something ready.
    pub(super) fn holds(&self, wanted: &Wanted) -> bool {
        let Some(service) = &wanted.service else {
            return self.synced;
        };
        let Some(acked) = self.acked.get(service).filter(|_| self.synced) else {
            return false;
        };
        match &wanted.env {
            None => true,
            Some(env) => {
                let mut ports = acked.ports.values();
                acked.switched && ports.any(|port| port.envs.get(env).is_some_and(|it| *it > 0))
            }
        }
    }
}

/// `None`: Envoy does not serve the port as it should.
fn acked_port(
    known: &Known,
    acked: &Acked,
    service: &str,
    number: u16,
    port: &RoutedPort,
) -> Option<AckedPort> {
    let has = |kind: Kind, name: &str| {
        let wanted = kind.of(&known.snapshot).get(name);
        wanted.is_some_and(|wanted| acked.has(kind, name, wanted))
    };
    let name = names::service(service, number);
    if !has(Kind::Listeners, &name) {
        return None;
    }
    let has_version = |cluster: &str| has(Kind::Clusters, cluster) && has(Kind::Endpoints, cluster);
    let mut envs = BTreeMap::new();
    match port.protocol {
        // Without any routes the listener is not open yet.
        Protocol::Http => {
            acked.version(Kind::Routes, &name)?;
            if has(Kind::Routes, &name) {
                for (env, version) in &port.overrides {
                    if has_version(&names::environment(env, service, number)) {
                        envs.insert(env.clone(), version.endpoints.len());
                    }
                }
            }
        }
        Protocol::Tcp => {}
    }
    let base = if has_version(&names::base(service, number)) {
        port.base.len()
    } else {
        0
    };
    Some(AckedPort {
        listener: port.listener,
        base,
        envs,
    })
}

#[cfg(test)]
mod tests;

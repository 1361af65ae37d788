//! PURE: from the cluster's objects to the route table.
//!
//! The objects may come in any order, and more of them than needed. What cannot stand is left out and reported; the rest
//! is served.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use k8s_openapi::api::core::v1::{ConfigMap, Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::manifest::labels;
use crate::router::admission::Admission;
use crate::router::endpoints::{self, Whose};
use crate::router::model::{
    Edge, Entry, Env, Override, Problem, Protocol, RoutedPort, RoutedService, Table,
};
use crate::router::protocol::{is_tcp, spoken};
use crate::router::shadow::Shadow;

/// The value of `spec.type` of a Service that is only a name for another one.
const EXTERNAL_NAME: &str = "ExternalName";
/// The value of the annotation [`labels::FALLBACK`] that lets the base answer.
const FALLBACK_BASE: &str = "base";

/// What is known of the cluster. Objects of other namespaces than the base's and its environments' do no harm.
#[derive(Clone, Debug, Default)]
pub struct Objects<'a> {
    /// The base's namespace.
    pub base: &'a str,
    /// Its ConfigMap `dev-admission`.
    pub admission: Option<&'a ConfigMap>,
    /// Services of the base (shadows among them) and of environments.
    pub services: Vec<&'a Service>,
    /// EndpointSlices of the base and of environments.
    pub slices: Vec<&'a EndpointSlice>,
}

/// The table, and what is left out of it.
pub fn table(objects: &Objects<'_>) -> (Table, Vec<Problem>) {
    let empty = BTreeMap::new();
    let data = objects.admission.and_then(|map| map.data.as_ref());
    let (admission, problems) = Admission::read(objects.base, data.unwrap_or(&empty));
    let mut maker = Maker {
        base: objects.base,
        services: by_name(&objects.services),
        slices: endpoints::by_service(&objects.slices),
        admission: &admission,
        problems,
    };
    let shadows = maker.shadows();
    let services = maker.routed(&shadows);
    let edge = admission.edge.as_ref();
    let edge = edge.map(|edge| maker.entry(edge, shadows.get(edge.service.as_str())));
    let table = Table {
        base: objects.base.to_owned(),
        services,
        environments: admission
            .environments
            .iter()
            .map(|it| it.env.clone())
            .collect(),
        edge,
    };
    let mut problems = maker.problems;
    problems.sort();
    problems.dedup();
    (table, problems)
}

/// Namespace and name.
type Key<'a> = (&'a str, &'a str);

struct Maker<'a> {
    base: &'a str,
    services: BTreeMap<Key<'a>, &'a Service>,
    slices: HashMap<Key<'a>, Vec<&'a EndpointSlice>>,
    admission: &'a Admission,
    problems: Vec<Problem>,
}

impl<'a> Maker<'a> {
    /// The shadows by the Service that they stand for.
    fn shadows(&mut self) -> BTreeMap<&'a str, Shadow<'a>> {
        let mut shadows: BTreeMap<&str, Shadow<'_>> = BTreeMap::new();
        for (&(namespace, name), service) in &self.services {
            if namespace != self.base {
                continue;
            }
            let about = || format!("Service {namespace}/{name}");
            match Shadow::read(name, service) {
                None => {}
                Some(Err(what)) => self.problems.push(Problem::new(about(), what)),
                Some(Ok(shadow)) => match shadows.get(shadow.of) {
                    Some(first) => self.problems.push(Problem::new(
                        about(),
                        format!("is a second shadow of {}; {} counts", shadow.of, first.name),
                    )),
                    None => {
                        shadows.insert(shadow.of, shadow);
                    }
                },
            }
        }
        shadows
    }

    fn routed(
        &mut self,
        shadows: &BTreeMap<&'a str, Shadow<'a>>,
    ) -> BTreeMap<String, RoutedService> {
        let mut taken: BTreeMap<u16, (&str, u16)> = BTreeMap::new();
        let mut services = BTreeMap::new();
        // Of two with one listener it is that of the Service whose requests come here already. Stable: then names decide.
        let mut shadows: Vec<_> = shadows.iter().collect();
        shadows.sort_by_key(|(service, _)| !self.is_switched(service));
        for (service, shadow) in shadows {
            let mut ports = BTreeMap::new();
            for (number, listener) in &shadow.listeners {
                let about = || format!("Service {}/{}", self.base, shadow.name);
                let Some((port, protocol)) = shadow.port(*number) else {
                    self.problems.push(Problem::new(
                        about(),
                        format!("has no TCP port {number}, for which it has a listener"),
                    ));
                    continue;
                };
                if let Some((other, port)) = taken.insert(*listener, (service, *number)) {
                    taken.insert(*listener, (other, port));
                    self.problems.push(Problem::new(
                        about(),
                        format!("port {number}: listener port {listener} is taken by {other}, port {port}"),
                    ));
                    continue;
                }
                let base = self.base_endpoints(shadow.name, port);
                let overrides = match protocol {
                    Protocol::Http => self.overrides(service, port),
                    Protocol::Tcp => BTreeMap::new(),
                };
                let routed = RoutedPort {
                    listener: *listener,
                    protocol,
                    base,
                    overrides,
                };
                ports.insert(*number, routed);
            }
            services.insert((*service).to_owned(), RoutedService { ports });
        }
        services
    }

    /// Whether a Service of the base leads to the routers.
    fn is_switched(&self, service: &str) -> bool {
        let service = self.services.get(&(self.base, service));
        service.is_some_and(|service| annotation(service, labels::RESTORE).is_some())
    }

    /// The entry from outside. What is missing leaves it without endpoints: it stands, and says so to whoever asks.
    fn entry(&mut self, edge: &Edge, shadow: Option<&Shadow<'a>>) -> Entry {
        let name = edge.service.as_str();
        let about = || format!("the entry from outside, Service {}/{name}", self.base);
        let service = self.services.get(&(self.base, name)).copied();
        let mut entry = Entry {
            edge: edge.clone(),
            base: BTreeSet::new(),
            overrides: BTreeMap::new(),
        };
        let (of, ports) = match (shadow, service) {
            (Some(shadow), _) => (shadow.name, shadow.ports),
            (None, None) => {
                self.problems
                    .push(Problem::new(about(), "there is no such Service"));
                return entry;
            }
            // It selects the routers: they would go round in circles.
            (None, Some(service)) if annotation(service, labels::RESTORE).is_some() => {
                self.problems
                    .push(Problem::new(about(), "is routed, but has no shadow"));
                return entry;
            }
            (None, Some(service)) => (name, ports(service)),
        };
        match ports.iter().find(|port| is_port(port, edge.port)) {
            Some(port) => {
                entry.base = self.base_endpoints(of, port);
                entry.overrides = self.overrides(name, port);
            }
            None => {
                let what = format!("has no TCP port {}", edge.port);
                self.problems.push(Problem::new(about(), what));
            }
        }
        entry
    }

    fn base_endpoints(&self, service: &str, port: &ServicePort) -> BTreeSet<SocketAddr> {
        self.endpoints((self.base, service), port, Whose::Base)
    }

    /// The environments' versions of a port of a Service of the base.
    fn overrides(&mut self, service: &str, port: &ServicePort) -> BTreeMap<Env, Override> {
        let mut overrides = BTreeMap::new();
        for admitted in &self.admission.environments {
            let namespace = admitted.namespace.as_str();
            let Some(own) = self.services.get(&(namespace, service)).copied() else {
                continue;
            };
            if own.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some(EXTERNAL_NAME) {
                continue;
            }
            let about = || format!("Service {namespace}/{service}");
            let fallback = match annotation(own, labels::FALLBACK) {
                None => false,
                Some(FALLBACK_BASE) => true,
                Some(other) => {
                    let what = format!(
                        "annotation {}: {other:?} is not known, expected {FALLBACK_BASE:?}",
                        labels::FALLBACK
                    );
                    self.problems.push(Problem::new(about(), what));
                    false
                }
            };
            let endpoints = match counterpart(ports(own), port) {
                Some(port) => {
                    self.endpoints((namespace, service), port, Whose::Environment(namespace))
                }
                None => {
                    let what = format!("has no TCP port {}, which the base has", port.port);
                    self.problems.push(Problem::new(about(), what));
                    BTreeSet::new()
                }
            };
            let version = Override {
                namespace: namespace.to_owned(),
                endpoints,
                fallback,
            };
            overrides.insert(admitted.env.clone(), version);
        }
        overrides
    }

    fn endpoints(&self, of: Key<'_>, port: &ServicePort, whose: Whose<'_>) -> BTreeSet<SocketAddr> {
        let slices = self.slices.get(&of).map_or(&[][..], Vec::as_slice);
        endpoints::ready(slices, port.name.as_deref().unwrap_or_default(), whose)
    }
}

fn by_name<'a>(services: &[&'a Service]) -> BTreeMap<Key<'a>, &'a Service> {
    let key = |service: &'a Service| {
        let namespace = service.metadata.namespace.as_deref()?;
        Some(((namespace, service.metadata.name.as_deref()?), service))
    };
    services.iter().filter_map(|service| key(service)).collect()
}

fn ports(service: &Service) -> &[ServicePort] {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref());
    ports.unwrap_or_default()
}

fn annotation<'a>(service: &'a Service, key: &str) -> Option<&'a str> {
    let annotations = service.metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

fn is_port(port: &ServicePort, number: u16) -> bool {
    port.port == i32::from(number) && spoken(port).is_some()
}

/// The port of an environment's Service that stands for one of the base's: that of the same number, else of the same name.
fn counterpart<'a>(ports: &'a [ServicePort], of: &ServicePort) -> Option<&'a ServicePort> {
    let tcp = || ports.iter().filter(|port| is_tcp(port.protocol.as_deref()));
    tcp()
        .find(|port| port.port == of.port)
        .or_else(|| tcp().find(|port| port.name.is_some() && port.name == of.name))
}

#[cfg(test)]
mod tests;

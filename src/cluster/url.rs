//! PURE: where a service answers, from the objects of its environment.

mod entry;

pub use entry::{Entry, SERVICES as ROUTERS};

use k8s_openapi::api::core::v1::{Node, Service, ServicePort};
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend};
use serde::Serialize;
use serde_json::Value;

use crate::cluster::pods;

/// One address of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Url {
    /// Such as `https://ann.example.com/shop`. Ports that speak no known protocol are `tcp://`.
    pub url: String,
    /// How it gets there.
    pub via: Via,
    /// Whether it can only be reached from inside the cluster.
    pub inside: bool,
}

/// What leads to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Via {
    /// An Ingress.
    Ingress {
        /// Its name.
        name: String,
    },
    /// An HTTPRoute of the Gateway API.
    HttpRoute {
        /// Its name.
        name: String,
    },
    /// The Service's load balancer.
    LoadBalancer {
        /// The Service's name.
        service: String,
    },
    /// A port of every node.
    NodePort {
        /// The Service's name.
        service: String,
    },
    /// The routers of the base, by the host that is the environment's.
    Routers {
        /// The base's namespace.
        base: String,
        /// What the host's name must lead to, where no name of the DNS does.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// The Service's name in the cluster's DNS.
    Cluster {
        /// The Service's name.
        service: String,
    },
}

impl std::fmt::Display for Via {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ingress { name } => write!(f, "Ingress {name}"),
            Self::HttpRoute { name } => write!(f, "HTTPRoute {name}"),
            Self::LoadBalancer { .. } => f.write_str("load balancer"),
            Self::NodePort { .. } => f.write_str("node port"),
            Self::Routers {
                base,
                address: Some(address),
            } => write!(f, "routers of {base} at {address}"),
            Self::Routers {
                base,
                address: None,
            } => write!(f, "routers of {base}"),
            Self::Cluster { .. } => f.write_str("inside the cluster only"),
        }
    }
}

/// What addresses are read from. All but nodes are of one namespace; Gateways are those that its routes refer to.
#[derive(Clone, Debug, Default)]
pub struct Exposed {
    /// Services.
    pub services: Vec<Service>,
    /// Ingresses.
    pub ingresses: Vec<Ingress>,
    /// `gateway.networking.k8s.io` HTTPRoutes.
    pub routes: Vec<Value>,
    /// `gateway.networking.k8s.io` Gateways.
    pub gateways: Vec<Value>,
    /// Nodes.
    pub nodes: Vec<Node>,
}

impl Exposed {
    /// Where the service answers, the best address for a person first; hosts of Ingresses without a controller last. Addresses from outside come before those inside, which are
    /// only told where there is no other. Empty for a service without a Service object.
    pub fn urls(&self, service: &str, env: &str) -> Vec<Url> {
        let own = self.services_of(service, env);
        let names: Vec<&str> = own
            .iter()
            .filter_map(|one| one.metadata.name.as_deref())
            .collect();
        let mut urls = Vec::new();
        // An Ingress without an address is served by no controller: what else there is comes before it.
        let mut unserved = Vec::new();
        for ingress in &self.ingresses {
            let served = address_of(ingress).is_some();
            ingress_urls(
                ingress,
                &names,
                if served { &mut urls } else { &mut unserved },
            );
        }
        for route in &self.routes {
            self.route_urls(route, &names, &mut urls);
        }
        for one in &own {
            balancer_urls(one, &mut urls);
        }
        for one in &own {
            self.node_port_urls(one, &mut urls);
        }
        if urls.is_empty() {
            for one in &own {
                cluster_urls(one, &mut urls);
            }
        }
        urls.extend(unserved);
        let mut seen = std::collections::HashSet::new();
        urls.retain(|url| seen.insert(url.url.clone()));
        urls
    }

    /// The Services that `dev` labelled with the service, else the one of its name.
    fn services_of(&self, service: &str, env: &str) -> Vec<&Service> {
        let labelled = pods::services_of(&self.services, service, env);
        if !labelled.is_empty() {
            return labelled;
        }
        let named = |one: &&Service| one.metadata.name.as_deref() == Some(service);
        self.services.iter().filter(named).collect()
    }

    fn route_urls(&self, route: &Value, services: &[&str], urls: &mut Vec<Url>) {
        let rules = list(&route["spec"]["rules"]);
        let mut paths = Vec::new();
        for rule in rules {
            let leads = list(&rule["backendRefs"]).iter().any(|backend| {
                let kind = backend["kind"].as_str().unwrap_or("Service");
                let name = backend["name"].as_str().unwrap_or_default();
                kind == "Service" && services.contains(&name)
            });
            if leads {
                let matches = list(&rule["matches"]);
                let path = matches
                    .iter()
                    .find_map(|one| match one["path"]["type"].as_str() {
                        Some("RegularExpression") => None,
                        _ => one["path"]["value"].as_str(),
                    });
                paths.push(path.unwrap_or("/"));
            }
        }
        let name = route["metadata"]["name"].as_str().unwrap_or_default();
        for parent in list(&route["spec"]["parentRefs"]) {
            let Some(listener) = self.listener(route, parent) else {
                continue;
            };
            let hosts = list(&route["spec"]["hostnames"]);
            let mut hosts: Vec<&str> = hosts.iter().filter_map(Value::as_str).collect();
            if hosts.is_empty() {
                hosts.extend(listener.hosts.iter().map(String::as_str));
            }
            for host in hosts {
                for path in &paths {
                    urls.push(Url {
                        url: address(listener.scheme, host, Some(listener.port), path),
                        via: Via::HttpRoute {
                            name: name.to_owned(),
                        },
                        inside: false,
                    });
                }
            }
        }
    }

    fn listener(&self, route: &Value, parent: &Value) -> Option<Listener> {
        let namespace = parent["namespace"]
            .as_str()
            .or_else(|| route["metadata"]["namespace"].as_str());
        let gateway = self.gateways.iter().find(|one| {
            let meta = &one["metadata"];
            meta["name"] == parent["name"] && meta["namespace"].as_str() == namespace
        })?;
        let listeners = list(&gateway["spec"]["listeners"]);
        let section = parent["sectionName"].as_str();
        let mut usable: Vec<_> = listeners
            .iter()
            .filter(|one| section.is_none() || one["name"].as_str() == section)
            .filter(|one| matches!(one["protocol"].as_str(), Some("HTTP" | "HTTPS")))
            .collect();
        // Of two ways in, the encrypted one.
        usable.sort_by_key(|one| one["protocol"].as_str() != Some("HTTPS"));
        let found = usable.first()?;
        let scheme = if found["protocol"] == "HTTPS" {
            "https"
        } else {
            "http"
        };
        let own_host = found["hostname"]
            .as_str()
            .filter(|host| !host.starts_with('*'));
        let addresses = list(&gateway["status"]["addresses"]);
        let addresses = addresses.iter().filter_map(|one| one["value"].as_str());
        let hosts = own_host.into_iter().chain(addresses).map(str::to_owned);
        Some(Listener {
            scheme,
            port: found["port"]
                .as_i64()
                .and_then(|port| i32::try_from(port).ok())?,
            hosts: hosts.take(1).collect(),
        })
    }

    fn node_port_urls(&self, service: &Service, urls: &mut Vec<Url>) {
        let Some(spec) = &service.spec else { return };
        let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
        let balanced = !balancer_hosts(service).is_empty();
        if !(kind == "NodePort" || kind == "LoadBalancer" && !balanced) {
            return;
        }
        let Some(host) = self.node_address() else {
            return;
        };
        for port in tcp_ports(service) {
            if let Some(number) = port.node_port {
                urls.push(Url {
                    url: address(scheme(port), host, Some(number), ""),
                    via: Via::NodePort {
                        service: name_of(service),
                    },
                    inside: false,
                });
            }
        }
    }

    /// The address of a ready node: an external one before an internal one.
    fn node_address(&self) -> Option<&str> {
        let ready = self.nodes.iter().filter(|node| {
            let conditions = node
                .status
                .as_ref()
                .and_then(|status| status.conditions.as_ref());
            conditions
                .into_iter()
                .flatten()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        });
        let addresses = ready.flat_map(|node| {
            let status = node.status.as_ref();
            status
                .into_iter()
                .flat_map(|status| status.addresses.iter().flatten())
        });
        let found = addresses
            .filter(|one| matches!(one.type_.as_str(), "ExternalIP" | "InternalIP"))
            .min_by_key(|one| one.type_ != "ExternalIP")?;
        Some(found.address.as_str())
    }
}

struct Listener {
    scheme: &'static str,
    port: i32,
    hosts: Vec<String>,
}

/// The address that the controller of an Ingress has written to it.
fn address_of(ingress: &Ingress) -> Option<String> {
    let status = ingress.status.as_ref()?;
    let first = status.load_balancer.as_ref()?.ingress.as_ref()?.first()?;
    first.hostname.clone().or_else(|| first.ip.clone())
}

fn ingress_urls(ingress: &Ingress, services: &[&str], urls: &mut Vec<Url>) {
    let Some(spec) = &ingress.spec else { return };
    let name = ingress.metadata.name.clone().unwrap_or_default();
    let leads = |backend: &IngressBackend| {
        let service = backend.service.as_ref();
        service.is_some_and(|service| services.contains(&service.name.as_str()))
    };
    let balancer = address_of(ingress);
    let mut add = |host: Option<&str>, path: &str| {
        let Some(host) = host.map(str::to_owned).or_else(|| balancer.clone()) else {
            return;
        };
        let encrypted = spec.tls.iter().flatten().any(|tls| {
            let hosts = tls.hosts.as_deref().unwrap_or_default();
            hosts.is_empty() || hosts.iter().any(|one| covers(one, &host))
        });
        urls.push(Url {
            url: address(if encrypted { "https" } else { "http" }, &host, None, path),
            via: Via::Ingress { name: name.clone() },
            inside: false,
        });
    };
    for rule in spec.rules.iter().flatten() {
        for path in rule.http.iter().flat_map(|http| &http.paths) {
            if leads(&path.backend) {
                // Of a regular expression only the beginning is an address.
                let text = path.path.as_deref().unwrap_or("/");
                let text = match path.path_type.as_str() {
                    "ImplementationSpecific" => {
                        text.split(['(', '*', '[', '.']).next().unwrap_or("/")
                    }
                    _ => text,
                };
                add(rule.host.as_deref(), text);
            }
        }
    }
    if spec.default_backend.as_ref().is_some_and(leads) {
        add(None, "/");
    }
}

fn balancer_urls(service: &Service, urls: &mut Vec<Url>) {
    for host in balancer_hosts(service) {
        for port in tcp_ports(service) {
            urls.push(Url {
                url: address(scheme(port), &host, Some(port.port), ""),
                via: Via::LoadBalancer {
                    service: name_of(service),
                },
                inside: false,
            });
        }
    }
}

fn balancer_hosts(service: &Service) -> Vec<String> {
    let balancer = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    let hosts = balancer.into_iter().flatten();
    hosts
        .filter_map(|one| one.hostname.clone().or_else(|| one.ip.clone()))
        .collect()
}

fn cluster_urls(service: &Service, urls: &mut Vec<Url>) {
    let name = name_of(service);
    let namespace = service.metadata.namespace.as_deref().unwrap_or("default");
    for port in tcp_ports(service) {
        let host = format!("{name}.{namespace}.svc");
        urls.push(Url {
            url: address(scheme(port), &host, Some(port.port), ""),
            via: Via::Cluster {
                service: name.clone(),
            },
            inside: true,
        });
    }
}

fn tcp_ports(service: &Service) -> impl Iterator<Item = &ServicePort> {
    let ports = service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten());
    ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
}

fn name_of(service: &Service) -> String {
    service.metadata.name.clone().unwrap_or_default()
}

/// What a port speaks: `appProtocol`, else the port's name (`http-web`), else its well-known number.
fn scheme(port: &ServicePort) -> &'static str {
    let said = port.app_protocol.as_deref().or(port.name.as_deref());
    let said = said.unwrap_or_default().to_ascii_lowercase();
    let said = said.strip_prefix("kubernetes.io/").unwrap_or(&said);
    match said.split('-').next().unwrap_or_default() {
        "https" | "wss" => "https",
        "http" | "http2" | "h2c" | "ws" | "web" => "http",
        "grpc" => "grpc",
        "grpcs" => "grpcs",
        _ if port.app_protocol.is_some() => "tcp",
        _ => match port.port {
            80 | 8000 | 8080 => "http",
            443 | 8443 => "https",
            _ => "tcp",
        },
    }
}

/// Whether a name of a certificate, which may begin with `*.`, stands for a host.
fn covers(pattern: &str, host: &str) -> bool {
    pattern == host
        || pattern
            .strip_prefix("*.")
            .is_some_and(|domain| host.split_once('.').is_some_and(|(_, rest)| rest == domain))
}

/// A URL without the port that its scheme implies and without a path that is only `/`.
fn address(scheme: &str, host: &str, port: Option<i32>, path: &str) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let implied = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let port = port.filter(|port| Some(*port) != implied);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", path.trim_end_matches('/'))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;

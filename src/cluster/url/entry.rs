//! PURE: where an environment answers from outside the cluster, by the entry of its base's routers: the host says the environment.

use k8s_openapi::api::core::v1::Service;

use super::{Exposed, Url, Via, balancer_urls, covers, ingress_urls};

/// The Services of the routers, that for requests from outside first.
pub const SERVICES: [&str; 2] = ["dev-router-edge", "dev-router"];

/// The entry of a base, for one environment.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The base's namespace.
    pub base: String,
    /// The Service of the base that requests go to.
    pub service: String,
    /// The environment's host: `ann.bookshop.localhost`.
    pub host: String,
    /// What leads to the routers, as the base's namespace has it.
    pub routers: Exposed,
}

impl Entry {
    /// Where it answers, the best address first. Where nothing leads to it from outside, the one that it has inside.
    pub fn urls(&self) -> Vec<Url> {
        let mut by_name = Vec::new();
        for ingress in &self.routers.ingresses {
            ingress_urls(ingress, &SERVICES, &mut by_name);
        }
        for route in &self.routers.routes {
            self.routers.route_urls(route, &SERVICES, &mut by_name);
        }
        // They tell requests apart by the host, as the routers do.
        let mut urls: Vec<Url> = by_name.iter().filter_map(|url| self.of_host(url)).collect();
        let mut by_address = Vec::new();
        let edge = self.routers.services.iter().find(|service| {
            let name = service.metadata.name.as_deref();
            name == SERVICES.first().copied()
        });
        if let Some(edge) = edge {
            balancer_urls(edge, &mut by_address);
            self.routers.node_port_urls(edge, &mut by_address);
        }
        urls.extend(by_address.iter().filter_map(|url| self.at_address(url)));
        if urls.is_empty()
            && let Some(port) = edge.and_then(node_port)
        {
            // Who may not see the nodes knows the port all the same.
            urls.push(Url {
                url: format!("http://{}:{port}", self.host),
                via: Via::Routers {
                    base: self.base.clone(),
                    address: None,
                },
                inside: false,
            });
        }
        if urls.is_empty() {
            urls.push(Url {
                url: format!("http://{}", self.host),
                via: Via::Routers {
                    base: self.base.clone(),
                    address: Some(format!("dev-router.{}.svc:80", self.base)),
                },
                inside: true,
            });
        }
        urls
    }

    /// What leads there by a host that may be a pattern.
    fn of_host(&self, url: &Url) -> Option<Url> {
        let (scheme, authority, path) = parts(&url.url)?;
        let (host, port) = authority.rsplit_once(':').map_or((authority, ""), |it| it);
        let port = if port.is_empty() {
            String::new()
        } else {
            format!(":{port}")
        };
        covers(host, &self.host).then(|| Url {
            url: format!("{scheme}://{}{port}{path}", self.host),
            ..url.clone()
        })
    }

    /// What leads there by an address: the host's name must lead to it.
    fn at_address(&self, url: &Url) -> Option<Url> {
        let (scheme, authority, _) = parts(&url.url)?;
        // Not the colons of an IPv6 address.
        let port = authority
            .rsplit_once(':')
            .map(|(_, port)| port)
            .filter(|port| port.parse::<u16>().is_ok());
        let (port, address) = match port {
            Some(port) => (format!(":{port}"), authority.to_owned()),
            None => (String::new(), format!("{authority}:80")),
        };
        Some(Url {
            url: format!("{scheme}://{}{port}", self.host),
            via: Via::Routers {
                base: self.base.clone(),
                address: Some(address),
            },
            inside: false,
        })
    }
}

fn node_port(service: &Service) -> Option<i32> {
    let ports = service.spec.as_ref()?.ports.as_ref()?;
    ports.first()?.node_port
}

/// Scheme, authority and path.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Some((scheme, authority, path))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(service: Value, ingresses: Value) -> Entry {
        let node = json!({"metadata": {"name": "n"}, "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        Entry {
            base: "bookshop".into(),
            service: "web".into(),
            host: "ann.shop.example.com".into(),
            routers: Exposed {
                services: vec![serde_json::from_value(service).unwrap()],
                ingresses: serde_json::from_value(ingresses).unwrap(),
                nodes: vec![serde_json::from_value(node).unwrap()],
                ..Exposed::default()
            },
        }
    }

    fn edge(kind: &str, status: Value) -> Value {
        json!({"metadata": {"name": "dev-router-edge", "namespace": "bookshop"}, "spec": {"type": kind, "ports":
            [{"name": "edge", "port": 80, "nodePort": 30080, "appProtocol": "http"}]}, "status": status})
    }

    fn texts(entry: &Entry) -> Vec<String> {
        let text = |url: &Url| format!("{} by {}", url.url, url.via);
        entry.urls().iter().map(text).collect()
    }

    #[test]
    fn the_host_is_the_environments_whatever_leads_there() {
        assert_eq!(
            texts(&entry(edge("NodePort", json!({})), json!([]))),
            ["http://ann.shop.example.com:30080 by routers of bookshop at 10.0.0.1:30080"]
        );
        let mut unseen = entry(edge("NodePort", json!({})), json!([]));
        unseen.routers.nodes.clear();
        assert_eq!(
            texts(&unseen),
            ["http://ann.shop.example.com:30080 by routers of bookshop"]
        );
        let balanced = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}});
        assert_eq!(
            texts(&entry(edge("LoadBalancer", balanced), json!([]))),
            ["http://ann.shop.example.com by routers of bookshop at 203.0.113.9:80"]
        );
        let inside = entry(
            json!({"metadata": {"name": "dev-router"}, "spec": {}}),
            json!([]),
        );
        let urls = inside.urls();
        assert!(urls.len() == 1 && urls[0].inside, "{urls:?}");
    }

    #[test]
    fn an_ingress_counts_where_it_takes_the_host() {
        let ingress = |host: &str, service: &str| {
            json!({"metadata": {"name": "edge"}, "spec": {"tls": [{"hosts": ["*.shop.example.com"]}], "rules": [{"host": host, "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}}]}}]}})
        };
        let plain = json!({"metadata": {"name": "dev-router"}, "spec": {}});
        let found = entry(
            plain,
            json!([
                ingress("shop.example.com", "dev-router"),
                ingress("*.shop.example.com", "web"),
                ingress("*.shop.example.com", "dev-router"),
            ]),
        );
        assert_eq!(
            texts(&found),
            ["https://ann.shop.example.com by Ingress edge"]
        );
    }
}

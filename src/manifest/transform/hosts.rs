//! Public host names of copies.
//!
//! `bookshop.example.com` becomes `bookshop-ENV.example.com`, or `bookshop-ENV.DOMAIN` where a domain is given: one DNS
//! label in front of a domain, so that one wildcard record and one wildcard certificate serve every copy. A rule without
//! A registered domain itself, `example.com`, becomes `ENV.example.com`. A rule without
//! a host, which would answer for every host, gets `APP-ENV.DOMAIN`, or `APP-ENV.localhost` without a domain.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::rename::Names;
use super::{Mode, Target};
use crate::manifest::{Manifest, names, walk};

/// Where kinds hold public host names: group, kind, path.
const HOSTS: &[(&str, &str, &str)] = &[
    ("networking.k8s.io", "Ingress", "spec.rules[].host"),
    ("networking.k8s.io", "Ingress", "spec.tls[].hosts[]"),
    ("extensions", "Ingress", "spec.rules[].host"),
    ("extensions", "Ingress", "spec.tls[].hosts[]"),
    ("gateway.networking.k8s.io", "HTTPRoute", "spec.hostnames[]"),
    ("gateway.networking.k8s.io", "GRPCRoute", "spec.hostnames[]"),
    ("gateway.networking.k8s.io", "TLSRoute", "spec.hostnames[]"),
    (
        "gateway.networking.k8s.io",
        "Gateway",
        "spec.listeners[].hostname",
    ),
    ("networking.istio.io", "Gateway", "spec.servers[].hosts[]"),
    ("networking.istio.io", "VirtualService", "spec.hosts[]"),
    ("cert-manager.io", "Certificate", "spec.dnsNames[]"),
    ("cert-manager.io", "Certificate", "spec.commonName"),
    ("route.openshift.io", "Route", "spec.host"),
];

/// Annotations with host names, separated by commas, that make DNS records.
const DNS_ANNOTATIONS: [&str; 2] = [
    "external-dns.alpha.kubernetes.io/hostname",
    "external-dns.alpha.kubernetes.io/internal-hostname",
];

/// The new names of all public hosts of a set.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) map: BTreeMap<String, String>,
    /// For rules without a host; none where nothing is to be changed.
    fallback: Option<String>,
}

impl Hosts {
    pub(super) fn of(
        objects: &[Manifest],
        names: &Names,
        home: &[String],
        target: &Target,
    ) -> Self {
        if target.mode == Mode::Base {
            return Self::default();
        }
        let mut hosts = BTreeSet::new();
        for object in objects {
            let key = object.key();
            let mut collect = |host: &str| {
                if is_public(host, names, home) {
                    hosts.insert(host.to_owned());
                }
            };
            for (_, _, path) in rows(key.group(), &key.kind) {
                // Only reads: the walk is made for writing, so it gets a copy of the short list.
                let mut value = object.value.clone();
                walk::values(&mut value, path, &mut |value| {
                    if let Some(host) = value.as_str() {
                        collect(host);
                    }
                });
            }
            for annotation in DNS_ANNOTATIONS {
                for host in object.annotation(annotation).unwrap_or_default().split(',') {
                    collect(host.trim());
                }
            }
        }
        let word = target.suffix.as_deref().unwrap_or(&target.stamp.env);
        let mut map: BTreeMap<String, String> = BTreeMap::new();
        for host in &hosts {
            let mut new = copy_of(host, word, target.domain.as_deref(), false);
            if map.values().any(|taken| *taken == new) {
                new = copy_of(host, word, target.domain.as_deref(), true);
            }
            map.insert(host.clone(), new);
        }
        let domain = target.domain.as_deref().unwrap_or("localhost");
        let host_for = |name: &str| {
            let label = names::suffixed(name, word, names::LABEL);
            format!("{label}.{domain}")
        };
        let mut name = target.stamp.app.clone();
        while map.values().any(|taken| *taken == host_for(&name)) {
            name.insert_str(0, "any-");
        }
        let fallback = Some(host_for(&name));
        Self { map, fallback }
    }

    /// Replaces the hosts of one object.
    pub(super) fn apply(&self, object: &mut Manifest, group: &str, said: &mut Vec<String>) {
        let Some(fallback) = &self.fallback else {
            return;
        };
        let kind = object.kind().to_owned();
        if kind == "Ingress" {
            name_every_rule(&mut object.value, fallback, said);
        }
        let is_route = matches!(kind.as_str(), "HTTPRoute" | "GRPCRoute");
        if is_route
            && object.value["spec"]["hostnames"]
                .as_array()
                .is_none_or(Vec::is_empty)
            && let Some(spec) = object.value.get_mut("spec").and_then(Value::as_object_mut)
        {
            spec.insert("hostnames".to_owned(), json!([fallback]));
            said.push(format!(
                "it had no host and would answer for all; it got {fallback}"
            ));
        }
        let mut changed: BTreeSet<&str> = BTreeSet::new();
        for (_, _, path) in rows(group, &kind) {
            walk::values(&mut object.value, path, &mut |value| {
                if let Some((old, new)) =
                    value.as_str().and_then(|host| self.map.get_key_value(host))
                {
                    changed.insert(old);
                    *value = Value::from(new.as_str());
                }
            });
        }
        for annotation in DNS_ANNOTATIONS {
            let Some(text) = object.annotation(annotation) else {
                continue;
            };
            let new: Vec<&str> = text
                .split(',')
                .map(|host| match self.map.get_key_value(host.trim()) {
                    Some((old, new)) => {
                        changed.insert(old);
                        new.as_str()
                    }
                    None => host,
                })
                .collect();
            let new = new.join(",");
            object.set_annotation(annotation, &new);
        }
        for old in changed {
            said.push(format!("host {old} became {}", self.map[old]));
        }
    }
}

fn rows(
    group: &str,
    kind: &str,
) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    HOSTS
        .iter()
        .filter(move |row| row.0 == group && row.1 == kind)
}

/// Names of Services are no public hosts.
fn is_public(host: &str, names: &Names, home: &[String]) -> bool {
    let mut labels = host.split('.');
    let first = labels.next().unwrap_or_default();
    let second = labels.next().unwrap_or_default();
    let service = names.get("Service", first).is_some()
        && (second.is_empty() || home.iter().any(|home| home == second));
    host.contains('.')
        && !service
        && !host.contains('/')
        && !host.ends_with(".svc")
        && !host.contains(".svc.")
}

/// `a.b.c` becomes `a-ENV.b.c` (where `b.c` belongs to nobody in particular, `ENV.a.b.c`) or `a-ENV.DOMAIN`; with `whole`, `a-b-c-ENV.DOMAIN`. A wildcard stays one label in front.
fn copy_of(host: &str, word: &str, domain: Option<&str>, whole: bool) -> String {
    if let Some(rest) = host.strip_prefix("*.") {
        return format!("*.{}", copy_of(rest, word, domain, whole));
    }
    let (first, rest) = host.split_once('.').unwrap_or((host, "localhost"));
    // `example-ann.co.uk` would be somebody else's domain. Names below `localhost` are nobody's (RFC 6761).
    if domain.is_none() && rest != "localhost" && psl::domain_str(host) == Some(host) {
        return format!("{word}.{host}");
    }
    let label = if whole {
        host.replace('.', "-")
    } else {
        first.to_owned()
    };
    let label = names::suffixed(&label, word, names::LABEL);
    format!("{label}.{}", domain.unwrap_or(rest))
}

/// A rule without a host, or a default backend, would take requests of everybody who shares the controller.
fn name_every_rule(ingress: &mut Value, fallback: &str, said: &mut Vec<String>) {
    let Some(spec) = ingress.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    let mut unnamed = 0;
    if let Some(Value::Array(rules)) = spec.get_mut("rules") {
        for rule in rules.iter_mut().filter_map(Value::as_object_mut) {
            if rule
                .get("host")
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
            {
                rule.insert("host".to_owned(), Value::from(fallback));
                unnamed += 1;
            }
        }
    }
    if unnamed > 0 {
        said.push(format!(
            "a rule had no host and would answer for all; it got {fallback}"
        ));
    }
    if let Some(backend) = spec.shift_remove("defaultBackend") {
        let rules = spec.entry("rules").or_insert_with(|| json!([]));
        match rules.as_array_mut() {
            Some(rules) if rules.is_empty() => {
                let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
                rules.push(json!({"host": fallback, "http": {"paths": [path]}}));
                said.push(format!(
                    "the default backend would answer for all hosts; it answers for {fallback}"
                ));
            }
            _ => said
                .push("the default backend would answer for all hosts; it was left out".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_never_lands_in_another_registered_domain() {
        for (host, expected) in [
            ("shop.example.com", "shop-ann.example.com"),
            ("example.com", "ann.example.com"),
            ("*.example.com", "*.ann.example.com"),
            ("example.co.uk", "ann.example.co.uk"),
            ("www.example.co.uk", "www-ann.example.co.uk"),
            ("shop.local", "ann.shop.local"),
            ("shop.localhost", "shop-ann.localhost"),
        ] {
            assert_eq!(copy_of(host, "ann", None, false), expected);
        }
        assert_eq!(
            copy_of("example.com", "ann", Some("dev.test"), false),
            "example-ann.dev.test"
        );
    }
}

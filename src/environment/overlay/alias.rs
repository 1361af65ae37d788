//! PURE: aliases of the base's Services, and what they cannot do.

use serde_json::{Map, Value, json};

use crate::cluster::base::Base;
use crate::environment::Scope;
use crate::manifest::labels::{self, BASE_VERSION};
use crate::manifest::{Manifest, Origin};
use crate::router::install::{CONTROL, EDGE, ROUTER};

/// Services that `dev` puts beside a base, by name, whatever became of their labels.
const OWN: [&str; 3] = [ROUTER, CONTROL, EDGE];

/// The Services of a base that an environment may borrow: all of the application's, none that `dev` put there itself.
pub fn borrowable(base: &Base) -> impl Iterator<Item = &Value> {
    base.services
        .iter()
        .filter(|service| !is_of_dev(service, &base.name))
}

/// The routers, the shadows, and versions of environments that live in the base's namespace.
fn is_of_dev(service: &Value, base: &str) -> bool {
    let label = |key: &str| service["metadata"]["labels"][key].as_str();
    if OWN.contains(&name(service)) || label(labels::SHADOW).is_some() {
        return true;
    }
    if label(labels::MANAGED_BY) != Some(labels::MANAGER) {
        return false;
    }
    let in_the_base = label(labels::BASE) == Some(base);
    let beside = in_the_base && label(labels::ENV) != Some(BASE_VERSION);
    label(labels::SERVICE).is_none() || beside
}

fn name(service: &Value) -> &str {
    service["metadata"]["name"].as_str().unwrap_or_default()
}

/// An alias for each Service of the base that is not `taken`.
pub fn aliases(
    base: &Base,
    scope: &Scope,
    domain: &str,
    taken: &dyn Fn(&str) -> bool,
) -> Vec<Manifest> {
    borrowable(base)
        .filter(|service| !taken(name(service)))
        .map(|service| alias(service, scope, &base.name, domain))
        .collect()
}

fn alias(service: &Value, scope: &Scope, base: &str, domain: &str) -> Manifest {
    let name = name(service);
    let mut marks: Map<String, Value> = scope
        .stamp
        .labels(name)
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .collect();
    marks.insert(labels::ALIAS.to_owned(), Value::from("true"));
    let mut spec =
        json!({"type": "ExternalName", "externalName": format!("{name}.{base}.svc.{domain}")});
    // They change nothing, but tell people and tools what is there.
    let ports: Vec<Value> = ports(service).map(documented).collect();
    if !ports.is_empty() {
        spec["ports"] = Value::from(ports);
    }
    Manifest {
        value: json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": scope.namespace, "labels": marks},
            "spec": spec,
        }),
        origin: Origin {
            service: name.to_owned(),
            place: None,
        },
    }
}

fn ports(service: &Value) -> impl Iterator<Item = &Value> {
    service["spec"]["ports"].as_array().into_iter().flatten()
}

fn documented(port: &Value) -> Value {
    let fields = ["name", "port", "protocol", "appProtocol"];
    let kept = fields
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), port.get(*field)?.clone())));
    Value::Object(kept.collect())
}

/// What an alias of this Service cannot do, each a sentence without a full stop. `namespace`: the environment's.
pub fn limits(service: &Value, namespace: &str) -> Vec<String> {
    let name = name(service);
    let mut limits = Vec::new();
    if service["spec"]["clusterIP"] == "None" {
        limits.push(format!(
            "{name} is headless: its name leads to the base's pods, names of single pods ({name}-0.{name}) only work with the base's namespace in them"
        ));
    }
    let secure: Vec<String> = ports(service)
        .filter(|port| speaks_tls(port))
        .map(|port| port["port"].to_string())
        .collect();
    if !secure.is_empty() {
        limits.push(format!(
            "{name} speaks TLS on port {}: its certificate has to name \"{name}\" alone, for it does not name {name}.{namespace}.svc",
            secure.join(", ")
        ));
    }
    limits
}

/// By `appProtocol`, the port's name, or its number.
fn speaks_tls(port: &Value) -> bool {
    let text = |field: &str| {
        port[field]
            .as_str()
            .unwrap_or_default()
            .to_ascii_lowercase()
    };
    let names_it = |word: &str| {
        word == "tls"
            || word.starts_with("https")
            || word.starts_with("tls-")
            || word.ends_with("wss")
    };
    names_it(&text("appProtocol"))
        || names_it(&text("name"))
        || matches!(port["port"].as_u64(), Some(443 | 8443 | 6443))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::overlay::settle::tests::scope;

    fn service(name: &str, labels: Value, spec: Value) -> Value {
        json!({"metadata": {"name": name, "labels": labels}, "spec": spec})
    }

    fn base(services: Vec<Value>) -> Base {
        Base {
            name: "shop".into(),
            services,
            ..Base::default()
        }
    }

    #[test]
    fn an_alias_leads_to_the_service_of_the_same_name_in_the_base() {
        let web = service(
            "web",
            json!({"app.kubernetes.io/managed-by": "Helm"}),
            json!({"clusterIP": "10.0.0.1", "selector": {"app": "web"},
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "nodePort": 30001}]}),
        );
        let base = base(vec![web]);
        let made = aliases(&base, &scope(&["reviews"]), "cluster.local", &|_| false);
        let value = &made[0].value;
        assert_eq!(value["spec"]["externalName"], "web.shop.svc.cluster.local");
        assert_eq!(
            value["spec"]["ports"],
            json!([{"name": "http", "port": 80, "protocol": "TCP"}])
        );
        assert_eq!(value["metadata"]["namespace"], "shop-ann");
        let labels = &value["metadata"]["labels"];
        assert_eq!(
            (&labels["dev/alias"], &labels["dev/base"]),
            (&json!("true"), &json!("shop"))
        );
        assert!(aliases(&base, &scope(&[]), "cluster.local", &|name| name == "web").is_empty());
    }

    #[test]
    fn what_dev_put_there_is_not_borrowed_and_what_it_deployed_is() {
        let dev = |env: Value, service: Value| json!({"app.kubernetes.io/managed-by": "dev", "dev/base": "shop", "dev/env": env, "dev/service": service});
        let base = base(vec![
            service("web", dev(json!("base"), json!("web")), json!({})),
            service("web-ann", dev(json!("ann"), json!("web")), json!({})),
            service(
                "web-dev-base",
                json!({"app.kubernetes.io/managed-by": "dev", "dev/shadow": "web"}),
                json!({}),
            ),
            service("dev-router", json!({}), json!({})),
            service(
                "tool",
                json!({"app.kubernetes.io/managed-by": "dev"}),
                json!({}),
            ),
            service("plain", Value::Null, json!({})),
        ]);
        let names: Vec<&str> = borrowable(&base).map(name).collect();
        assert_eq!(names, ["web", "plain"]);
        // An environment of its own may be a base for others.
        let labels =
            json!({"app.kubernetes.io/managed-by": "dev", "dev/env": "main", "dev/service": "web"});
        let base = Base {
            name: "shop-main".into(),
            services: vec![service("web", labels, json!({}))],
            ..Base::default()
        };
        assert_eq!(borrowable(&base).count(), 1);
    }

    #[test]
    fn what_an_alias_cannot_do_is_said() {
        let said = |spec: Value| limits(&service("db", Value::Null, spec), "shop-ann");
        assert_eq!(
            said(json!({"ports": [{"port": 80}, {"port": 5432}]})),
            [""; 0]
        );
        assert!(said(json!({"clusterIP": "None"}))[0].contains("db-0.db"));
        for port in [
            json!({"port": 443}),
            json!({"port": 9000, "name": "https-admin"}),
            json!({"port": 9000, "appProtocol": "https"}),
        ] {
            let limits = said(json!({"ports": [port]}));
            assert!(limits[0].contains("certificate"), "{port}: {limits:?}");
        }
    }
}

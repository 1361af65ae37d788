//! The ConfigMap `dev-admission` of a base: which namespaces are its environments, which of its Secrets may be copied,
//! and where requests from outside come in.
//!
//! It is the only source of an environment's identity: the labels of a namespace may be written by its developer.
//!
//! | key | content |
//! |---|---|
//! | `environments` | JSON: `[{"namespace": "bookshop-ann", "env": "ann"}]` |
//! | `secrets` | JSON: `["database"]` |
//! | `edge` | JSON: `{"service": "web", "port": 9080, "domain": "bookshop.localhost"}`, or absent |
//!
//! Reading never fails: an entry that cannot stand is left out and reported, the others stand. Fields that a newer
//! version adds are ignored.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::manifest::labels::ADMISSION;
use crate::manifest::labels::BASE_VERSION;
use crate::manifest::names::{self, is_label};
use crate::router::model::{Edge, Env, Problem};

const ENVIRONMENTS: &str = "environments";
const SECRETS: &str = "secrets";
const EDGE: &str = "edge";

/// How long a domain may be, so that a DNS label and a dot before it make a legal host name.
const DOMAIN: usize = names::SUBDOMAIN - names::LABEL - 1;

/// What a base admits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// The environments in the order of the list. No namespace and no name is there twice.
    pub environments: Vec<Admitted>,
    /// Names of the base's Secrets that may be copied into an environment.
    pub secrets: BTreeSet<String>,
    /// Where requests from outside come in.
    pub edge: Option<Edge>,
}

/// An environment of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// Its namespace.
    pub namespace: String,
    /// The name that requests carry.
    pub env: Env,
}

impl Admission {
    /// Reads the ConfigMap's data. `base` is the base's namespace.
    pub fn read(base: &str, data: &BTreeMap<String, String>) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut admission = Self::default();
        for entry in list(data, ENVIRONMENTS, &mut problems) {
            match parsed(entry).and_then(|entry| admission.stands(base, entry)) {
                Ok(entry) => admission.environments.push(entry),
                Err(why) => problems.push(problem(ENVIRONMENTS, &why)),
            }
        }
        for entry in list(data, SECRETS, &mut problems) {
            match parsed(entry).and_then(legal_secret) {
                Ok(name) => {
                    admission.secrets.insert(name);
                }
                Err(why) => problems.push(problem(SECRETS, &why)),
            }
        }
        if let Some(text) = data.get(EDGE) {
            match document(text).and_then(parsed).and_then(legal_edge) {
                Ok(edge) => admission.edge = Some(edge),
                Err(why) => problems.push(problem(EDGE, &why)),
            }
        }
        (admission, problems)
    }

    /// The ConfigMap's data, from which [`Admission::read`] makes the same value.
    pub fn data(&self) -> BTreeMap<String, String> {
        let mut data = BTreeMap::from([
            (
                ENVIRONMENTS.to_owned(),
                json!(self.environments).to_string(),
            ),
            (SECRETS.to_owned(), json!(self.secrets).to_string()),
        ]);
        if let Some(edge) = &self.edge {
            data.insert(EDGE.to_owned(), json!(edge).to_string());
        }
        data
    }

    /// The environment that a namespace is, if the base admits it.
    pub fn env_of(&self, namespace: &str) -> Option<&str> {
        let found = self
            .environments
            .iter()
            .find(|entry| entry.namespace == namespace)?;
        Some(&found.env)
    }

    fn stands(&self, base: &str, entry: Admitted) -> Result<Admitted, String> {
        let Admitted { namespace, env } = &entry;
        if !is_label(namespace) {
            return Err(format!("namespace {namespace:?} is no DNS label"));
        }
        if !is_label(env) {
            return Err(format!(
                "env {env:?} of namespace {namespace} is no DNS label"
            ));
        }
        if env == BASE_VERSION {
            return Err(format!(
                "env {env:?} of namespace {namespace} is the name of the base itself"
            ));
        }
        if namespace == base {
            return Err(format!("namespace {namespace} is the base itself"));
        }
        for other in &self.environments {
            if other.namespace == *namespace {
                return Err(format!(
                    "namespace {namespace} is there twice, as {} and {env}: the first stands",
                    other.env
                ));
            }
            if other.env == *env {
                return Err(format!(
                    "env {env} is there twice, for the namespaces {} and {namespace}: the first stands",
                    other.namespace
                ));
            }
        }
        Ok(entry)
    }
}

/// The entries of a list, each to be judged by itself.
fn list(
    data: &BTreeMap<String, String>,
    key: &'static str,
    problems: &mut Vec<Problem>,
) -> Vec<Value> {
    let Some(text) = data.get(key) else {
        return Vec::new();
    };
    let found = match document(text) {
        Ok(Value::Array(entries)) => return entries,
        Ok(_) => "is no JSON list".to_owned(),
        Err(why) => why,
    };
    problems.push(problem(key, &found));
    Vec::new()
}

fn document(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|cause| format!("is no JSON: {cause}"))
}

fn parsed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    let text = value.to_string();
    serde_json::from_value(value).map_err(|cause| format!("{text}: {cause}"))
}

fn legal_secret(name: String) -> Result<String, String> {
    names::check("Secret", &name).map(|()| name)
}

fn legal_edge(edge: Edge) -> Result<Edge, String> {
    names::check("Service", &edge.service)?;
    if edge.port == 0 {
        return Err(format!("port 0 of Service {}", edge.service));
    }
    let domain = &edge.domain;
    if domain.len() > DOMAIN || !domain.split('.').all(is_label) {
        return Err(format!(
            "domain {domain:?}: expected DNS labels with dots between them, at most {DOMAIN} characters"
        ));
    }
    Ok(edge)
}

fn problem(key: &str, what: &str) -> Problem {
    Problem::new(format!("ConfigMap {ADMISSION}, {key}"), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, &str)]) -> (Admission, Vec<String>) {
        let data = entries
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()))
            .collect();
        let (admission, problems) = Admission::read("shop", &data);
        (
            admission,
            problems.iter().map(ToString::to_string).collect(),
        )
    }

    fn admitted(namespace: &str, env: &str) -> Admitted {
        Admitted {
            namespace: namespace.into(),
            env: env.into(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let admission = Admission {
            environments: vec![admitted("shop-bob", "bob"), admitted("shop-ann", "ann")],
            secrets: BTreeSet::from(["database".into()]),
            edge: Some(Edge {
                service: "web".into(),
                port: 9080,
                domain: "shop.localhost".into(),
            }),
        };
        assert_eq!(
            Admission::read("shop", &admission.data()),
            (admission, Vec::new())
        );
        assert_eq!(
            Admission::read("shop", &BTreeMap::new()),
            (Admission::default(), Vec::new())
        );
    }

    #[test]
    fn the_first_of_two_entries_stands_and_the_other_is_reported() {
        let (admission, problems) = read(&[(
            "environments",
            r#"[{"namespace": "shop-ann", "env": "ann"}, {"namespace": "mallory", "env": "ann"},
                {"namespace": "shop-ann", "env": "eve"}, {"namespace": "shop-bob", "env": "bob", "new": 1}]"#,
        )]);
        assert_eq!(
            admission.environments,
            [admitted("shop-ann", "ann"), admitted("shop-bob", "bob")]
        );
        assert_eq!(admission.env_of("shop-bob"), Some("bob"));
        assert_eq!(admission.env_of("mallory"), None);
        assert_eq!(
            problems,
            [
                "ConfigMap dev-admission, environments: env ann is there twice, for the namespaces shop-ann and mallory: the first stands",
                "ConfigMap dev-admission, environments: namespace shop-ann is there twice, as ann and eve: the first stands",
            ]
        );
    }

    #[test]
    fn what_cannot_stand_is_left_out_by_itself() {
        let (admission, problems) = read(&[
            (
                "environments",
                r#"[{"namespace": "shop-ann", "env": "Ann"}, {"namespace": "", "env": "a"}, {"namespace": "shop", "env": "b"},
                    {"namespace": "c", "env": "base"}, {"namespace": "d"}, 7, {"namespace": "shop-bob", "env": "bob"}]"#,
            ),
            ("secrets", r#"["database", "NO", 1]"#),
            (
                "edge",
                r#"{"service": "web", "port": 80, "domain": "a..b"}"#,
            ),
        ]);
        assert_eq!(admission.environments, [admitted("shop-bob", "bob")]);
        assert_eq!(admission.secrets, BTreeSet::from(["database".into()]));
        assert_eq!(admission.edge, None);
        assert_eq!(problems.len(), 9, "{problems:#?}");

        for broken in ["", "{", "{}", "null"] {
            let (admission, problems) = read(&[("environments", broken), ("secrets", "[\"a\"]")]);
            assert_eq!(admission.environments, []);
            assert_eq!(admission.secrets.len(), 1);
            assert_eq!(problems.len(), 1, "{broken:?}");
        }
    }
}

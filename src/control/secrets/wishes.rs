//! PURE: who wishes for what, and gets it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::Service;
use serde_json::Value;

use crate::manifest::labels;
use crate::router::admission::Admission;
use crate::router::model::Problem;

/// A Secret of an environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The environment's namespace.
    pub namespace: String,
    /// The name, which is that of the base's Secret.
    pub name: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {}/{}", self.namespace, self.name)
    }
}

/// What is to be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The Services that wish for it, by uid with their names; at least one each.
    pub wanted: BTreeMap<Place, BTreeMap<String, String>>,
    /// Wishes that are not granted.
    pub problems: Vec<Problem>,
}

/// The wishes of these Services that are granted. Those of namespaces that the base does not admit are nobody's business.
pub fn wishes<'a>(
    admission: &Admission,
    services: impl IntoIterator<Item = &'a Service>,
) -> Wishes {
    let mut wishes = Wishes::default();
    for service in services {
        let metadata = &service.metadata;
        let annotations = metadata.annotations.as_ref();
        let text = annotations.and_then(|all| all.get(labels::SECRETS));
        let (Some(text), Some(namespace), Some(service), Some(uid)) =
            (text, &metadata.namespace, &metadata.name, &metadata.uid)
        else {
            continue;
        };
        // It goes, and with it what it owns.
        if admission.env_of(namespace).is_none() || metadata.deletion_timestamp.is_some() {
            continue;
        }
        for name in names(text) {
            if admission.secrets.contains(name) {
                let place = Place {
                    namespace: namespace.clone(),
                    name: name.to_owned(),
                };
                let owners = wishes.wanted.entry(place).or_default();
                owners.insert(uid.clone(), service.clone());
            } else {
                wishes.problems.push(Problem::new(
                    format!("Service {namespace}/{service}"),
                    format!("wishes for the Secret {name}, which the base does not share"),
                ));
            }
        }
    }
    wishes
}

fn names(text: &str) -> BTreeSet<&str> {
    let names = text.split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).collect()
}

/// What the record in the base says was given.
pub fn recorded(record: &Value) -> BTreeSet<Place> {
    let keys = record["data"].as_object().into_iter().flatten();
    // No name of a namespace holds a dot.
    keys.filter_map(|(key, _)| key.split_once('.'))
        .map(|(namespace, name)| Place {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn admission() -> Admission {
        let data = [
            (
                "environments",
                r#"[{"namespace":"shop-ann","env":"ann"},{"namespace":"shop-bob","env":"bob"}]"#,
            ),
            ("secrets", r#"["db","tls"]"#),
        ];
        let data = data.map(|(key, text)| (key.to_owned(), text.to_owned()));
        Admission::read("shop", &data.into()).0
    }

    fn service(namespace: &str, name: &str, wishes: &str) -> Service {
        let object = json!({"metadata": {"namespace": namespace, "name": name, "uid": format!("{namespace}-{name}"),
            "annotations": {labels::SECRETS: wishes}}});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn only_what_is_shared_is_given_and_only_to_the_admitted() {
        let services = [
            service("shop-ann", "web", "db, tls,root"),
            service("shop-ann", "api", "db"),
            service("shop-bob", "web", ""),
            service("shop-eve", "web", "db"),
            service("shop", "web", "db"),
        ];
        let found = wishes(&admission(), &services);
        let given: Vec<String> = found
            .wanted
            .iter()
            .map(|(place, owners)| format!("{place} for {:?}", owners.values()))
            .collect();
        assert_eq!(
            given,
            [
                r#"Secret shop-ann/db for ["api", "web"]"#,
                r#"Secret shop-ann/tls for ["web"]"#
            ]
        );
        assert_eq!(found.problems.len(), 1);
        assert!(
            found.problems[0]
                .to_string()
                .starts_with("Service shop-ann/web: wishes for the Secret root"),
            "{:?}",
            found.problems
        );
        let mut going = service("shop-ann", "web", "db");
        going.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(wishes(&admission(), &[going]), Wishes::default());
    }

    #[test]
    fn the_record_says_what_was_given() {
        let record =
            json!({"data": {"shop-ann.db": "", "shop-ann.tls.example.com": "", "broken": ""}});
        let given: Vec<String> = recorded(&record).iter().map(ToString::to_string).collect();
        assert_eq!(
            given,
            ["Secret shop-ann/db", "Secret shop-ann/tls.example.com"]
        );
        assert!(recorded(&json!({})).is_empty());
    }
}

//! Which rights an installation and its end take, besides those of applying.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::access::{self, Right};
use crate::cluster::{Cluster, Resource};
use crate::error::Result;
use crate::manifest::{Manifest, labels};
use crate::plan::Inventory;

/// The verbs of the roles that are given.
const VERBS: [&str; 7] = [
    "get", "list", "watch", "create", "patch", "update", "delete",
];

/// Fails where these roles give rights that the person does not have: Kubernetes would refuse them one by one. Who may escalate may
/// give any.
pub async fn may_grant(
    cluster: &Cluster,
    attempt: &str,
    roles: &[Manifest],
    base: &str,
) -> Result<()> {
    let rights = granted(roles, base);
    if access::missing(cluster, &rights).await?.is_empty() {
        return Ok(());
    }
    let escalate = |resource: &str, namespace: Option<&str>| Right {
        verb: "escalate",
        group: "rbac.authorization.k8s.io".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: None,
    };
    let any = [
        escalate("clusterroles", None),
        escalate("roles", Some(base)),
    ]
    .into();
    match access::missing(cluster, &any).await?.is_empty() {
        true => Ok(()),
        false => access::require(cluster, attempt, &rights).await,
    }
}

/// PURE: the rights that the roles among these objects give. Kubernetes lets nobody give what they do not have.
pub fn granted(objects: &[Manifest], base: &str) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for object in objects {
        let namespace = match object.kind() {
            "ClusterRole" => None,
            "Role" => Some(base.to_owned()),
            _ => continue,
        };
        for rule in object.value["rules"].as_array().into_iter().flatten() {
            let list = |field: &str| -> Vec<String> {
                let items = rule[field].as_array().into_iter().flatten();
                items
                    .filter_map(|item| item.as_str().map(str::to_owned))
                    .collect()
            };
            let names = list("resourceNames");
            let names: Vec<Option<String>> = match names.is_empty() {
                true => vec![None],
                false => names.into_iter().map(Some).collect(),
            };
            for group in list("apiGroups") {
                for resource in list("resources") {
                    for verb in VERBS.iter().filter(|verb| has(&rule["verbs"], verb)) {
                        rights.extend(names.iter().map(|name| Right {
                            verb,
                            group: group.clone(),
                            resource: resource.clone(),
                            namespace: namespace.clone(),
                            name: name.clone(),
                        }));
                    }
                }
            }
        }
    }
    rights
}

fn has(list: &Value, wanted: &str) -> bool {
    list.as_array()
        .into_iter()
        .flatten()
        .any(|item| item == wanted)
}

/// PURE: what it takes to take an installation away.
pub fn removal(inventory: &Inventory, base: &str) -> BTreeSet<Right> {
    let mut rights: BTreeSet<Right> = [
        Right::core("patch", "configmaps", base).named(labels::ADMISSION),
        Right::core("delete", "services", base),
        Right::core("list", "pods", base),
    ]
    .into();
    for entry in inventory.entries() {
        let key = &entry.key;
        let Some(resource) = Resource::builtin(&key.api_version, &key.kind) else {
            continue;
        };
        rights.insert(Right {
            verb: "delete",
            group: key.group().to_owned(),
            namespace: resource.namespaced.then(|| base.to_owned()),
            resource: resource.plural,
            name: Some(key.name.clone()),
        });
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::install::{Options, manifests, router_labels};

    #[test]
    fn every_verb_of_the_templates_is_known_and_asked_for() {
        let labels = router_labels(&[], None);
        let objects = manifests("shop", "a/b:1", &Options::default(), &labels).unwrap();
        let rights = granted(&objects, "shop");
        for object in &objects {
            for rule in object.value["rules"].as_array().into_iter().flatten() {
                for verb in rule["verbs"].as_array().unwrap() {
                    assert!(VERBS.iter().any(|known| verb == known), "{verb}");
                }
            }
        }
        let everywhere = Right {
            verb: "watch",
            group: "discovery.k8s.io".into(),
            resource: "endpointslices".into(),
            namespace: None,
            name: None,
        };
        assert!(rights.contains(&everywhere));
        assert!(rights.contains(&Right::core("get", "configmaps", "shop").named("dev-admission")));
        assert!(
            !rights.iter().any(|right| right.resource == "secrets"),
            "{rights:?}"
        );
    }
}

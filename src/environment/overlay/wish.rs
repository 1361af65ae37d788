//! PURE: Secrets of the base that a person may not read: the base's control gives them to the environment, where that lets it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::cluster::base::Base;
use crate::control::secrets::PROVISIONER;
use crate::environment::Scope;
use crate::error::{Error, Result};
use crate::manifest::names::{SUBDOMAIN, shortened};
use crate::manifest::{Manifest, Origin, labels};

/// The group of roles.
const RBAC: &str = "rbac.authorization.k8s.io";

/// Secrets by the services that wish for them.
pub type Wishes = BTreeMap<String, BTreeSet<String>>;

/// Marks the Services of what is copied with their wishes.
///
/// # Errors
/// A service that has no Service of its own: nothing of it is seen in the base.
pub fn mark(objects: &mut [Manifest], wishes: &Wishes) -> Result<()> {
    for (service, secrets) in wishes {
        let text: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let text = text.join(",");
        let own = objects.iter_mut().find(|object| {
            object.origin.service == *service
                && object.kind() == "Service"
                && object.key().group().is_empty()
        });
        let Some(own) = own else {
            return Err(Error::cluster(format!(
                "{service} needs the Secret {text} of the base, which you may not read, and has no Service by which it could be wished for"
            ))
            .reason("SecretNotReadable")
            .hint("a Service of it, or the right to `get` the Secret in the base, helps"));
        };
        own.set_annotation(labels::SECRETS, &text);
    }
    Ok(())
}

/// What lets the account of the base write these Secrets into the environment, and nothing else.
pub fn permissions(wishes: &Wishes, scope: &Scope, base: &Base) -> Vec<Manifest> {
    let mut needing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (service, secrets) in wishes {
        for secret in secrets {
            needing.entry(secret).or_default().insert(service);
        }
    }
    let mut objects = Vec::new();
    for (secret, services) in needing {
        let name = shortened(&format!("{PROVISIONER}-{secret}"), SUBDOMAIN);
        let services: Vec<&str> = services.into_iter().collect();
        let metadata = |name: &str| {
            let marks: Map<String, Value> = scope
                .stamp
                .labels("")
                .map(|(key, value)| (key.to_owned(), Value::from(value)))
                .collect();
            json!({"name": name, "namespace": scope.namespace, "labels": marks,
                "annotations": {labels::NEEDED_BY: services.join(",")}})
        };
        let role = json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "Role",
            "metadata": metadata(&name),
            "rules": [
                // A name cannot be given for what is not there yet.
                {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
                {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["patch", "delete"]},
            ],
        });
        let binding = json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "RoleBinding",
            "metadata": metadata(&name),
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": PROVISIONER, "namespace": base.name}],
        });
        objects.extend([role, binding].map(|value| Manifest {
            value,
            origin: Origin::default(),
        }));
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::super::settle::tests::scope;
    use super::*;

    fn wishes() -> Wishes {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        BTreeMap::from([
            ("api".to_owned(), of(&["db"])),
            ("web".to_owned(), of(&["db", "tls"])),
        ])
    }

    fn object(service: &str, kind: &str) -> Manifest {
        Manifest {
            value: json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": service}}),
            origin: Origin {
                service: service.to_owned(),
                place: None,
            },
        }
    }

    #[test]
    fn services_carry_the_wishes_of_what_is_behind_them() {
        let mut objects = [
            object("web", "ConfigMap"),
            object("web", "Service"),
            object("api", "Service"),
            object("other", "Service"),
        ];
        mark(&mut objects, &wishes()).unwrap();
        let marks: Vec<_> = objects
            .iter()
            .map(|object| object.annotation(labels::SECRETS))
            .collect();
        assert_eq!(marks, [None, Some("db,tls"), Some("db"), None]);
        let error = mark(&mut objects[..2], &wishes()).unwrap_err();
        assert_eq!(error.reason_code(), Some("SecretNotReadable"));
    }

    #[test]
    fn each_secret_has_a_role_of_its_own_that_goes_with_the_last_who_needs_it() {
        let base = Base {
            name: "shop".into(),
            ..Base::default()
        };
        let objects = permissions(&wishes(), &scope(&["web", "api"]), &base);
        let told: Vec<String> = objects
            .iter()
            .map(|object| {
                let needed = object.annotation(labels::NEEDED_BY).unwrap();
                format!("{} for {needed}", object.key())
            })
            .collect();
        assert_eq!(
            told,
            [
                "Role dev-provisioner-db for api,web",
                "RoleBinding dev-provisioner-db for api,web",
                "Role dev-provisioner-tls for web",
                "RoleBinding dev-provisioner-tls for web",
            ]
        );
        assert_eq!(objects[0].value["rules"][1]["resourceNames"], json!(["db"]));
        let subject = &objects[1].value["subjects"][0];
        assert_eq!(
            (&subject["namespace"], &subject["name"]),
            (&json!("shop"), &json!("dev-provisioner"))
        );
    }
}

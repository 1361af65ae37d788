//! PURE: whose an object in a namespace is, when the environment is removed.

use crate::cluster::Resource;
use crate::manifest::labels::{self, Stamp};
use crate::plan::{Holder, Live, holder};

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The environment's: it is deleted.
    Owned,
    /// The environment's, but marked to be kept.
    Kept,
    /// It belongs to another object, and goes with that.
    Dependent,
    /// Kubernetes makes it in every namespace, or for every Service.
    Ambient,
    /// Somebody else's.
    Foreign,
}

/// Whose an object is. `recorded`: the inventory lists it.
pub(super) fn classify(kind: &Resource, live: &Live, stamp: &Stamp, recorded: bool) -> Class {
    let metadata = &live.value["metadata"];
    // Pods carry the labels of the environment too; their owner goes, and they with it.
    let owned_by_another = metadata["ownerReferences"]
        .as_array()
        .is_some_and(|owners| !owners.is_empty());
    if owned_by_another {
        return Class::Dependent;
    }
    // Endpoints carry the labels of their Service and go with it; few people may delete them.
    if is_machine_made(kind) && !recorded && live.owned.is_none() {
        return Class::Ambient;
    }
    match holder(live, stamp, recorded) {
        // Labels can be copied by anybody: what neither the inventory nor the server's record of writes knows is not ours.
        Holder::Us if !recorded && !is_made_by_us(kind, live, stamp) => Class::Foreign,
        Holder::Us if is_marked(live) => Class::Kept,
        Holder::Us => Class::Owned,
        Holder::OtherEnvironment(_) | Holder::Foreign(_) if is_ambient(kind, live) => {
            Class::Ambient
        }
        Holder::OtherEnvironment(_) | Holder::Foreign(_) => Class::Foreign,
    }
}

/// Whether an object that carries the environment's labels was made by `dev`, or from a template that `dev` wrote.
fn is_made_by_us(kind: &Resource, live: &Live, stamp: &Stamp) -> bool {
    let name = live.value["metadata"]["name"].as_str().unwrap_or_default();
    let is_claim = kind.group().is_empty() && kind.kind == "PersistentVolumeClaim";
    let is_inventory = kind.kind == "ConfigMap" && name == labels::inventory_name(&stamp.env);
    live.owned.is_some() || is_claim || is_inventory
}

fn is_marked(live: &Live) -> bool {
    let metadata = &live.value["metadata"];
    ["annotations", "labels"]
        .iter()
        .any(|map| metadata[*map][labels::KEEP] == "true")
}

/// What controllers of Kubernetes and of widespread extensions put into every namespace.
fn is_ambient(kind: &Resource, live: &Live) -> bool {
    if is_machine_made(kind) {
        return true;
    }
    let metadata = &live.value["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    match (kind.group(), kind.kind.as_str()) {
        ("", "ServiceAccount") => matches!(name, "default" | "builder" | "deployer"),
        ("", "ConfigMap") => matches!(
            name,
            "kube-root-ca.crt"
                | "istio-ca-root-cert"
                | "openshift-service-ca.crt"
                | "linkerd-identity-trust-roots"
        ),
        ("", "Secret") => metadata["annotations"]
            .get("kubernetes.io/service-account.name")
            .is_some(),
        ("rbac.authorization.k8s.io", "RoleBinding") => matches!(
            name,
            "system:image-pullers" | "system:image-builders" | "system:deployers"
        ),
        _ => false,
    }
}

/// Kinds whose objects controllers make for other objects; nobody's work is lost with them.
pub(super) fn is_machine_made(kind: &Resource) -> bool {
    matches!(
        (kind.group(), kind.kind.as_str()),
        ("", "Endpoints" | "Event" | "PodTemplate")
            | ("events.k8s.io", "Event")
            | ("discovery.k8s.io", "EndpointSlice")
            | ("apps", "ControllerRevision")
            | ("storage.k8s.io", "CSIStorageCapacity")
            | ("metrics.k8s.io", _)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn class(kind: (&str, &str), metadata: Value, recorded: bool, owned: bool) -> Class {
        let resource = Resource::builtin(kind.0, kind.1).unwrap();
        let live = Live {
            value: json!({ "metadata": metadata }),
            owned: owned.then(|| json!({})),
            managers: Vec::new(),
        };
        let stamp = Stamp {
            app: "shop".into(),
            env: "a".into(),
            base: None,
            version: "a".into(),
        };
        classify(&resource, &live, &stamp, recorded)
    }

    #[test]
    fn only_what_the_environment_made_is_deleted() {
        let ours =
            json!({"app.kubernetes.io/managed-by": "dev", "dev/env": "a", "dev/app": "shop"});
        let other =
            json!({"app.kubernetes.io/managed-by": "dev", "dev/env": "b", "dev/app": "shop"});
        let secret = ("v1", "Secret");
        for (metadata, recorded, owned, expected) in [
            (
                json!({"name": "x", "labels": ours}),
                false,
                true,
                Class::Owned,
            ),
            // Labels that were copied with an object are no proof.
            (
                json!({"name": "x", "labels": ours}),
                false,
                false,
                Class::Foreign,
            ),
            (
                json!({"name": "x", "labels": other}),
                true,
                true,
                Class::Foreign,
            ),
            (json!({"name": "x"}), true, false, Class::Foreign),
            (json!({"name": "x"}), true, true, Class::Owned),
            (
                json!({"name": "x", "labels": ours, "annotations": {"dev/keep": "true"}}),
                true,
                true,
                Class::Kept,
            ),
            (
                json!({"name": "x", "labels": ours, "ownerReferences": [{"uid": "1"}]}),
                false,
                false,
                Class::Dependent,
            ),
            (
                json!({"name": "t", "annotations": {"kubernetes.io/service-account.name": "default"}}),
                false,
                false,
                Class::Ambient,
            ),
        ] {
            assert_eq!(
                class(secret, metadata.clone(), recorded, owned),
                expected,
                "{metadata}"
            );
        }
    }

    #[test]
    fn what_is_in_every_namespace_is_no_reason_to_keep_one() {
        assert_eq!(
            class(
                ("v1", "ServiceAccount"),
                json!({"name": "default"}),
                false,
                false
            ),
            Class::Ambient
        );
        assert_eq!(
            class(
                ("v1", "ConfigMap"),
                json!({"name": "kube-root-ca.crt"}),
                false,
                false
            ),
            Class::Ambient
        );
        let ours =
            json!({"app.kubernetes.io/managed-by": "dev", "dev/env": "a", "dev/app": "shop"});
        for labels in [json!({}), ours] {
            let metadata = json!({"name": "web", "labels": labels});
            let endpoints = ("v1", "Endpoints");
            assert_eq!(
                class(endpoints, metadata.clone(), false, false),
                Class::Ambient
            );
            assert_eq!(class(endpoints, metadata, true, true), Class::Owned);
        }
        assert_eq!(
            class(("v1", "ConfigMap"), json!({"name": "notes"}), false, false),
            Class::Foreign
        );
        assert_eq!(
            class(
                ("v1", "ServiceAccount"),
                json!({"name": "ci"}),
                false,
                false
            ),
            Class::Foreign
        );
    }
}

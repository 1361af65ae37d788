//! PURE: fits an overlay to what is in the environment already: what is copied stays copied, what is shared by several copies stays
//! as long as one of them needs it.

use std::collections::BTreeSet;

use crate::environment::Scope;
use crate::manifest::labels;
use crate::manifest::{Manifest, is_alias};
use crate::plan::{Desired, Entry, Holder, Id, Live, Observed, holder};

/// What an overlay is, given what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Services of the environment that lead to versions of its own: made now, or there already.
    pub copies: BTreeSet<String>,
    /// Recorded objects that stay although nothing here asks for them: other copies need them.
    pub keep: BTreeSet<Id>,
    /// What is pruned: the objects of these services.
    pub prune: BTreeSet<String>,
    /// What should be said.
    pub said: Vec<String>,
}

/// Takes out of `desired` what must stay as it is, and says the rest.
pub fn settle(desired: &mut Desired, observed: &Observed, scope: &Scope) -> Settled {
    let mut settled = Settled {
        prune: scope.services.clone(),
        ..Settled::default()
    };
    // What was brought along belongs to no single service.
    settled.prune.insert(String::new());
    let live = |manifest: &Manifest| {
        let mut key = manifest.key();
        key.namespace = Some(desired.namespace.clone());
        observed.objects.get(&Id::from(&key))
    };
    let others = other_copies(observed, scope);
    let mut stays = BTreeSet::new();
    for (index, manifest) in desired.objects.iter().enumerate() {
        let Some(live) = live(manifest) else { continue };
        if is_alias(&manifest.value) && !may_become_alias(live, scope) {
            stays.insert(index);
            settled.copies.insert(manifest.name().to_owned());
        }
        let brought = manifest.annotation(labels::NEEDED_BY).is_some();
        if brought && matches!(holder(live, &scope.stamp, true), Holder::Foreign(_)) {
            stays.insert(index);
            let key = manifest.key();
            settled
                .said
                .push(format!("{key} of {} is used as it is", scope.namespace));
        }
    }
    let mut index = 0;
    desired.objects.retain(|_| {
        index += 1;
        !stays.contains(&(index - 1))
    });
    for manifest in &mut desired.objects {
        if manifest.kind() == "Service"
            && manifest.key().group().is_empty()
            && !is_alias(&manifest.value)
        {
            settled.copies.insert(manifest.name().to_owned());
        }
        let Some(mut needing) = manifest.annotation(labels::NEEDED_BY).map(names) else {
            continue;
        };
        let mut key = manifest.key();
        key.namespace = Some(desired.namespace.clone());
        if let Some(live) = observed.objects.get(&Id::from(&key)) {
            needing.extend(needed_by(live).intersection(&others).cloned());
        }
        let needing: Vec<String> = needing.into_iter().collect();
        manifest.set_annotation(labels::NEEDED_BY, &needing.join(","));
    }
    for entry in observed
        .inventory
        .iter()
        .flat_map(|inventory| inventory.entries())
    {
        let id = Id::from(&entry.key);
        let Some(live) = observed.objects.get(&id) else {
            continue;
        };
        if is_alias(&live.value) {
            settled.prune.insert(entry.service.clone());
        }
        if !needed_by(live).is_disjoint(&others) {
            settled.keep.insert(id);
        }
    }
    settled
}

/// An alias stays one, and the Services of what is copied now may turn into one; nothing else.
fn may_become_alias(live: &Live, scope: &Scope) -> bool {
    let service = live.value["metadata"]["labels"][labels::SERVICE].as_str();
    let ours = holder(live, &scope.stamp, true) == Holder::Us;
    ours && (is_alias(&live.value)
        || service.is_some_and(|service| scope.services.contains(service)))
}

/// The services that are copied already, beside those of the scope.
pub(super) fn other_copies(observed: &Observed, scope: &Scope) -> BTreeSet<String> {
    let entries = observed
        .inventory
        .iter()
        .flat_map(|inventory| inventory.entries());
    let is_copy = |entry: &&Entry| {
        let live = observed.objects.get(&Id::from(&entry.key));
        !entry.service.is_empty() && live.is_none_or(|live| !is_alias(&live.value))
    };
    entries
        .filter(is_copy)
        .map(|entry| entry.service.clone())
        .filter(|service| !scope.services.contains(service))
        .collect()
}

fn needed_by(live: &Live) -> BTreeSet<String> {
    let text = live.value["metadata"]["annotations"][labels::NEEDED_BY].as_str();
    text.map(names).unwrap_or_default()
}

fn names(list: &str) -> BTreeSet<String> {
    let parts = list.split(',').filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

#[cfg(test)]
pub(in crate::environment) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::manifest::labels::Stamp;
    use crate::manifest::{ObjectKey, Origin};
    use crate::plan::Inventory;
    use serde_json::{Value, json};

    /// An overlay of the base `shop` that copies these services.
    pub(in crate::environment) fn scope(services: &[&str]) -> Scope {
        Scope {
            stamp: Stamp {
                app: "shop".into(),
                env: "ann".into(),
                base: Some("shop".into()),
                version: "ann".into(),
            },
            namespace: "shop-ann".into(),
            services: services.iter().map(|name| (*name).to_owned()).collect(),
            complete: false,
            base: false,
            suffix: None,
            overlay: Some(crate::cluster::base::Base::default()),
        }
    }

    fn object(kind: &str, name: &str, service: &str, more: Value) -> Value {
        let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels":
            {"app.kubernetes.io/managed-by": "dev", "dev/app": "shop", "dev/env": "ann", "dev/service": service}}});
        if more == "alias" {
            value["metadata"]["labels"][labels::ALIAS] = json!("true");
            value["spec"] = json!({"type": "ExternalName"});
        } else if let Value::String(needed) = more {
            value["metadata"]["annotations"] = json!({labels::NEEDED_BY: needed});
        }
        value
    }

    fn observed(objects: &[(Value, &str)]) -> Observed {
        let mut inventory = Inventory::default();
        let mut found = BTreeMap::new();
        for (value, service) in objects {
            let key = ObjectKey {
                api_version: "v1".into(),
                kind: value["kind"].as_str().unwrap().into(),
                namespace: Some("shop-ann".into()),
                name: value["metadata"]["name"].as_str().unwrap().into(),
            };
            let owned = value["metadata"]["labels"].is_object().then(|| json!({}));
            let live = Live {
                value: value.clone(),
                owned,
                managers: Vec::new(),
            };
            found.insert(Id::from(&key), live);
            inventory.insert(key, *service);
        }
        Observed {
            inventory: Some(inventory),
            objects: found,
            ..Observed::default()
        }
    }

    fn desired(objects: &[Value]) -> Desired {
        let manifest = |value: &Value| Manifest {
            value: value.clone(),
            origin: Origin::default(),
        };
        Desired {
            stamp: scope(&[]).stamp,
            namespace: "shop-ann".into(),
            objects: objects.iter().map(manifest).collect(),
            needs: BTreeMap::new(),
        }
    }

    fn kept(desired: &Desired) -> Vec<&str> {
        desired.objects.iter().map(Manifest::name).collect()
    }

    #[test]
    fn what_is_copied_stays_a_copy_and_what_is_taken_back_becomes_an_alias() {
        let alias = |name: &str| object("Service", name, name, json!("alias"));
        let copy = |name: &str| object("Service", name, name, json!(null));
        let there = observed(&[
            (copy("reviews"), "reviews"),
            (alias("web"), "web"),
            (alias("old"), "old"),
        ]);

        let mut adding = desired(&[copy("details"), alias("reviews"), alias("web")]);
        let settled = settle(&mut adding, &there, &scope(&["details"]));
        assert_eq!(kept(&adding), ["details", "web"]);
        let copies: Vec<&String> = settled.copies.iter().collect();
        assert_eq!(copies, ["details", "reviews"]);
        assert!(settled.prune.contains("old"), "its Service left the base");
        assert!(!settled.prune.contains("reviews"));

        let mut taking_back = desired(&[alias("reviews"), alias("web")]);
        let settled = settle(&mut taking_back, &there, &scope(&["reviews"]));
        assert_eq!(kept(&taking_back), ["reviews", "web"]);
        assert!(settled.copies.is_empty());

        let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}});
        let mut beside = desired(&[alias("web")]);
        settle(
            &mut beside,
            &observed(&[(foreign, "web")]),
            &scope(&["details"]),
        );
        assert!(
            kept(&beside).is_empty(),
            "what a person put there is not replaced"
        );
    }

    #[test]
    fn what_two_copies_need_goes_with_the_last_of_them() {
        let shared = |needed: &str| object("ConfigMap", "shared", "", json!(needed));
        let there = observed(&[
            (shared("details,gone,reviews"), ""),
            (
                object("Service", "reviews", "reviews", json!(null)),
                "reviews",
            ),
            (
                object("Service", "details", "details", json!(null)),
                "details",
            ),
        ]);
        let mut again = desired(&[shared("details")]);
        settle(&mut again, &there, &scope(&["details"]));
        assert_eq!(
            again.objects[0].annotation(labels::NEEDED_BY),
            Some("details,reviews")
        );

        let settled = settle(&mut desired(&[]), &there, &scope(&["details"]));
        assert_eq!(settled.keep.len(), 1);
        let settled = settle(&mut desired(&[]), &there, &scope(&["details", "reviews"]));
        assert!(settled.keep.is_empty() && settled.prune.contains(""));
    }

    #[test]
    fn what_a_person_put_there_is_used_in_place_of_the_bases() {
        let by_hand =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}});
        let mut wanted = desired(&[object("ConfigMap", "shared", "", json!("reviews"))]);
        let settled = settle(
            &mut wanted,
            &observed(&[(by_hand, "")]),
            &scope(&["reviews"]),
        );
        assert!(wanted.objects.is_empty());
        assert_eq!(
            settled.said,
            ["ConfigMap shared of shop-ann is used as it is"]
        );
    }
}

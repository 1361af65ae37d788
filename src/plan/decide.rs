//! From what is desired and what is observed to changes.

use std::collections::BTreeSet;

use crate::error::{Error, Result, did_you_mean};
use crate::manifest::labels::{self, Stamp};
use crate::manifest::{Manifest, ObjectKey};
use crate::plan::{
    Action, Change, ClaimTemplate, Desired, FieldChange, Holder, Id, Inventory, Live,
    NamespaceState, NamespaceStep, Observed, Plan, Prepared, Recreate, Served, check_namespace,
    compare, holder, immutable, prepare, refusal, secrets,
};

/// What a person allows.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// Objects whose immutable fields change are deleted and made anew.
    pub recreate: bool,
    /// Objects that the environment made and that are desired no more are deleted.
    pub prune: bool,
    /// Prune only objects of these services; `None`: of all. For a plan that holds some services only.
    pub services: Option<BTreeSet<String>>,
    /// Recorded objects that are not pruned although they are not desired.
    pub keep: BTreeSet<Id>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            recreate: false,
            prune: true,
            services: None,
            keep: BTreeSet::new(),
        }
    }
}

/// Namespaces that belong to Kubernetes itself.
const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// The changes that make what runs into what is desired.
///
/// Fails where the request itself is wrong (a namespace of another environment, objects twice, a kind that is not served). What
/// cannot be done to single objects is [`Action::Blocked`], so that `dev diff` can show all of it; [`Plan::check`] makes it an error.
pub fn plan(desired: &Desired, observed: &Observed, options: &PlanOptions) -> Result<Plan> {
    let namespace_step = namespace_step(desired, observed)?;
    // What is in a namespace that is going will not be there.
    let going = namespace_step != NamespaceStep::Keep;
    let recorded = observed.inventory.clone().filter(|_| !going);
    let listed = recorded.clone().unwrap_or_default();

    let mut changes = Vec::new();
    let mut wanted = BTreeSet::new();
    let mut intended = Inventory::default();
    for manifest in &desired.objects {
        let served = check_served(manifest, desired, observed)?;
        let prepared = prepare(manifest, &desired.stamp, &desired.namespace, served)?;
        let id = Id::from(&prepared.key);
        if !wanted.insert(id.clone()) {
            return Err(at(
                manifest,
                Error::usage(format!("{} is there twice", prepared.key))
                    .reason("DuplicateObject")
                    .hint("two services, or two files, define the same object"),
            ));
        }
        let live = observed
            .objects
            .get(&id)
            .filter(|_| !(going && id.namespace.is_some()));
        let action = match observed.unreadable.get(&kind_of(&prepared.key)) {
            Some(error) => Action::Blocked(error.clone()),
            None => decide(
                &prepared,
                live,
                &desired.stamp,
                listed.contains(&id),
                options,
            ),
        };
        if !matches!(action, Action::Blocked(_)) {
            intended.insert(prepared.key.clone(), prepared.service.clone());
            intended.insert_claims(ClaimTemplate::of(&prepared.key, &prepared.value));
        }
        changes.push(Change {
            key: prepared.key,
            service: prepared.service,
            place: manifest.origin.place.clone(),
            action,
            desired: Some(prepared.value),
            live: live.cloned(),
        });
    }

    let mut after = listed.union(&intended);
    for entry in listed.entries() {
        let id = Id::from(&entry.key);
        if wanted.contains(&id) {
            continue;
        }
        let Some(live) = observed.objects.get(&id) else {
            // It is gone, unless it could not be read.
            if !observed.unreadable.contains_key(&kind_of(&entry.key)) {
                after.remove(&id);
            }
            continue;
        };
        if holder(live, &desired.stamp, true) != Holder::Us || is_kept(live) {
            // Not ours any more, or to be kept: it is forgotten, not deleted. Labels still find what is ours and kept.
            after.remove(&id);
            continue;
        }
        let in_scope = options
            .services
            .as_ref()
            .is_none_or(|services| services.contains(&entry.service));
        if !(options.prune && in_scope) || options.keep.contains(&id) {
            continue;
        }
        after.remove(&id);
        changes.push(Change {
            key: entry.key.clone(),
            service: entry.service.clone(),
            place: None,
            action: Action::Delete,
            desired: None,
            live: Some(live.clone()),
        });
    }

    Ok(Plan {
        stamp: desired.stamp.clone(),
        namespace: desired.namespace.clone(),
        namespace_step,
        changes,
        needs: desired.needs.clone(),
        inventory_during: listed.union(&intended),
        inventory_after: after,
        recorded,
        kinds: observed.kinds.clone(),
    })
}

fn kind_of(key: &ObjectKey) -> (String, String) {
    (key.api_version.clone(), key.kind.clone())
}

fn is_kept(live: &Live) -> bool {
    let keep =
        |value: &serde_json::Value| value == "true" || value == &serde_json::Value::Bool(true);
    let metadata = &live.value["metadata"];
    [&metadata["annotations"], &metadata["labels"]]
        .into_iter()
        .any(|map| map.get(labels::KEEP).is_some_and(keep))
}

fn at(manifest: &Manifest, error: Error) -> Error {
    match manifest.origin.place.clone() {
        Some(place) => error.at(place),
        None => error,
    }
}

fn namespace_step(desired: &Desired, observed: &Observed) -> Result<NamespaceStep> {
    let name = desired.namespace.as_str();
    if SYSTEM_NAMESPACES.contains(&name) {
        return Err(
            Error::usage(format!("the namespace {name} belongs to Kubernetes itself"))
                .reason("SystemNamespace")
                .hint("name another one with --namespace"),
        );
    }
    let labels = match &observed.namespace {
        NamespaceState::Absent => return Ok(NamespaceStep::Create),
        NamespaceState::Unreadable => return Ok(NamespaceStep::Keep),
        NamespaceState::Active { labels } | NamespaceState::Terminating { labels } => labels,
    };
    check_namespace(name, labels, &desired.stamp)?;
    Ok(match &observed.namespace {
        NamespaceState::Terminating { .. } => NamespaceStep::AwaitEndThenCreate,
        NamespaceState::Active { .. } | NamespaceState::Absent | NamespaceState::Unreadable => {
            NamespaceStep::Keep
        }
    })
}

/// How the kind of a manifest is served. A kind that this plan's own CustomResourceDefinitions define is served soon.
fn check_served<'a>(
    manifest: &Manifest,
    desired: &Desired,
    observed: &'a Observed,
) -> Result<Option<&'a Served>> {
    let kind = (
        manifest.api_version().to_owned(),
        manifest.kind().to_owned(),
    );
    match observed.kinds.get(&kind) {
        Some(Some(served)) => Ok(Some(served)),
        // Not looked up: the kind could not be discovered, which is told for the kind.
        None => Ok(None),
        Some(None) => {
            let group = manifest.key().group().to_owned();
            let defined = desired.objects.iter().any(|other| {
                other.kind() == "CustomResourceDefinition"
                    && other.value["spec"]["group"] == group.as_str()
                    && other.value["spec"]["names"]["kind"] == manifest.kind()
            });
            if defined {
                return Ok(None);
            }
            let served = observed
                .kinds
                .iter()
                .filter(|(_, served)| served.is_some())
                .map(|((_, kind), _)| kind.as_str());
            let error = Error::usage(format!(
                "this cluster does not serve the kind {} of {}",
                kind.1, kind.0
            ))
            .reason("UnknownKind")
            .maybe_hint(did_you_mean(&kind.1, served).filter(|hint| !hint.contains(&format!("\"{}\"", kind.1))))
            .hint("check apiVersion and kind; for a custom resource, install its CustomResourceDefinition first");
            Err(at(manifest, error))
        }
    }
}

fn decide(
    prepared: &Prepared,
    live: Option<&Live>,
    stamp: &Stamp,
    recorded: bool,
    options: &PlanOptions,
) -> Action {
    let Some(live) = live else {
        return Action::Create;
    };
    let key = &prepared.key;
    if let Some(error) = refusal(key, live, stamp, recorded) {
        return Action::Blocked(error);
    }
    let fields = compare(&prepared.value, live).changes;
    let metadata = &live.value["metadata"];
    if metadata.get("deletionTimestamp").is_some() {
        return Action::Recreate(Recreate {
            why: "it is being deleted".to_owned(),
            fields,
            going: true,
        });
    }
    let hash = metadata["annotations"][labels::APPLIED].as_str();
    if fields.is_empty() && hash == Some(prepared.hash.as_str()) {
        return Action::Unchanged;
    }
    match immutable::refused(&key.api_version, &key.kind, &live.value, &fields) {
        None => Action::Update(fields),
        Some(change) => immutable_change(key, &change.clone(), fields, options),
    }
}

fn immutable_change(
    key: &ObjectKey,
    change: &FieldChange,
    fields: Vec<FieldChange>,
    options: &PlanOptions,
) -> Action {
    let lost = immutable::lost_by_recreation(&key.kind);
    if options.recreate && lost.is_none() {
        return Action::Recreate(Recreate {
            why: format!("{} cannot be changed", change.path),
            fields,
            going: false,
        });
    }
    let shown = secrets::mask_change(key, change);
    let error = Error::failed(format!(
        "{key}: {} cannot be changed on an object that exists",
        change.path
    ))
    .reason("ImmutableField")
    .cause(format!(
        "it is {} and would become {}",
        short(shown.from.as_ref()),
        short(shown.to.as_ref())
    ));
    Action::Blocked(match lost {
        Some(lost) => error.hint(format!(
            "making it anew would lose {lost}, so that is left to you: kubectl delete {} {}{}, then run this again",
            key.kind.to_ascii_lowercase(),
            key.name,
            key.namespace
                .as_deref()
                .map_or(String::new(), |namespace| format!(" -n {namespace}")),
        )),
        None => error.hint("--recreate deletes it and makes it anew"),
    })
}

/// A value in a few words.
fn short(value: Option<&serde_json::Value>) -> String {
    let Some(value) = value else {
        return "absent".to_owned();
    };
    let text = value.to_string();
    if text.chars().count() <= 60 {
        text
    } else {
        let cut: String = text.chars().take(57).collect();
        format!("{cut}…")
    }
}

#[cfg(test)]
mod tests;

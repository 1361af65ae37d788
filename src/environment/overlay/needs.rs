//! What a copy needs of the base and no manifest makes: ConfigMaps are brought along, Secrets where the base shares them, accounts are
//! made plain, and for claims `dev.yaml` has to say what the copy gets.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::{Value, json};

use super::wish::Wishes;
use crate::cluster::Cluster;
use crate::cluster::access::{self, Right};
use crate::cluster::base::Base;
use crate::control::secrets::{PROVISIONER, is_given};
use crate::environment::Scope;
use crate::error::{Error, Result};
use crate::manifest::labels;
use crate::manifest::transform::Expected;
use crate::manifest::{Manifest, ObjectKey, Origin, Skipped, live, walk};
use crate::project::Claim;
use crate::settings::Settings;

/// Kind and name.
type Wanted = (String, String);

/// What was brought along.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brought {
    /// The objects, as they are in the base; each says who needs it.
    pub objects: Vec<Manifest>,
    /// Secrets that are to be given to the services that need them.
    pub wishes: Wishes,
    /// What should be said about them.
    pub said: Vec<String>,
}

/// What was read for the decision.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// Objects of the base; absent: not read, `None`: not there.
    base: BTreeMap<Wanted, Option<Value>>,
    /// Objects of the environment that a person put there.
    here: BTreeSet<Wanted>,
    /// Secrets that the person may not read, and that the base's control can give.
    given: BTreeSet<String>,
}

/// Reads and decides what is brought along for these references.
///
/// # Errors
/// Every Secret that the base does not share, and every claim without a choice, in one error. Nothing was written.
pub async fn bring(
    settings: &Settings,
    scope: &Scope,
    base: &Base,
    cluster: &Cluster,
    expected: &[Expected],
) -> Result<Brought> {
    let wanted = by_object(expected);
    let choices = choices(settings, expected);
    let here = read_here(scope, base, cluster, &wanted).await?;
    let given = to_be_given(base, cluster, &wanted, &here).await?;
    let to_read = wanted.iter().filter(|(wanted, _)| {
        !here.contains(*wanted)
            && match wanted.0.as_str() {
                "ConfigMap" => true,
                "Secret" => is_shared(base, &wanted.1) && !given.contains(&wanted.1),
                "PersistentVolumeClaim" => choices.contains_key(&wanted.1),
                _ => false,
            }
    });
    let reads = to_read.map(async |(wanted, needing)| {
        let (kind, name) = wanted;
        let attempt = format!(
            "read the {kind} {name} of the base {}, which {} needs",
            base.name,
            join(needing)
        );
        let found = cluster.read_core(&base.name, kind, name, &attempt).await?;
        Ok::<_, Error>((wanted.clone(), found))
    });
    let facts = Facts {
        base: try_join_all(reads).await?.into_iter().collect(),
        here,
        given,
    };
    decide(settings, &scope.namespace, base, &wanted, &choices, &facts)
}

fn by_object(expected: &[Expected]) -> BTreeMap<Wanted, BTreeSet<String>> {
    let mut wanted: BTreeMap<Wanted, BTreeSet<String>> = BTreeMap::new();
    for one in expected {
        let services = wanted
            .entry((one.kind.clone(), one.name.clone()))
            .or_default();
        services.insert(one.service.clone());
    }
    wanted
}

/// What `dev.yaml` says of claims, for the services that need them.
fn choices(settings: &Settings, expected: &[Expected]) -> BTreeMap<String, Claim> {
    let services = &settings.project.project.services;
    let claims = expected
        .iter()
        .filter(|one| one.kind == "PersistentVolumeClaim");
    claims
        .filter_map(|one| {
            Some((
                one.name.clone(),
                *services.get(&one.service)?.claims.get(&one.name)?,
            ))
        })
        .collect()
}

/// Secrets and claims of the environment that somebody else put there: they are used as they are, and nothing has to be shared.
async fn read_here(
    scope: &Scope,
    base: &Base,
    cluster: &Cluster,
    wanted: &BTreeMap<Wanted, BTreeSet<String>>,
) -> Result<BTreeSet<Wanted>> {
    let asked = wanted
        .keys()
        .filter(|(kind, _)| matches!(kind.as_str(), "Secret" | "PersistentVolumeClaim"));
    let reads = asked.map(async |wanted| {
        let (kind, name) = wanted;
        let attempt = format!(
            "see whether the {kind} {name} is in {} already",
            scope.namespace
        );
        let found = cluster
            .read_core(&scope.namespace, kind, name, &attempt)
            .await?;
        let ours = |object: &Value| {
            let annotations = &object["metadata"]["annotations"];
            annotations.get(labels::NEEDED_BY).is_some() || is_given(&base.name, object)
        };
        Ok::<_, Error>(found.filter(|object| !ours(object)).map(|_| wanted.clone()))
    });
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}

/// The shared Secrets that this person may not read, where the base has somebody who gives them.
async fn to_be_given(
    base: &Base,
    cluster: &Cluster,
    wanted: &BTreeMap<Wanted, BTreeSet<String>>,
    here: &BTreeSet<Wanted>,
) -> Result<BTreeSet<String>> {
    let mut given = BTreeSet::new();
    if !base.has_control() {
        return Ok(given);
    }
    let secrets = wanted
        .keys()
        .filter(|wanted| wanted.0 == "Secret" && !here.contains(*wanted));
    for (_, name) in secrets.filter(|(_, name)| is_shared(base, name)) {
        let right = Right::core("get", "secrets", &base.name).named(name);
        if !access::allowed(cluster, &right).await? {
            given.insert(name.clone());
        }
    }
    Ok(given)
}

fn is_shared(base: &Base, name: &str) -> bool {
    let admission = base.admission.as_ref();
    admission.is_some_and(|admission| admission.secrets.contains(name))
}

fn decide(
    settings: &Settings,
    namespace: &str,
    base: &Base,
    wanted: &BTreeMap<Wanted, BTreeSet<String>>,
    choices: &BTreeMap<String, Claim>,
    facts: &Facts,
) -> Result<Brought> {
    let mut brought = Brought::default();
    let mut errors = Vec::new();
    for (wanted, needing) in wanted {
        if facts.here.contains(wanted) {
            continue;
        }
        let (kind, name) = (wanted.0.as_str(), wanted.1.as_str());
        let found = facts.base.get(wanted).and_then(Option::as_ref);
        let who = join(needing);
        let said = match kind {
            "ServiceAccount" => {
                let plain = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
                brought.objects.push(for_the_copies(plain, needing));
                format!(
                    "{who}: ServiceAccount {name} is made plain, without the roles that it has in {}",
                    base.name
                )
            }
            "Secret" if !is_shared(base, name) => {
                errors.push(not_shared(name, &who, base, namespace));
                continue;
            }
            "Secret" if facts.given.contains(name) => {
                for service in needing {
                    let wishes = brought.wishes.entry(service.clone()).or_default();
                    wishes.insert(name.to_owned());
                }
                format!(
                    "{who}: Secret {name} is given by {0}: its account {PROVISIONER} may write it in {namespace} from now on",
                    base.name
                )
            }
            "PersistentVolumeClaim" if !choices.contains_key(name) => {
                errors.push(no_choice(name, needing, settings, base));
                continue;
            }
            _ => {
                let Some(found) = found else {
                    // The pod waits for it, and says so; the environment may be given it by other means.
                    brought.said.push(format!(
                        "{who} needs the {kind} {name}, which is neither in the manifests nor in {}: it must be in {namespace}",
                        base.name
                    ));
                    continue;
                };
                let mut copy = found.clone();
                live::clean(&mut copy);
                if copy["spec"].is_object() {
                    unbind(&mut copy);
                }
                brought.objects.push(for_the_copies(copy, needing));
                match kind {
                    "PersistentVolumeClaim" => format!(
                        "{who}: PersistentVolumeClaim {name} is made empty, like that of {}",
                        base.name
                    ),
                    _ => format!("{who}: {kind} {name} is copied from {}", base.name),
                }
            }
        };
        brought.said.push(said);
    }
    let mut errors = errors.into_iter();
    match errors.next() {
        None => Ok(brought),
        Some(first) => Err(errors.fold(first, |error, other| {
            let hints = other.hints().to_vec();
            let error = error.cause(format!("also: {other}"));
            hints.into_iter().fold(error, Error::hint)
        })),
    }
}

/// The environment's stamp is added with those of all other objects.
fn for_the_copies(value: Value, needing: &BTreeSet<String>) -> Manifest {
    let mut manifest = Manifest {
        value,
        // It belongs to no single service: others may come to need it.
        origin: Origin::default(),
    };
    let needing: Vec<&str> = needing.iter().map(String::as_str).collect();
    manifest.set_annotation(labels::NEEDED_BY, &needing.join(","));
    manifest
}

/// A copy of a claim asks for a volume; it has none yet.
fn unbind(claim: &mut Value) {
    if let Some(spec) = claim["spec"].as_object_mut() {
        for field in ["volumeName", "dataSource", "dataSourceRef"] {
            spec.shift_remove(field);
        }
    }
}

fn not_shared(name: &str, who: &str, base: &Base, namespace: &str) -> Error {
    let mut shared: BTreeSet<&str> = base
        .admission
        .iter()
        .flat_map(|admission| admission.secrets.iter().map(String::as_str))
        .collect();
    shared.insert(name);
    let patch = json!({"data": {"secrets": json!(shared).to_string()}});
    let map = labels::ADMISSION;
    let how = match &base.admission {
        Some(_) => format!(
            "kubectl -n {} patch configmap {map} --type merge -p '{patch}'",
            base.name
        ),
        None => format!(
            "kubectl -n {} create configmap {map} --from-literal=secrets='{}'",
            base.name,
            json!(shared)
        ),
    };
    Error::cluster(format!(
        "{who} needs the Secret {name}, which the base {} does not share",
        base.name
    ))
    .reason("SecretNotShared")
    .hint(format!("who may write in {} shares it by its name: {how}", base.name))
    .hint(format!(
        "or put one of that name into the environment: kubectl -n {namespace} create secret generic {name} …"
    ))
}

fn no_choice(name: &str, needing: &BTreeSet<String>, settings: &Settings, base: &Base) -> Error {
    let who = join(needing);
    let service = needing.first().map_or("", String::as_str);
    Error::usage(format!(
        "{who} needs the PersistentVolumeClaim {name} of the base {}, which pods of another namespace cannot use",
        base.name
    ))
    .reason("ClaimNotChosen")
    .at(settings.project.place(&["services", service]))
    .hint(format!(
        "say what the copy gets: `claims: {{{name}: empty}}`, a claim like it without its data, or `claims: {{{name}: scratch}}`, a directory that goes with the pod"
    ))
}

fn join(names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.join(" and ")
}

/// Replaces the claims of a service that `dev.yaml` gives a directory of the pod's own.
pub fn use_scratch(objects: &mut [Manifest], claims: &BTreeMap<String, Claim>) {
    if !claims.values().any(|claim| *claim == Claim::Scratch) {
        return;
    }
    for object in objects {
        let key = object.key();
        let Some(template) = walk::pod_template(key.group(), &key.kind) else {
            continue;
        };
        let path = match template {
            "" => "spec.volumes[]".to_owned(),
            template => format!("{template}.spec.volumes[]"),
        };
        walk::maps(&mut object.value, &path, &mut |volume| {
            let claim = volume.get("persistentVolumeClaim");
            let name = claim.and_then(|claim| claim["claimName"].as_str());
            if name.is_some_and(|name| claims.get(name) == Some(&Claim::Scratch)) {
                volume.shift_remove("persistentVolumeClaim");
                volume.insert("emptyDir".to_owned(), json!({}));
            }
        });
    }
}

/// Leaves out of a copy of what runs in the base what is only brought along by the rules above, so that it is found missing.
pub fn without_followed(manifests: Vec<Manifest>) -> (Vec<Manifest>, Vec<Skipped>) {
    let mut skipped = Vec::new();
    let kept = manifests
        .into_iter()
        .filter(|manifest| {
            let key = manifest.key();
            if is_role(&key) {
                skipped.push(Skipped {
                    service: manifest.origin.service.clone(),
                    key: key.clone(),
                    reason: "a copy beside a base has a plain account".to_owned(),
                });
            }
            let brought = key.group().is_empty()
                && matches!(
                    key.kind.as_str(),
                    "ConfigMap" | "Secret" | "ServiceAccount" | "PersistentVolumeClaim"
                );
            !brought && !is_role(&key)
        })
        .collect();
    (kept, skipped)
}

fn is_role(key: &ObjectKey) -> bool {
    key.group() == "rbac.authorization.k8s.io"
}

#[cfg(test)]
mod tests;

//! The objects of a set by kind and name, their new names, and the references between them.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{Expected, Target};
use crate::error::{Error, Place, Result};
use crate::manifest::references::{self, MADE, Reference, SECRET_ANNOTATIONS};
use crate::manifest::{Manifest, names, walk};

/// New names by kind and old name. Names of objects that controllers make (the Secret of a Certificate) are among them.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_kind: HashMap<String, HashMap<String, String>>,
    /// Old names, and where they come from, by kind and new name, where names change.
    taken: HashMap<(String, String), (String, Option<Place>)>,
}

impl Names {
    /// The new names of these objects.
    ///
    /// # Errors
    /// Two objects of one kind would get the same name.
    pub(super) fn of(objects: &[Manifest], target: &Target) -> Result<Self> {
        let mut result = Self::default();
        for object in objects {
            let place = object.origin.place.as_ref();
            result.add(object.kind(), object.name(), place, target)?;
            for (kind, path, made, own_name) in MADE {
                if object.kind() != *kind {
                    continue;
                }
                let named = walk::get(&object.value, path).and_then(Value::as_str);
                if let Some(name) = named.or(own_name.then(|| object.name())) {
                    result.add(made, name, place, target)?;
                }
            }
        }
        match result.overwritten() {
            Some(error) => Err(error),
            None => Ok(result),
        }
    }

    /// A new name that is also an old one would replace that object, which stays where it is.
    fn overwritten(&self) -> Option<Error> {
        let mut clashes: Vec<_> = self
            .taken
            .iter()
            .filter(|((kind, new), _)| self.get(kind, new).is_some())
            .collect();
        clashes.sort_by_key(|(names, _)| *names);
        let ((kind, new), (old, place)) = clashes.first()?;
        let message =
            format!("the copy of {kind} {old} would be named {new}, which is another {kind}");
        let error = Error::usage(message).hint("give the version another name");
        Some(placed(error, place.as_ref()))
    }

    fn add(
        &mut self,
        kind: &str,
        name: &str,
        place: Option<&Place>,
        target: &Target,
    ) -> Result<()> {
        let new = match &target.suffix {
            Some(suffix) => {
                // Endpoints belong to the Service of their name.
                let kind = if kind == "Endpoints" { "Service" } else { kind };
                names::suffixed(name, suffix, names::longest(kind))
            }
            None => name.to_owned(),
        };
        if target.suffix.is_some()
            && let Some((other, _)) = self.taken.insert(
                (kind.to_owned(), new.clone()),
                (name.to_owned(), place.cloned()),
            )
            && other != name
        {
            let error = Error::usage(format!(
                "{kind} {name} and {kind} {other} would both be named {new}"
            ))
            .hint(
                "give one of them a name that differs earlier, or shorten the environment's name",
            );
            return Err(placed(error, place));
        }
        let known = self.by_kind.entry(kind.to_owned()).or_default();
        known.insert(name.to_owned(), new);
        Ok(())
    }

    /// The new name of an object of the set.
    pub(super) fn get(&self, kind: &str, name: &str) -> Option<&str> {
        self.by_kind.get(kind)?.get(name).map(String::as_str)
    }

    /// All objects of a kind: old and new names.
    pub(super) fn all(&self, kind: &str) -> impl Iterator<Item = (&str, &str)> {
        let known = self.by_kind.get(kind).into_iter().flatten();
        known.map(|(old, new)| (old.as_str(), new.as_str()))
    }
}

fn placed(error: Error, place: Option<&Place>) -> Error {
    match place {
        Some(place) => error.at(place.clone()),
        None => error,
    }
}

/// Makes every reference of an object follow: to the new names, and to the new namespace where one is named.
pub(super) fn follow(
    object: &mut Manifest,
    group: &str,
    names: &Names,
    home: &[String],
    target: &Target,
    expected: &mut BTreeSet<Expected>,
) {
    let kind = object.kind().to_owned();
    let service = object.origin.service.clone();
    references::each(&mut object.value, group, &kind, &mut |reference| {
        follow_one(reference, names, home, target, &service, expected);
    });
    for annotation in SECRET_ANNOTATIONS {
        let path = ["metadata", "annotations", annotation];
        let at = path
            .iter()
            .try_fold(&mut object.value, |at, key| at.get_mut(key));
        if let Some(Value::String(text)) = at
            && let Some(new) = follow_path(text, names, home, target)
        {
            *text = new;
        }
    }
}

fn follow_one(
    reference: Reference<'_>,
    names: &Names,
    home: &[String],
    target: &Target,
    service: &str,
    expected: &mut BTreeSet<Expected>,
) {
    let Some(name) = reference.name().filter(|name| !name.is_empty()) else {
        return;
    };
    let elsewhere = reference
        .namespace()
        .is_some_and(|namespace| !home.iter().any(|home| home == namespace));
    if elsewhere {
        return;
    }
    let Some(new) = names.get(&reference.kind, name) else {
        let needed = match reference.kind.as_str() {
            "ConfigMap" => name != "kube-root-ca.crt",
            "ServiceAccount" => name != "default",
            "Secret" | "PersistentVolumeClaim" => true,
            _ => false,
        };
        if needed && !reference.optional && reference.namespace().is_none() {
            expected.insert(Expected {
                service: service.to_owned(),
                kind: reference.kind.clone(),
                name: name.to_owned(),
            });
        }
        return;
    };
    if new != name {
        let new = Value::from(new);
        reference.holder.insert(reference.field.to_owned(), new);
    }
    if reference
        .holder
        .get("namespace")
        .is_some_and(Value::is_string)
    {
        let namespace = Value::from(target.namespace.as_str());
        reference.holder.insert("namespace".to_owned(), namespace);
    }
}

/// `NAME` or `NAMESPACE/NAME` of a Secret.
fn follow_path(text: &str, names: &Names, home: &[String], target: &Target) -> Option<String> {
    match text.split_once('/') {
        Some((namespace, name)) if home.iter().any(|home| home == namespace) => {
            let new = names.get("Secret", name)?;
            Some(format!("{}/{new}", target.namespace))
        }
        Some(_) => None,
        None => names.get("Secret", text).map(str::to_owned),
    }
}

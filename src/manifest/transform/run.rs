//! The order of the transform.

use std::collections::BTreeSet;

use serde_json::Value;

use super::hosts::Hosts;
use super::rename::{self, Names};
use super::safety::Safety;
use super::selectors::Selectors;
use super::text::Text;
use super::{Mode, Scope, ScopeLookup, Target, Transformed, builtin_scope, labels, scope};
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Note, Skipped, names};

/// The objects of one version. `scope_of` is asked about kinds that are not built in.
///
/// # Errors
/// Names that collide, or that are too long where shortening is not possible.
pub fn transform(
    objects: Vec<Manifest>,
    target: &Target,
    scope_of: &ScopeLookup<'_>,
) -> Result<Transformed> {
    let mut result = Transformed::default();
    let scopes: Vec<Scope> = objects
        .iter()
        .map(|object| scope_for(object, scope_of))
        .collect();
    let home = home(&objects, &scopes, target);
    let safety = Safety::of(&objects, target);
    let mut kept: Vec<(Manifest, Scope)> = Vec::with_capacity(objects.len());
    for (object, scope) in objects.into_iter().zip(scopes) {
        match left_out(&object, scope, &home, &safety, target) {
            Some(reason) => result.skipped.push(Skipped {
                service: object.origin.service.clone(),
                key: object.key(),
                reason,
            }),
            None => kept.push((object, scope)),
        }
    }
    let (objects, scopes): (Vec<Manifest>, Vec<Scope>) = kept.into_iter().unzip();
    let names = Names::of(&objects, target)?;
    let hosts = Hosts::of(&objects, &names, &home, target);
    let text = Text::of(&objects, &names, &hosts, &home, target);
    let selectors = Selectors::of(&objects, target);
    let mut expected = BTreeSet::new();
    for (mut object, scope) in objects.into_iter().zip(scopes) {
        let key = object.key();
        let group = key.group().to_owned();
        let mut said: Vec<String> = Vec::new();
        safety.apply(&mut object, &group, &mut said);
        hosts.apply(&mut object, &group, &mut said);
        text.apply(&mut object, &mut said);
        rename::follow(&mut object, &group, &names, &home, target, &mut expected);
        selectors.apply(&mut object, &group, &home, &mut said);
        if let Some(name) = names.get(&key.kind, &key.name)
            && name != key.name
        {
            object
                .metadata_mut()
                .insert("name".to_owned(), Value::from(name));
        }
        if scope == Scope::Namespaced {
            let namespace = Value::from(target.namespace.as_str());
            object
                .metadata_mut()
                .insert("namespace".to_owned(), namespace);
        }
        labels::stamp(&mut object, &group, &target.stamp);
        if let Err(message) = names::check(object.kind(), object.name()) {
            let error = Error::usage(message);
            return Err(match object.origin.place {
                Some(place) => error.at(place),
                None => error,
            });
        }
        result.notes.extend(said.into_iter().map(|text| Note {
            service: object.origin.service.clone(),
            object: Some(key.clone()),
            text,
        }));
        result.objects.push(object);
    }
    result.expected = expected.into_iter().collect();
    Ok(result)
}

fn scope_for(object: &Manifest, scope_of: &ScopeLookup<'_>) -> Scope {
    let (api_version, kind) = (object.api_version(), object.kind());
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    builtin_scope(group, kind)
        .or_else(|| scope_of(api_version, kind))
        .unwrap_or(Scope::Namespaced)
}

/// The namespaces that the objects mean by their own.
fn home(objects: &[Manifest], scopes: &[Scope], target: &Target) -> Vec<String> {
    let mut home = target.home.clone();
    if home.is_empty() {
        let named: BTreeSet<&str> = objects
            .iter()
            .zip(scopes)
            .filter(|(_, scope)| **scope == Scope::Namespaced)
            .filter_map(|(object, _)| object.meta("namespace"))
            .filter(|namespace| *namespace != target.namespace)
            .collect();
        if named.len() == 1 {
            home.extend(named.into_iter().map(str::to_owned));
        }
    }
    if !home.contains(&target.namespace) {
        home.push(target.namespace.clone());
    }
    home
}

fn left_out(
    object: &Manifest,
    scope: Scope,
    home: &[String],
    safety: &Safety,
    target: &Target,
) -> Option<String> {
    if scope == Scope::Cluster {
        let made_by_dev = object.kind() == "Namespace";
        let leave = target.mode == Mode::Copy || made_by_dev;
        return leave.then(|| scope::reason(object.kind()).to_owned());
    }
    match object.meta("namespace") {
        Some(namespace) if !home.iter().any(|home| home == namespace) => Some(format!(
            "it belongs to the namespace {namespace}, which is not the application's"
        )),
        _ => safety.drops(object).map(str::to_owned),
    }
}

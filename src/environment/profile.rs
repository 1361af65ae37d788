//! PURE: what a person should know of the profile before an environment changes: which it is and why, and which services go.

use std::collections::BTreeMap;

use super::Scope;
use crate::plan::{Action, Plan};
use crate::settings::Settings;

/// What should be said of the profile, line by line; nothing where nothing changes or the profile chooses nothing.
pub fn remarks(settings: &Settings, scope: &Scope, plan: &Plan) -> Vec<String> {
    if plan.is_empty() {
        return Vec::new();
    }
    let (name, origin) = (&settings.profile.value, &settings.profile.origin);
    let mut said = Vec::new();
    let chooses = settings.services.is_some() && scope.complete;
    if chooses {
        let services: Vec<&str> = scope.services.iter().map(String::as_str).collect();
        said.push(format!(
            "profile {name} ({origin}): only {}",
            services.join(", ")
        ));
    } else if settings.project.project.profiles.contains_key(name) {
        said.push(format!("profile {name} ({origin})"));
    }
    for (service, objects) in leaving(scope, plan) {
        let objects = match objects {
            1 => "its 1 object goes".to_owned(),
            count => format!("its {count} objects go"),
        };
        let known = settings.project.project.services.contains_key(service);
        said.push(match known && chooses {
            true => format!("{service} is not in it: {objects}"),
            false => format!("dev.yaml has no service {service} any more: {objects}"),
        });
    }
    said
}

/// The services that are removed as a whole, with the number of their objects. An overlay says itself what it gives back.
fn leaving<'a>(scope: &Scope, plan: &'a Plan) -> BTreeMap<&'a str, usize> {
    let mut leaving = BTreeMap::new();
    if scope.overlay.is_some() {
        return leaving;
    }
    for change in &plan.changes {
        let service = change.service.as_str();
        if change.action == Action::Delete
            && !service.is_empty()
            && !scope.services.contains(service)
        {
            *leaving.entry(service).or_default() += 1;
        }
    }
    leaving
}

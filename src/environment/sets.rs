//! Variables of `--set` that nothing uses: a misspelt one would change nothing, without a word.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::{Error, Result, nearest};
use crate::manifest::{Uses, templates};
use crate::project::{Project, Vars};
use crate::settings::{Origin, Set, Settings};
use crate::ui::Ui;

/// Checks that what was set is used by a template of the project, or has a value in `dev.yaml`. All services count: the same
/// command is given for one of them and for all.
///
/// # Errors
/// A usage error for a flag, with the nearest name. What `DEV_SET` has is there for other projects too: only a warning.
pub fn check(settings: &Settings, ui: &Ui) -> Result<()> {
    if settings.sets.is_empty() {
        return Ok(());
    }
    let project = &settings.project.project;
    let mut uses = declared(project);
    for (name, service) in &project.services {
        match templates(service, settings.root()) {
            Ok(texts) => texts.iter().for_each(|text| uses.add(text)),
            // Rendering tells it better, where it is rendered at all.
            Err(error) => {
                ui.detail(format!("{name}: {error}"));
                return Ok(());
            }
        }
    }
    let charts = project.services.values().any(|one| one.helm.is_some());
    for set in settings.sets.iter().filter(|set| !uses.has(&set.name)) {
        let error = unused(set, &uses, charts, &settings.project.file);
        match set.origin {
            Origin::Variable(_) => ui.warn(error.to_string()),
            _ => return Err(error),
        }
    }
    Ok(())
}

fn unused(set: &Set, uses: &Uses, charts: bool, file: &Path) -> Error {
    let names: Vec<&str> = uses.names.iter().map(String::as_str).collect();
    let hint = match (nearest(&set.name, names.iter().copied()), names.is_empty()) {
        (Some(name), _) => format!("did you mean \"{name}\"?"),
        (None, true) => {
            "no template uses any variable: write {{ vars.NAME }} where its value is to go"
                .to_owned()
        }
        (None, false) => format!("there are: {}", names.join(", ")),
    };
    Error::usage(format!(
        "no template uses the variable \"{}\" (from {}), and {} has no value for it",
        set.name,
        set.origin,
        file.display()
    ))
    .reason("UnusedVariable")
    .hint(hint)
    .maybe_hint(charts.then_some("the values of a Helm chart are `helm: {set: …}` of dev.yaml"))
}

/// The variables that `dev.yaml` gives a value, in any of its places.
fn declared(project: &Project) -> Uses {
    let mut names = BTreeSet::new();
    let profiles = project.profiles.values().map(|profile| &profile.vars);
    let services = project.services.values().map(|service| &service.vars);
    for vars in std::iter::once(&project.vars)
        .chain(profiles)
        .chain(services)
    {
        leaves(vars, &mut names);
    }
    Uses { names, all: false }
}

fn leaves(vars: &Vars, names: &mut BTreeSet<String>) {
    fn add(name: &str, value: &serde_json::Value, names: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    add(&format!("{name}.{key}"), value, names);
                }
            }
            _ => {
                names.insert(name.to_owned());
            }
        }
    }
    for (name, value) in vars {
        add(name, value, names);
    }
}

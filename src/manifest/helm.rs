//! `helm:` input, rendered by the `helm` program (3 or 4) without touching a cluster.
//!
//! Values may be secret, so none of them is put on the command line, where every user of the machine could read it:
//! rendered values files and `set:` go through files that only this user can read.

mod set;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use super::snippet::Text;
use super::template::Renderer;
use super::text::{self, Lines};
use super::{Loaded, Manifest, Note, program, yaml};
use crate::error::{Error, Place, Result};
use crate::project::{Helm, HelmHooks};
use crate::ui::Ui;

const HOOK: &str = "helm.sh/hook";

/// The objects of a chart. Paths are relative to `root`.
pub(super) async fn load(
    helm: &Helm,
    root: &Path,
    service: &str,
    namespace: &str,
    renderer: &Renderer,
    ui: &Ui,
) -> Result<Loaded> {
    let local = root.join(&helm.chart).exists();
    if !local && helm.chart.starts_with(['.', '/']) {
        return Err(
            Error::usage(format!("helm: there is no chart at {}", helm.chart)).hint(format!(
                "paths are relative to {}, the directory of dev.yaml",
                root.display()
            )),
        );
    }
    let private = tempfile::Builder::new()
        .prefix("dev-helm-")
        .tempdir()
        .map_err(|cause| Error::failed("cannot make a temporary directory").caused_by(&cause))?;
    let mut args: Vec<OsString> = vec![
        "template".into(),
        helm.release.as_deref().unwrap_or(service).into(),
        helm.chart.as_str().into(),
        "--namespace".into(),
        namespace.into(),
        "--include-crds".into(),
    ];
    if let Some(version) = &helm.version {
        args.extend(["--version".into(), version.into()]);
    }
    for (number, file) in helm.values.iter().enumerate() {
        let source = text::read(file, root)?;
        let rendered = renderer.render(&source, file)?;
        let path = private.path().join(format!("values-{number}.yaml"));
        write_private(&path, &rendered)?;
        args.extend(["--values".into(), path.into()]);
    }
    if !helm.set.is_empty() {
        let values = set::values(&helm.set, renderer)?;
        let path = private.path().join("set.yaml");
        write_private(&path, &yaml::to_string(&values)?)?;
        args.extend(["--values".into(), path.into()]);
    }
    let output = program::run("helm", &args, root)
        .await
        .map_err(explain)?
        .ok_or_else(|| {
            Error::usage(format!(
                "service {service} is a Helm chart, and the program helm is not installed"
            ))
            .hint("see https://helm.sh/docs/intro/install/")
        })?;
    for line in output.stderr.lines().filter(|line| !line.trim().is_empty()) {
        ui.detail(format!("helm: {line}"));
    }
    let shown = Path::new(&helm.chart);
    let printed = Text::Made {
        made: &output.stdout,
        written: None,
    };
    let mut manifests = text::parse(printed, shown, service, Lines::Same)
        .map_err(|error| error.hint("the place is a line of what helm template printed"))?;
    name_sources(&mut manifests, &output.stdout, shown, local);
    select(manifests, helm.hooks, service)
}

fn explain(error: Error) -> Error {
    let about = |word: &str| error.causes().iter().any(|line| line.contains(word));
    if about("helm dependency build") || about("missing in charts/") {
        return error.hint("fetch the chart's dependencies: helm dependency build CHART");
    }
    error
}

/// A file that only this user can read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|cause| Error::io("write", path, &cause))
}

/// Replaces the place in the output by the template that `# Source: chart/templates/x.yaml` names above an object.
fn name_sources(manifests: &mut [Manifest], output: &str, chart: &Path, local: bool) {
    let mut sources: Vec<(usize, &str)> = Vec::new();
    for (number, line) in (1..).zip(output.lines()) {
        if let Some(source) = line.strip_prefix("# Source: ") {
            sources.push((number, source.trim()));
        }
    }
    for manifest in manifests {
        let line = manifest.origin.place.as_ref().and_then(|place| place.line);
        let before = sources.partition_point(|(number, _)| Some(*number) < line);
        let source = before.checked_sub(1).map(|at| sources[at].1);
        // The first part is the chart's name, which need not be the directory's.
        let below = source
            .and_then(|source| source.split_once('/'))
            .map(|(_, below)| below);
        manifest.origin.place = Some(match (below, source) {
            (Some(below), _) if local && chart.extension().is_none_or(|e| e != "tgz") => {
                Place::file(chart.join(below))
            }
            (_, Some(source)) => Place::file(source),
            _ => Place::file(chart),
        });
    }
}

/// Hooks as asked, tests never, CRDs named.
fn select(manifests: Vec<Manifest>, hooks: HelmHooks, service: &str) -> Result<Loaded> {
    let mut loaded = Loaded::default();
    for mut manifest in manifests {
        let events: Vec<String> = manifest
            .annotation(HOOK)
            .map(|events| {
                events
                    .split(',')
                    .map(|event| event.trim().to_owned())
                    .collect()
            })
            .unwrap_or_default();
        let mut note = |text: String| {
            loaded.notes.push(Note {
                service: service.to_owned(),
                object: Some(manifest.key()),
                text,
            });
        };
        if events.is_empty() {
            if manifest.kind() == "CustomResourceDefinition" {
                note("the chart brings this definition for the whole cluster".to_owned());
            }
            loaded.manifests.push(manifest);
            continue;
        }
        let shown = events.join(",");
        let is_test = events.iter().all(|event| event.starts_with("test"));
        let applies = events.iter().any(|event| {
            matches!(
                event.as_str(),
                "pre-install" | "post-install" | "pre-upgrade" | "post-upgrade"
            )
        });
        if is_test {
            note("Helm test left out".to_owned());
            continue;
        }
        match hooks {
            HelmHooks::Skip => {
                note(format!(
                    "Helm hook ({shown}) left out; hooks: run in dev.yaml applies it"
                ));
            }
            HelmHooks::Run if applies => {
                note(format!(
                    "Helm hook ({shown}) applied like any other object, in no order with the rest"
                ));
                strip_hook(&mut manifest.value);
                loaded.manifests.push(manifest);
            }
            HelmHooks::Run => note(format!(
                "Helm hook ({shown}) left out: it is for removal or rollback"
            )),
            HelmHooks::Refuse => {
                let error = Error::usage(format!(
                    "the chart of service {service} has the hook {} ({shown}), and hooks: refuse",
                    manifest.key()
                ))
                .hint("hooks: skip leaves hooks out, hooks: run applies them like other objects");
                return Err(match manifest.origin.place.clone() {
                    Some(place) => error.at(place),
                    None => error,
                });
            }
        }
    }
    Ok(loaded)
}

/// Helm would delete and repeat what carries these.
fn strip_hook(value: &mut Value) {
    let annotations = value
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.retain(|key, _| !key.starts_with(HOOK));
    }
}

#[cfg(test)]
mod tests;

//! From a service of `dev.yaml` to its objects.

use std::path::Path;

use super::snippet::Text;
use super::template::{Context, Renderer};
use super::{Manifest, Note, files, helm, kustomize, text};
use crate::error::{Error, Result};
use crate::project::Service;
use crate::ui::Ui;

/// The objects of a service, and what should be said about them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// In the order of their source.
    pub manifests: Vec<Manifest>,
    /// What was left out or done otherwise than the source says.
    pub notes: Vec<Note>,
}

/// Reads the manifests, the Helm chart or the kustomization of a service. `root` is the directory of `dev.yaml`.
/// Of a `live` service nothing is read here. Services may be loaded at the same time: the work is done on blocking
/// threads and in processes.
///
/// # Errors
/// What is missing, cannot be rendered, or is no Kubernetes object, with its place.
pub async fn load(
    name: &str,
    service: &Service,
    root: &Path,
    context: &Context,
    ui: &Ui,
) -> Result<Loaded> {
    let renderer = Renderer::new(context)?;
    if let Some(chart) = &service.helm {
        return helm::load(chart, root, name, &context.namespace, &renderer, ui).await;
    }
    if let Some(dir) = &service.kustomize {
        return kustomize::load(dir, root, name).await;
    }
    if service.live {
        return Ok(Loaded::default());
    }
    let Some(entries) = &service.manifests else {
        return Err(Error::usage(format!("service {name} has no manifests"))
            .hint("give it one of manifests:, helm:, kustomize: or live: true"));
    };
    let (entries, root, name) = (
        entries.as_slice().to_vec(),
        root.to_owned(),
        name.to_owned(),
    );
    let work = move || read_files(&entries, &root, &name, &renderer);
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(cause) => Err(Error::failed("reading manifests was cut short").caused_by(&cause)),
    }
}

/// The texts of a service that go through templates: manifests, values files of a chart, values in `dev.yaml`.
pub fn templates(service: &Service, root: &Path) -> Result<Vec<String>> {
    if let Some(helm) = &service.helm {
        let mut texts = Vec::new();
        for file in &helm.values {
            texts.push(text::read(file, root)?);
        }
        let set = helm.set.values().filter_map(serde_json::Value::as_str);
        texts.extend(set.map(str::to_owned));
        return Ok(texts);
    }
    let entries = service.manifests.as_ref();
    let files = files::resolve(entries.map_or(&[][..], |entries| entries.as_slice()), root)?;
    files.iter().map(|file| text::read(file, root)).collect()
}

/// The objects of a template that is part of this program. `name` is how errors call it.
pub fn builtin(
    name: &str,
    template: &str,
    service: &str,
    context: &Context,
) -> Result<Vec<Manifest>> {
    let file = Path::new(name);
    let rendered = Renderer::new(context)?.render(template, file)?;
    let text = Text::Made {
        made: &rendered,
        written: Some(template),
    };
    text::parse(text, file, service, text::Lines::Moved)
}

/// The blocking part of [`load`] for `manifests:`.
pub fn read_files(
    entries: &[String],
    root: &Path,
    service: &str,
    renderer: &Renderer,
) -> Result<Loaded> {
    let mut manifests = Vec::new();
    for file in files::resolve(entries, root)? {
        manifests.extend(text::objects(&file, root, service, renderer)?);
    }
    Ok(Loaded {
        manifests,
        notes: Vec::new(),
    })
}

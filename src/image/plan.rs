//! Which image a service has, from files alone: no network, nothing built.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::archive::archive_identity;
use super::build::dockerfile_sources;
use super::content::{DockerIgnore, Entry, Filter, entries, hash_entries, hash_file};
use super::layers::{Base, Mapping, check_layers};
use super::own::RouterImage;
use super::reference::{Registry, image_reference, parse_reference};
use super::tag::{Content, tag};
use crate::error::{Error, Result, did_you_mean};
use crate::local::{Git, Scope};
use crate::project::{Build, BuildCommand, Image, Layers};

/// The image of one service.
#[derive(Clone, Debug)]
pub struct ImagePlan {
    /// The service.
    pub service: String,
    /// The full reference, for manifests.
    pub reference: String,
    /// The computed tag; `None` for an image that is given.
    pub tag: Option<String>,
    /// How it is made.
    pub recipe: Recipe,
}

/// How an image is made.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// Not by us.
    Given,
    /// From a Dockerfile.
    Build(At<Build>),
    /// By a command.
    Command(At<BuildCommand>),
    /// From a base and files.
    Layers(At<Layers>),
    /// From this program and Envoy.
    Router(Box<RouterImage>),
}

impl Recipe {
    /// Whether there is nothing to make.
    pub fn is_given(&self) -> bool {
        matches!(self, Self::Given)
    }
}

/// What dev.yaml says and the directory that it is about.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The context, absolute.
    pub context: PathBuf,
    /// The section of dev.yaml.
    pub spec: T,
}

impl ImagePlan {
    /// The builder's name in dev.yaml; `given` where there is none.
    pub fn builder(&self) -> &'static str {
        match self.recipe {
            Recipe::Given => "given",
            Recipe::Build(_) => "build",
            Recipe::Command(_) => "command",
            Recipe::Layers(_) => "layers",
            Recipe::Router(_) => "router",
        }
    }
}

/// Finds out the image of a service. `root` is the directory of dev.yaml. Reads the files that the tag is computed from:
/// run it off the async threads.
///
/// # Errors
/// Usage errors: a wrong name, a missing context, a mapping that cannot be. Failures: unreadable files.
pub fn plan(
    service: &str,
    image: &Image,
    root: &Path,
    registry: Option<&Registry>,
) -> Result<ImagePlan> {
    let root = root
        .canonicalize()
        .map_err(|cause| Error::io("read", root, &cause))?;
    let (recipe, tag) = match (&image.build, &image.command, &image.layers) {
        (None, None, None) => {
            parse_reference(&image.name)?;
            return Ok(ImagePlan {
                service: service.to_owned(),
                reference: image.name.clone(),
                tag: None,
                recipe: Recipe::Given,
            });
        }
        (Some(spec), None, None) => {
            let at = At::new(&root, &spec.context, spec)?;
            let tag = at.tag()?;
            (Recipe::Build(at), tag)
        }
        (None, Some(spec), None) => {
            let at = At::new(&root, &spec.context, spec)?;
            let tag = at.tag()?;
            (Recipe::Command(at), tag)
        }
        (None, None, Some(spec)) => {
            let own = Path::new(service);
            let default = if root.join(own).is_dir() {
                own
            } else {
                Path::new(".")
            };
            let at = At::new(&root, spec.context.as_deref().unwrap_or(default), spec)?;
            let tag = at.tag(&root)?;
            (
                Recipe::Layers(At {
                    spec: resolve_base(&at.spec, &root),
                    ..at
                }),
                tag,
            )
        }
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            return Err(Error::usage(format!(
                "image \"{}\" has more than one of `build`, `command` and `layers`",
                image.name
            ))
            .hint("keep one of them"));
        }
    };
    Ok(ImagePlan {
        service: service.to_owned(),
        reference: image_reference(registry, &image.name, &tag)?,
        tag: Some(tag),
        recipe,
    })
}

/// A base that is a path counts from dev.yaml's directory.
fn resolve_base(spec: &Layers, root: &Path) -> Layers {
    let mut spec = spec.clone();
    if let Base::Archive(path) = Base::parse(&spec.base) {
        spec.base = root.join(path).to_string_lossy().into_owned();
    }
    spec
}

impl<T: Clone> At<T> {
    fn new(root: &Path, context: &Path, spec: &T) -> Result<Self> {
        let path = root.join(context);
        match path.canonicalize() {
            Ok(found) if found.is_dir() => Ok(Self {
                context: found,
                spec: spec.clone(),
            }),
            Ok(_) => Err(Error::usage(format!(
                "context {} is no directory",
                context.display()
            ))),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                Err(missing("context", &path, context))
            }
            Err(cause) => Err(Error::io("read", &path, &cause)),
        }
    }

    /// The files of the context as git has them, else as they are on the disk. `extra` are paths that count even where
    /// git ignores them.
    fn content(&self, filter: &Filter, extra: &[PathBuf]) -> Result<Content> {
        if let Some(tree) = self.clean_tree(extra) {
            return Ok(Content::Git(tree));
        }
        let mut all: Vec<Entry> = entries(&self.context, &self.context, filter)?;
        let everything = Filter {
            gitignore: false,
            dockerignore: filter.dockerignore.clone(),
        };
        for path in extra {
            if path.symlink_metadata().is_ok() {
                all.extend(entries(&self.context, path, &everything)?);
            }
        }
        all.sort();
        all.dedup();
        Ok(Content::Files(hash_entries(&all)))
    }

    fn clean_tree(&self, extra: &[PathBuf]) -> Option<String> {
        let git = match Git::discover(&self.context) {
            Ok(git) => git?,
            // The files themselves can still be read.
            Err(cause) => {
                tracing::warn!("{cause}: tags are computed from the files");
                return None;
            }
        };
        let tree = git.tree_id(&self.context)?;
        let extra: Vec<&Path> = extra
            .iter()
            .map(PathBuf::as_path)
            .filter(|path| path.symlink_metadata().is_ok())
            .collect();
        let differs = |paths: &[&Path], scope| {
            git.differs(paths, scope).unwrap_or_else(|cause| {
                tracing::warn!("{cause}: tags are computed from the files");
                true
            })
        };
        if differs(&[&self.context], Scope::NotIgnored) {
            return None;
        }
        if !extra.is_empty() && differs(&extra, Scope::All) {
            return None;
        }
        Some(tree)
    }

    /// The content of the program that a command line begins with, if that is a file of the project outside the context:
    /// `../tools/make-root` decides what is built as much as the context does.
    fn script(&self, command: Option<&str>) -> Result<Option<String>> {
        let Some(word) = command.and_then(|command| command.split_whitespace().next()) else {
            return Ok(None);
        };
        if !word.contains('/') || word.starts_with('/') {
            return Ok(None);
        }
        let path = self.context.join(word);
        if !path.is_file() {
            return Ok(None);
        }
        Ok(Some(super::blob::hex(&hash_file(&path)?)))
    }
}

impl At<Build> {
    fn tag(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Settings<'a> {
            builder: &'a str,
            dockerfile: String,
            args: &'a std::collections::BTreeMap<String, String>,
            target: &'a Option<String>,
        }
        let spec = &self.spec;
        let name = spec
            .dockerfile
            .as_deref()
            .unwrap_or(Path::new("Dockerfile"));
        let path = self.context.join(name);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Err(missing("Dockerfile", &path, name));
            }
            Err(cause) => return Err(Error::io("read", &path, &cause)),
        };
        let rules = DockerIgnore::load(&self.context, Some(name))?;
        let filter = Filter {
            gitignore: true,
            dockerignore: rules.map(Into::into),
        };
        let extra: Vec<PathBuf> = dockerfile_sources(&String::from_utf8_lossy(&text))
            .into_iter()
            .map(|source| self.context.join(source))
            .collect();
        let settings = Settings {
            builder: "build",
            // The engine is left out: each makes the same image.
            dockerfile: super::blob::digest(&text),
            args: &spec.args,
            target: &spec.target,
        };
        tag(&self.content(&filter, &extra)?, &settings)
    }
}

impl At<BuildCommand> {
    fn tag(&self) -> Result<String> {
        let filter = Filter {
            gitignore: true,
            dockerignore: None,
        };
        let script = self.script(Some(&self.spec.run))?;
        let settings = ("command", &self.spec.run, script);
        tag(&self.content(&filter, &[])?, &settings)
    }
}

impl At<Layers> {
    fn tag(&self, root: &Path) -> Result<String> {
        #[derive(Serialize)]
        struct Settings<'a> {
            builder: &'a str,
            spec: Layers,
            script: Option<String>,
            base: Option<String>,
        }
        let mappings: Vec<Mapping> = check_layers(&self.spec)?;
        let filter = Filter {
            gitignore: true,
            dockerignore: None,
        };
        // What a command makes is decided by its input; files that are taken as they are must count themselves.
        let extra = if self.spec.build.is_some() {
            Vec::new()
        } else {
            mappings
                .iter()
                .map(|mapping| self.context.join(&mapping.source))
                .collect()
        };
        let base = match Base::parse(&self.spec.base) {
            Base::Scratch | Base::Reference(_) => None,
            Base::Archive(path) => Some(archive_identity(&root.join(path))?),
        };
        let settings = Settings {
            builder: "layers",
            spec: Layers {
                context: None,
                ..self.spec.clone()
            },
            script: self.script(self.spec.build.as_deref())?,
            base,
        };
        tag(&self.content(&filter, &extra)?, &settings)
    }
}

/// A usage error about a path that does not exist, with the nearest name that does.
pub(super) fn missing(what: &str, path: &Path, written: &Path) -> Error {
    let names: Vec<String> = path
        .parent()
        .and_then(|parent| std::fs::read_dir(parent).ok())
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let found = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Error::usage(format!("{what} {} does not exist", written.display()))
        .cause(format!("looked for {}", path.display()))
        .maybe_hint(did_you_mean(&found, names.iter().map(String::as_str)))
}

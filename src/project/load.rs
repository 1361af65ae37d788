//! Finding and reading `dev.yaml`.

use std::path::{Path, PathBuf};

use super::forms::right_form;
use super::{Project, validate};
use crate::error::{Error, Place, Result, did_you_mean};
use crate::manifest::yaml;

/// The names a project file may have, in order of preference.
const NAMES: [&str; 2] = ["dev.yaml", "dev.yml"];

/// A project that was read and checked.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub project: Project,
    /// The file, as the person would name it.
    pub file: PathBuf,
    /// The folder that all of its paths are relative to.
    pub root: PathBuf,
    text: String,
}

impl Loaded {
    /// Finds and reads the project file: the one named, else the nearest `dev.yaml` upwards from `from`.
    pub fn find(named: Option<&Path>, from: &Path) -> Result<Self> {
        let file = match named {
            Some(named) if named.is_dir() => within(named).ok_or_else(|| {
                Error::usage(format!("there is no dev.yaml in {}", named.display()))
                    .hint("name the file, or a folder that has one: -f path/to/dev.yaml")
            })?,
            Some(named) => named.to_path_buf(),
            None => search(from)?,
        };
        let text = std::fs::read_to_string(&file).map_err(|cause| {
            let error = Error::usage(format!("cannot read {}", file.display())).caused_by(&cause);
            match cause.kind() {
                std::io::ErrorKind::NotFound => error.maybe_hint(nearest_file(&file)),
                std::io::ErrorKind::InvalidData => error.hint("the file must be UTF-8 text"),
                _ => error,
            }
        })?;
        Self::parse(&text, &file)
    }

    /// Whether there is a `dev.yaml` in `from` or a folder above it.
    pub fn is_near(from: &Path) -> bool {
        from.ancestors().any(|folder| within(folder).is_some())
    }

    /// Reads and checks the text of a project file.
    ///
    /// # Errors
    /// Everything that is wrong with the text is a usage error with its place. Files that it names are not
    /// looked at.
    pub fn parse(text: &str, file: &Path) -> Result<Self> {
        let project: Project = yaml::from_str_with(text, file, &right_form)?;
        let root = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let loaded = Self {
            project,
            file: file.to_path_buf(),
            root,
            text: text.to_owned(),
        };
        validate::check(&loaded)?;
        Ok(loaded)
    }

    /// The place of a key or value of the file, for an error about it.
    pub fn place(&self, path: &[&str]) -> Place {
        match yaml::locate(&self.text, 1, path) {
            Some((line, column)) => Place::at(&self.file, line, column),
            None => Place::file(&self.file),
        }
    }
}

/// The file beside a missing one that may have been meant.
fn nearest_file(missing: &Path) -> Option<String> {
    let folder = missing
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let names: Vec<String> = std::fs::read_dir(folder.unwrap_or(Path::new(".")))
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
        .collect();
    let wanted = missing.file_name()?.to_string_lossy();
    did_you_mean(&wanted, names.iter().map(String::as_str))
}

fn within(folder: &Path) -> Option<PathBuf> {
    NAMES
        .iter()
        .map(|name| folder.join(name))
        .find(|file| file.is_file())
}

fn search(from: &Path) -> Result<PathBuf> {
    let found = from.ancestors().find_map(within).ok_or_else(|| {
        Error::usage(format!(
            "there is no dev.yaml in {} or any folder above it",
            from.display()
        ))
        .hint("go to your project's folder, or name the file: dev -f path/to/dev.yaml …")
    })?;
    // A path relative to here is how the person would name it.
    Ok(found
        .strip_prefix(from)
        .map(Path::to_path_buf)
        .unwrap_or(found))
}

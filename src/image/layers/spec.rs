//! What dev.yaml says about layers, checked before anything is read.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::project::Layers;

/// One entry of `files:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Relative to the context, without `.` and `..`; empty for the context itself.
    pub source: PathBuf,
    /// Whether it was written with a slash at its end: it must be a directory.
    pub source_is_dir: bool,
    /// Relative to the image's root.
    pub dest: PathBuf,
    /// Whether it was written with a slash at its end: a file goes into it under its own name.
    pub dest_is_dir: bool,
}

/// What is below the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base<'a> {
    /// Nothing.
    Scratch,
    /// A docker or OCI archive.
    Archive(&'a Path),
    /// An image in a registry.
    Reference(&'a str),
}

impl<'a> Base<'a> {
    /// Reads `base:`.
    pub fn parse(text: &'a str) -> Self {
        match text {
            "" | "scratch" => Self::Scratch,
            text if text.starts_with(['/', '.']) => Self::Archive(Path::new(text)),
            text => Self::Reference(text),
        }
    }
}

/// Checks everything that can be checked without files, and reads the mappings.
///
/// # Errors
/// Usage errors, each about one value.
pub fn check_layers(spec: &Layers) -> Result<Vec<Mapping>> {
    if spec.files.is_empty() && Base::parse(&spec.base) == Base::Scratch {
        return Err(Error::usage("`layers` has neither `files` nor a `base`")
            .hint("write files: {bin/web: /app/web}"));
    }
    if let Base::Reference(reference) = Base::parse(&spec.base) {
        super::super::reference::parse_reference(reference).map_err(|error| {
            error.hint("a path of an archive begins with ./ or /; no base at all is `scratch`")
        })?;
    }
    check_user(spec.user.as_deref())?;
    if let Some(workdir) = &spec.workdir
        && !workdir.starts_with('/')
    {
        return Err(Error::usage(format!(
            "workdir \"{workdir}\" is not absolute"
        )));
    }
    for name in spec.env.keys() {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Error::usage(format!(
                "env: \"{name}\" cannot be a variable's name"
            )));
        }
    }
    if let Some(port) = spec.ports.iter().find(|port| **port == 0) {
        return Err(Error::usage(format!("ports: {port} is no port")));
    }
    spec.files
        .iter()
        .map(|(source, dest)| mapping(source, dest))
        .collect()
}

fn mapping(source: &str, dest: &str) -> Result<Mapping> {
    let wrong = |why: &str| Error::usage(format!("files: {{{source}: {dest}}}: {why}"));
    if source.is_empty() {
        return Err(wrong("the source is empty"));
    }
    if source.starts_with('/') {
        return Err(wrong("the source is absolute")
            .hint("sources are relative to the context; move it there, or set `context`"));
    }
    if !dest.starts_with('/') {
        return Err(wrong("the destination is not absolute").hint(format!("write /{dest}")));
    }
    let clean_source = clean(source).ok_or_else(|| {
        wrong("the source leads out of the context with ..")
            .hint("set `context` to a directory above")
    })?;
    let clean_dest =
        clean(dest).ok_or_else(|| wrong("the destination leads out of the image with .."))?;
    let dest_is_dir = dest.ends_with('/') || clean_dest.as_os_str().is_empty();
    Ok(Mapping {
        source_is_dir: source.ends_with('/') || clean_source.as_os_str().is_empty(),
        source: clean_source,
        dest: clean_dest,
        dest_is_dir,
    })
}

/// Without `.`, `..` and the leading slash. `None`: it leads above its root.
fn clean(path: &str) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
        }
    }
    Some(clean)
}

fn check_user(user: Option<&str>) -> Result<()> {
    let Some(user) = user else {
        return Ok(());
    };
    let id = |text: &str| text.parse::<u32>().is_ok();
    let good = match user.split_once(':') {
        Some((user, group)) => id(user) && id(group),
        None => id(user),
    };
    if good {
        return Ok(());
    }
    Err(Error::usage(format!("user \"{user}\" is not UID[:GID]"))
        .hint("names are not looked up, and Kubernetes' runAsNonRoot wants a number, such as 65532:65532"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> Result<Vec<Mapping>> {
        check_layers(&Layers {
            files: files
                .iter()
                .map(|(source, dest)| ((*source).to_owned(), (*dest).to_owned()))
                .collect(),
            ..Layers::default()
        })
    }

    #[test]
    fn mappings_are_cleaned() {
        let found = check(&[("./a/../b/", "/x//y/")]).unwrap();
        let expected = Mapping {
            source: "b".into(),
            source_is_dir: true,
            dest: "x/y".into(),
            dest_is_dir: true,
        };
        assert_eq!(found, [expected]);
        let found = check(&[("./", "/")]).unwrap();
        assert_eq!(found[0].source, Path::new(""));
        assert!(found[0].source_is_dir && found[0].dest_is_dir);
    }

    #[test]
    fn mistakes_are_explained() {
        for (source, dest, expected) in [
            ("/etc/passwd", "/x", "the source is absolute"),
            ("../x", "/x", "out of the context"),
            ("a/../../x", "/x", "out of the context"),
            ("a", "x", "not absolute"),
            ("a", "/../x", "out of the image"),
            ("", "/x", "the source is empty"),
        ] {
            let error = check(&[(source, dest)]).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        }
        assert!(check(&[]).unwrap_err().message().contains("neither"));
    }

    #[test]
    fn users_are_numbers() {
        for user in ["0", "65532:65532"] {
            check_user(Some(user)).unwrap();
        }
        for user in ["app", "1:", ":1", "-1", "1:2:3", ""] {
            assert!(check_user(Some(user)).is_err(), "{user}");
        }
    }
}

//! The text of one file on its way to objects: rendered, parsed, checked, with errors that name the file a person wrote.

use std::path::{Path, PathBuf};

use super::snippet::snippet;
use super::template::Renderer;
use super::{Manifest, Origin, validate, yaml};
use crate::error::{Error, Place, Result};

/// Reads a file and gives its objects. `file` is relative to `root`, and is how errors name it.
pub fn objects(
    file: &Path,
    root: &Path,
    service: &str,
    renderer: &Renderer,
) -> Result<Vec<Manifest>> {
    let source = read(file, root)?;
    let rendered = renderer.render(&source, file)?;
    let lines = Lines::of(&source, &rendered);
    parse(&rendered, file, service, lines)
}

/// The text of a file.
pub fn read(file: &Path, root: &Path) -> Result<String> {
    let bytes = std::fs::read(root.join(file)).map_err(|cause| Error::io("read", file, &cause))?;
    String::from_utf8(bytes).map_err(|cause| {
        let at = cause.utf8_error().valid_up_to();
        let line = cause.as_bytes()[..at]
            .iter()
            .filter(|&&b| b == b'\n')
            .count()
            + 1;
        Error::usage("the file is not UTF-8 text").at(Place::at(file, line, 1))
    })
}

/// How the lines of a rendered text relate to those of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Line by line the same.
    Same,
    /// A template moved them: only the file can be named.
    Moved,
}

impl Lines {
    fn of(source: &str, rendered: &str) -> Self {
        let has_template = |line: &str| ["{{", "{%", "{#"].iter().any(|open| line.contains(open));
        let same = source.lines().count() == rendered.lines().count()
            && source
                .lines()
                .zip(rendered.lines())
                .all(|(before, after)| before == after || has_template(before));
        if same { Self::Same } else { Self::Moved }
    }
}

/// The objects of a text, checked.
pub fn parse(text: &str, file: &Path, service: &str, lines: Lines) -> Result<Vec<Manifest>> {
    let documents = yaml::documents(text, file).map_err(|error| relocate(error, file, lines))?;
    let mut manifests = Vec::with_capacity(documents.len());
    for document in documents {
        if let Err(problem) = validate::check(&document.value) {
            let keys: Vec<&str> = problem.path.iter().map(String::as_str).collect();
            let (line, column) =
                yaml::locate(text, document.line, &keys).unwrap_or((document.line, 1));
            let error = Error::usage(problem.message)
                .at(Place::at(file, line, column))
                .snippet(snippet(text, line, column, 1))
                .maybe_hint(problem.hint);
            return Err(relocate(error, file, lines));
        }
        let place = match lines {
            Lines::Same => Place::at(file, document.line, document.column),
            Lines::Moved => Place::file(file),
        };
        manifests.push(Manifest {
            value: document.value,
            origin: Origin {
                service: service.to_owned(),
                place: Some(place),
            },
        });
    }
    Ok(manifests)
}

/// An error about an object as a whole, at its name: where the text of the file still says which that is.
pub fn at_the_name(error: Error, root: &Path) -> Error {
    let Some(Place {
        file,
        line: Some(line),
        ..
    }) = error.place().cloned()
    else {
        return error;
    };
    let text = read(&file, root).unwrap_or_default();
    match yaml::locate(&text, line, &["metadata", "name"]) {
        Some((line, column)) => error
            .at(Place::at(file, line, column))
            .snippet(snippet(&text, line, column, 1)),
        None => error,
    }
}

/// The place of a field of an object that begins at this place, as far as the text of the file still says where that is: what a
/// template wrote, or was added later, is told by what it is in.
pub fn place_of(object: &Place, root: &Path, keys: &[String]) -> Place {
    let Some(line) = object.line.filter(|_| !keys.is_empty()) else {
        return object.clone();
    };
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let text = read(&object.file, root).unwrap_or_default();
    match yaml::locate(&text, line, &keys) {
        Some((line, column)) => Place::at(&object.file, line, column),
        None => object.clone(),
    }
}

/// An error about a rendered text whose lines are not those of the file names the file, and says what the line means.
fn relocate(error: Error, file: &Path, lines: Lines) -> Error {
    let line = error.place().and_then(|place| place.line);
    match (lines, line) {
        (Lines::Moved, Some(line)) => error.at(Place::file(PathBuf::from(file))).hint(format!(
            "line {line} of the rendered text, which is what is shown; see it with: dev render"
        )),
        _ => error,
    }
}

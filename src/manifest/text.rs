//! The text of one file on its way to objects: rendered, parsed, checked, with errors that name the file a person wrote.

use std::path::{Path, PathBuf};

use super::snippet::Text;
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
    let text = match lines {
        Lines::Same => Text::Rendered {
            made: &rendered,
            written: &source,
        },
        Lines::Moved => Text::Made {
            made: &rendered,
            written: Some(&source),
        },
    };
    parse(text, file, service, lines)
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
pub fn parse(text: Text<'_>, file: &Path, service: &str, lines: Lines) -> Result<Vec<Manifest>> {
    let documents = yaml::documents(text, file).map_err(|error| relocate(error, file, lines))?;
    let mut manifests = Vec::with_capacity(documents.len());
    for document in documents {
        if let Err(problem) = validate::check(&document.value) {
            let keys: Vec<&str> = problem.path.iter().map(String::as_str).collect();
            let (line, column) =
                yaml::locate(text.text(), document.line, &keys).unwrap_or((document.line, 1));
            let error = Error::usage(problem.message)
                .at(Place::at(file, line, column))
                .snippet(text.excerpt(line, column, 1))
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
            .snippet(Text::Written(&text).excerpt(line, column, 1)),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::manifest::Context;

    /// What a person and a program are shown of the error of this file, with the variable `word`.
    fn told(file: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.yaml"), file).unwrap();
        let context = Context {
            vars: BTreeMap::from([("word".to_owned(), "hunter2".into())]),
            ..Context::default()
        };
        let renderer = Renderer::new(&context).unwrap();
        let error = objects(Path::new("x.yaml"), dir.path(), "web", &renderer).unwrap_err();
        let json = serde_json::to_string(&error).unwrap();
        format!("{}\n{json}", crate::ui::render_error(&error))
    }

    #[test]
    fn no_error_of_a_file_shows_what_is_secret_in_it() {
        for file in [
            // Broken YAML, in a Secret and in what has not come to its kind.
            "apiVersion: v1\nkind: Secret\nstringData:\n  p: hunter2\n q: [\n",
            "stringData:\n  p: hunter2\n q: [\nkind: Secret\n",
            "kind: Secret\nstringData:\n  p: !!int hunter2\n",
            "kind: Secret\nstringData:\n  p: *hunter2\n",
            "kind: Secret\nstringData:\n  p: x\n  p: hunter2\n",
            // Objects that are none.
            "kind: Secret\nstringData: {p: hunter2}\n",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: hunter2\n",
            "hunter2\n",
            "- hunter2\n",
            "kind: hunter2 hunter2\napiVersion: v1\nmetadata: {name: hunter2}\n"
                .replace("hunter2 hunter2", "Secret")
                .replace("name: hunter2", "nam: hunter2")
                .as_str(),
            // Values of variables, in any kind of object.
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {{ vars.word }}\n",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  p: {{ vars.word }}\n q: [\n",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n{% for i in [1, 2] %}  p: {{ vars.word }}\n{% endfor %}",
            "{% set p = vars.word %}\n{% for i in [1, 2] %}\np: {{ p }}\n{% endfor %} q: [\n",
        ] {
            let told = told(file);
            assert!(!told.contains("hunter2"), "{file}\n{told}");
        }
    }

    #[test]
    fn the_lines_of_an_excerpt_are_those_of_the_file() {
        let told =
            told("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {{ vars.word }}\n");
        assert!(told.contains("4 | data: {{ vars.word }}"), "{told}");
        assert!(told.contains("x.yaml:4"), "{told}");
    }
}

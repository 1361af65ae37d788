//! YAML as Kubernetes reads it. The only file that names the YAML crate.
//!
//! Kubernetes reads YAML 1.1 by go-yaml v2 (`yes` is a boolean, `0644` is 420); the crate's own inference differs from
//! that in places (`yEs`, `08`, `1.5e400`), so manifests are composed from the crate's parser events by the rules of
//! go-yaml, while `dev.yaml` is read into types by the crate itself.

mod compose;
mod path;
mod scalar;
mod split;
#[cfg(test)]
mod tests;
mod write;

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::DoubleQuoted;
use serde_saphyr::Error as Cause;
use serde_saphyr::granit_parser as parser;

use super::snippet::Text;
use crate::error::{Error, Place, Result, did_you_mean};
use crate::manifest::Manifest;

/// One YAML document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its content.
    pub value: Value,
    /// The line of its first content, from 1.
    pub line: usize,
    /// The column (in characters) of its first content, from 1.
    pub column: usize,
}

/// Reads one document into a type.
///
/// # Errors
/// Names the place, the value, what was expected, and the nearest valid name of a misspelt field or variant.
pub fn from_str<T: DeserializeOwned>(text: &str, file: &Path) -> Result<T> {
    from_str_with(text, file, &|_, _| None)
}

/// What is right where something of a wrong type was found: from the path (`services.web.needs`) and what stands there.
pub type Form<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

/// Like [`from_str`], with a hint for values of a wrong type.
pub fn from_str_with<T: DeserializeOwned>(text: &str, file: &Path, form: Form<'_>) -> Result<T> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|cause| typed(&cause, text, file, form))
}

/// Reads every document of a text of Kubernetes objects: empty documents are left out, a `kind: List` gives its
/// items. JSON is read too.
///
/// # Errors
/// Names the place of broken YAML, of duplicate keys, and of what would expand without bounds.
pub fn documents(source: Text<'_>, file: &Path) -> Result<Vec<Document>> {
    let text = source.text();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let composed = split::compose_all(text).map_err(|fault| {
        let place = Place::at(file, fault.line, fault.column);
        Error::usage(format!("cannot read YAML: {}", fault.message))
            .at(place)
            .snippet(source.excerpt(fault.line, fault.column, fault.length))
            .maybe_hint(fault.hint)
    })?;
    let mut documents = Vec::with_capacity(composed.len());
    for document in composed {
        match document.value {
            Value::Null => {}
            value if is_list(&value) => {
                let items = match value {
                    Value::Object(mut list) => list.remove("items").unwrap_or_default(),
                    _ => Value::Null,
                };
                let items = match items {
                    Value::Array(items) => items,
                    _ => Vec::new(),
                };
                let places = document
                    .items
                    .into_iter()
                    .chain(std::iter::repeat(document.place));
                let items = items.into_iter().zip(places);
                documents.extend(items.map(|(value, (line, column))| Document {
                    value,
                    line,
                    column,
                }));
            }
            value => documents.push(Document {
                value,
                line: document.place.0,
                column: document.place.1,
            }),
        }
    }
    Ok(documents)
}

/// The place (line and column from 1) of the scalar that `keys` lead to, or of the key of anything larger, from the first
/// mapping that begins on `line` of a text or after it; where the path ends early, of the last key that is there. A list's
/// element is named by its index. For errors about what was read.
pub fn locate(text: &str, line: usize, keys: &[&str]) -> Option<(usize, usize)> {
    path::locate(text.strip_prefix('\u{feff}').unwrap_or(text), line, keys)
}

/// `v1` `List`, and the typed lists that `kubectl get -o yaml` and clients write (`DeploymentList`).
fn is_list(value: &Value) -> bool {
    let kind = value["kind"].as_str().unwrap_or_default();
    let items = value.get("items");
    (kind == "List" && items.is_none_or(|items| items.is_array() || items.is_null()))
        || (kind.ends_with("List")
            && value.get("spec").is_none()
            && items.is_some_and(Value::is_array))
}

/// The YAML text of a value, read the same by YAML 1.1 and 1.2.
pub fn to_string<T: Serialize>(value: &T) -> Result<String> {
    let value = serde_json::to_value(value)
        .map_err(|cause| Error::failed("cannot write YAML").caused_by(&cause))?;
    value_to_string(&value)
}

fn value_to_string(value: &Value) -> Result<String> {
    let options = serde_saphyr::ser_options! {
        // Long lines stay one line: folded text is hard to compare and to search.
        folded_wrap_chars: usize::MAX,
    };
    serde_saphyr::to_string_with_options(&write::Written(value), options)
        .map_err(|cause| Error::failed("cannot write YAML").caused_by(&cause))
}

/// The YAML text of many objects, as `kubectl apply -f -` takes it.
pub fn stream(manifests: &[Manifest]) -> Result<String> {
    let mut text = String::new();
    for manifest in manifests {
        text.push_str("---\n");
        text.push_str(&value_to_string(&manifest.value)?);
    }
    Ok(text)
}

fn typed(cause: &Cause, text: &str, file: &Path, form: Form<'_>) -> Error {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let cause = cause.without_snippet();
    let (line, column) = cause
        .location()
        .map_or((0, 0), |at| (at.line() as usize, at.column() as usize));
    let source = Text::Project(text);
    let found = value_at(text, line, column);
    let path = path::at(text, line, column);
    let (message, hint) = if source.is_free(line, column) {
        (fault(cause).what.to_owned(), None)
    } else {
        let (message, hint) = explain(cause, &found);
        let of_path = path.as_deref().filter(|_| is_of_type(cause));
        (message, hint.or_else(|| form(of_path?, &found)))
    };
    let message = match path {
        Some(path) => format!("{path}: {message}"),
        None => message,
    };
    let place = if line == 0 {
        Place::file(file)
    } else {
        Place::at(file, line, column)
    };
    Error::usage(message)
        .at(place)
        .snippet(source.excerpt(line, column, found.chars().count()))
        .maybe_hint(hint)
}

/// Whether an error is about the type of a value.
fn is_of_type(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Unexpected { .. } | Cause::SerdeInvalidType { .. } | Cause::InvalidScalar { .. }
    )
}

/// The token that begins at a place, for messages.
fn value_at(text: &str, line: usize, column: usize) -> String {
    let rest: String = text
        .lines()
        .nth(line.wrapping_sub(1))
        .unwrap_or_default()
        .chars()
        .skip(column.saturating_sub(1))
        .collect();
    let end = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map(|at| at + 2),
        Some('[' | '{') => flow_end(&rest),
        _ => [": ", " #", ", ", "]", "}"]
            .iter()
            .filter_map(|stop| rest.find(stop))
            .min(),
    };
    let token = rest[..end.unwrap_or(rest.len())].trim_end();
    let token = token.strip_suffix(':').unwrap_or(token);
    token.chars().take(60).collect()
}

/// Where a list or mapping in brackets ends on its line.
fn flow_end(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' => open += 1,
            ']' | '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at + c.len_utf8());
        }
    }
    None
}

/// What is wrong with a text that is secret: nothing here is taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretFault {
    /// One sentence without a full stop.
    pub what: &'static str,
    /// Line and column from 1, where known.
    pub place: Option<(usize, usize)>,
}

/// What an error of the YAML crate says about a text of which nothing may be shown.
pub fn fault(cause: &Cause) -> SecretFault {
    let cause = cause.without_snippet();
    let what = match cause {
        Cause::SerdeUnknownField { .. } => "there is a field that is not known",
        Cause::SerdeUnknownVariant { .. } => "a value is none of those that can stand there",
        Cause::SerdeMissingField { .. } => "a field is missing",
        Cause::InvalidScalar { .. }
        | Cause::Unexpected { .. }
        | Cause::SerdeInvalidType { .. }
        | Cause::SerdeInvalidValue { .. }
        | Cause::NullIntoString { .. }
        | Cause::Message { .. } => "a value is of another kind than what is expected there",
        Cause::DuplicateMappingKey { .. } => "a key is there twice",
        Cause::Eof { .. } => "it is empty",
        Cause::MultipleDocuments { .. } => "it holds several documents",
        Cause::UnknownAnchor { .. } => "an alias (*) has no anchor (&)",
        // The list of errors is long and open; all others are about syntax.
        _ => "it is no YAML",
    };
    let place = cause
        .location()
        .map(|at| (at.line() as usize, at.column() as usize));
    SecretFault { what, place }
}

/// The sentence and the hint for an error of the YAML crate. `found` is the text at its place.
fn explain(cause: &Cause, found: &str) -> (String, Option<String>) {
    let wanted = |what: &str| format!("expected {what}, found \"{found}\"");
    match cause {
        Cause::SerdeUnknownField {
            field, expected, ..
        } => (
            format!("unknown field \"{field}\", expected {}", one_of(expected)),
            did_you_mean(field, expected.iter().copied()),
        ),
        Cause::SerdeUnknownVariant {
            variant, expected, ..
        } => (
            format!("unknown value \"{variant}\", expected {}", one_of(expected)),
            did_you_mean(variant, expected.iter().copied()),
        ),
        Cause::SerdeMissingField { field, .. } => {
            (format!("the field \"{field}\" is missing"), None)
        }
        Cause::InvalidScalar { ty, .. } => (wanted(type_name(ty)), None),
        Cause::Unexpected { expected, .. } => {
            let hint = (found.is_empty() || found == "null")
                .then(|| "the value is empty; leave the key out or give it a value".to_owned());
            (wanted(type_name(expected)), hint)
        }
        Cause::SerdeInvalidType { expected, .. } | Cause::SerdeInvalidValue { expected, .. } => {
            (wanted(expected), None)
        }
        Cause::NullIntoString { .. } => (
            "expected text, found nothing".to_owned(),
            Some("write \"\" for empty text".to_owned()),
        ),
        Cause::DuplicateMappingKey { .. } => (format!("the key \"{found}\" is here twice"), None),
        Cause::Eof { .. } => ("the file is empty".to_owned(), None),
        Cause::MultipleDocuments { .. } => (
            "expected one YAML document, found several".to_owned(),
            Some("remove the line with ---".to_owned()),
        ),
        Cause::UnknownAnchor { .. } => (format!("no anchor for the alias {found}"), None),
        // The `expecting` of an untagged type.
        Cause::Message { msg, .. } if msg.starts_with("a string or ") => (wanted(msg), None),
        Cause::Message { msg, .. } if msg.contains("did not match any variant") => (
            format!("\"{found}\" has none of the forms that are expected here"),
            None,
        ),
        // The crate's own sentence serves for syntax, limits and what it adds later.
        other => {
            let render = serde_saphyr::render_options! {
                formatter: &serde_saphyr::UserMessageFormatter,
                snippets: serde_saphyr::SnippetMode::Off,
            };
            let text = other.render_with_options(render);
            let text = text.split(" at line ").next().unwrap_or(&text);
            (format!("cannot read YAML: {text}"), None)
        }
    }
}

fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing here".to_owned(),
        [one] => format!("\"{one}\""),
        many => format!("one of {}", many.join(", ")),
    }
}

fn type_name(name: &str) -> &str {
    match name {
        "boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number that fits, not negative",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number that fits",
        "floating point" => "a number",
        "string scalar" => "text",
        "sequence start" => "a list",
        "mapping start" => "a mapping (key: value)",
        other => other,
    }
}

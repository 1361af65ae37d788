//! The shape that every object must have before anything is done with it, and that names occur once.

use std::collections::HashMap;

use serde_json::Value;

use super::names;
use crate::error::{Error, Result, did_you_mean};
use crate::manifest::Manifest;

/// What is wrong with an object: the sentence, and the path of keys to the value.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// One sentence without a full stop.
    pub message: String,
    /// The keys that lead to the value, or to where it is missing.
    pub path: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    fn new(path: &[&str], message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            path: path.iter().map(|&key| key.to_owned()).collect(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Checks `apiVersion`, `kind`, the name, and that labels, annotations, ConfigMap data and environment values are text.
pub fn check(value: &Value) -> Result<(), Problem> {
    let Some(object) = value.as_object() else {
        return Err(Problem::new(
            &[],
            format!("a Kubernetes object is a mapping, found {}", show(value)),
        )
        .hint("each document needs apiVersion, kind and metadata"));
    };
    let api_version = text(value, &["apiVersion"])?;
    let kind = text(value, &["kind"])?;
    if !names::is_api_version(api_version) {
        return Err(Problem::new(
            &["apiVersion"],
            format!("apiVersion \"{api_version}\" is not VERSION or GROUP/VERSION"),
        ));
    }
    if !names::is_kind(kind) {
        return Err(Problem::new(
            &["kind"],
            format!("kind \"{kind}\" is no name of a kind"),
        ));
    }
    match object.get("metadata") {
        Some(Value::Object(_)) => {}
        Some(other) => {
            return Err(Problem::new(
                &["metadata"],
                format!("metadata must be a mapping, found {}", show(other)),
            ));
        }
        None => {
            let near = object.keys().map(String::as_str);
            let hint = near
                .filter_map(|key| did_you_mean(key, ["metadata"]))
                .next();
            let problem = Problem::new(&[], format!("{kind} has no metadata"));
            return Err(match hint {
                Some(hint) => problem.hint(hint),
                None => problem.hint("metadata: {name: …} names the object"),
            });
        }
    }
    if value["metadata"].get("generateName").is_some() {
        return Err(Problem::new(
            &["metadata", "generateName"],
            format!("{kind} uses generateName, which makes another object each time"),
        )
        .hint("give it metadata.name: dev updates and removes objects by name"));
    }
    let name = text(value, &["metadata", "name"])?;
    names::check(kind, name).map_err(|message| Problem::new(&["metadata", "name"], message))?;
    if let Some(namespace) = value["metadata"].get("namespace") {
        let legal = namespace.as_str().is_some_and(names::is_label);
        if !legal && !namespace.is_null() {
            let namespace = namespace
                .as_str()
                .map_or_else(|| show(namespace), |text| format!("\"{text}\""));
            return Err(Problem::new(
                &["metadata", "namespace"],
                format!("namespace {namespace} is no DNS label"),
            ));
        }
    }
    for field in ["labels", "annotations"] {
        texts(value, &["metadata", field])?;
    }
    if kind == "ConfigMap" {
        texts(value, &["data"])?;
    }
    if kind == "Secret" {
        for field in ["stringData", "data"] {
            texts(value, &[field]).map_err(|problem| without_value(problem, value))?;
        }
        base64(value, "data")?;
    }
    if kind == "ConfigMap" {
        base64(value, "binaryData")?;
    }
    Ok(())
}

/// The string at a path.
fn text<'a>(value: &'a Value, path: &[&str]) -> Result<&'a str, Problem> {
    let shown = path.join(".");
    let mut at = value;
    for key in path {
        at = match at.get(key) {
            Some(next) => next,
            None => {
                let near = at.as_object().into_iter().flat_map(|map| map.keys());
                let hint = near
                    .filter(|other| did_you_mean(other, [*key]).is_some())
                    .map(|other| format!("is \"{other}\" meant to be \"{key}\"?"))
                    .next();
                let problem = Problem::new(path, format!("{shown} is missing"));
                return Err(match hint {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
            }
        };
    }
    match at {
        Value::String(text) if !text.is_empty() => Ok(text),
        Value::Null => Err(Problem::new(path, format!("{shown} is empty"))),
        Value::String(_) => Err(Problem::new(path, format!("{shown} is empty"))),
        other => Err(
            Problem::new(path, format!("{shown} must be text, found {}", show(other)))
                .hint(format!("quote it: \"{}\"", plain(other))),
        ),
    }
}

/// A mapping whose values are all strings, where it is there.
fn texts(value: &Value, path: &[&str]) -> Result<(), Problem> {
    let shown = path.join(".");
    let mut at = value;
    for key in path {
        match at.get(key) {
            Some(next) => at = next,
            None => return Ok(()),
        }
    }
    match at {
        Value::Null => Ok(()),
        Value::Object(map) => {
            for (key, value) in map {
                // The API server drops null entries.
                if !value.is_string() && !value.is_null() {
                    let mut path = path.to_vec();
                    path.push(key);
                    return Err(Problem::new(
                        &path,
                        format!("{shown}.{key} must be text, found {}", show(value)),
                    )
                    .hint(format!("quote it: \"{}\"", plain(value))));
                }
            }
            Ok(())
        }
        other => Err(Problem::new(
            path,
            format!("{shown} must be a mapping, found {}", show(other)),
        )),
    }
}

/// The problem of a Secret's field, which is not quoted.
fn without_value(problem: Problem, value: &Value) -> Problem {
    let path: Vec<&str> = problem.path.iter().map(String::as_str).collect();
    let wanted = if path.len() > 1 { "text" } else { "a mapping" };
    let found = path.iter().fold(value, |at, key| &at[*key]);
    let message = format!(
        "{} must be {wanted}, found {}",
        path.join("."),
        type_of(found)
    );
    let again = Problem::new(&path, message);
    match problem.hint {
        Some(_) => again.hint("quote the value"),
        None => again,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// A mapping whose values are bytes, in Base64 as the API server reads it. Values are not told: the likely mistake is a password in
/// plain text.
fn base64(value: &Value, field: &str) -> Result<(), Problem> {
    use base64::alphabet::STANDARD;
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
    use base64::{DecodeError, Engine as _};
    // Go leaves line ends out, and does not look at the bits after the last byte.
    let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&STANDARD, lenient);
    for (key, value) in value[field].as_object().into_iter().flatten() {
        let Some(text) = value.as_str() else { continue };
        let bytes = text.replace(['\r', '\n'], "");
        let why = match engine.decode(bytes) {
            Ok(_) => continue,
            Err(DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _)) => {
                format!("its character {} is not allowed", at + 1)
            }
            Err(DecodeError::InvalidLength(_)) => "its length is no multiple of 4".to_owned(),
            Err(DecodeError::InvalidPadding) => "the = at its end are wrong".to_owned(),
        };
        let message = format!("{field}.{key} must be Base64, but {why}");
        let problem = Problem::new(&[field, key], message);
        return Err(match field {
            "data" => problem.hint("plain text goes into stringData"),
            _ => problem.hint("plain text goes into data"),
        });
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => "…".to_owned(),
        other => other.to_string(),
    }
}

/// Numbers and booleans are quoted: which of them YAML reads is what people do not expect. Texts may be anything.
fn show(value: &Value) -> String {
    match value {
        Value::Bool(yes) => format!("the boolean {yes}"),
        Value::Number(number) => format!("the number {number}"),
        other => type_of(other).to_owned(),
    }
}

/// Fails where two objects have the same group, kind, namespace and name; names both places.
pub fn check_unique(manifests: &[Manifest]) -> Result<()> {
    let mut seen: HashMap<(String, String, Option<String>, String), &Manifest> = HashMap::new();
    for manifest in manifests {
        let key = manifest.key();
        let identity = (
            key.group().to_owned(),
            key.kind.clone(),
            key.namespace.clone(),
            key.name.clone(),
        );
        let Some(first) = seen.insert(identity, manifest) else {
            continue;
        };
        let mut error = Error::usage(format!("{key} is defined twice"))
            .cause(format!("first by {}", origin(first)))
            .cause(format!("again by {}", origin(manifest)));
        if let Some(place) = &manifest.origin.place {
            error = error.at(place.clone());
        }
        return Err(
            error.hint(if first.origin.service == manifest.origin.service {
                "give one of them another name, or remove one"
            } else {
                "objects that services share belong to one of them; the others name it under needs:"
            }),
        );
    }
    Ok(())
}

fn origin(manifest: &Manifest) -> String {
    let service = &manifest.origin.service;
    match &manifest.origin.place {
        Some(place) => format!("service {service} at {place}"),
        None => format!("service {service}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;
    use crate::manifest::Origin;
    use serde_json::json;

    #[test]
    fn wrong_shapes_are_told_with_their_path() {
        let cases = [
            (json!([1]), "a Kubernetes object is a mapping", ""),
            (json!({"kind": "A"}), "apiVersion is missing", ""),
            (
                json!({"apiversion": "v1", "kind": "A"}),
                "apiVersion is missing",
                "is \"apiversion\" meant",
            ),
            (
                json!({"apiVersion": "v1/x/y", "kind": "A"}),
                "is not VERSION or GROUP/VERSION",
                "",
            ),
            (
                json!({"apiVersion": "v1", "kind": 5}),
                "kind must be text, found the number 5",
                "quote it",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A b"}),
                "no name of a kind",
                "",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A"}),
                "A has no metadata",
                "",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A", "metdata": {}}),
                "A has no metadata",
                "did you mean \"metadata\"?",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A", "metadata": {"generateName": "a-"}}),
                "uses generateName",
                "give it metadata.name",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": null}}),
                "metadata.name is empty",
                "",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": 12}}),
                "metadata.name must be text, found the number 12",
                "quote it: \"12\"",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "A_b"}}),
                "A_b",
                "",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a", "namespace": "A b"}}),
                "is no DNS label",
                "",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a", "labels": {"on": true}}}),
                "metadata.labels.on must be text, found the boolean true",
                "quote it: \"true\"",
            ),
            (
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"port": 80}}),
                "data.port must be text",
                "quote it: \"80\"",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"pin": 12345}}),
                "data.pin must be text, found a number",
                "quote the value",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": "12345"}),
                "stringData must be a mapping, found text",
                "",
            ),
            (
                json!("12345"),
                "a Kubernetes object is a mapping, found text",
                "",
            ),
        ];
        for (value, words, hint) in cases {
            let problem = check(&value).expect_err(words);
            assert!(problem.message.contains(words), "{problem:?}");
            assert!(!format!("{problem:?}").contains("12345"), "{problem:?}");
            assert!(
                problem.hint.as_deref().unwrap_or_default().contains(hint),
                "{problem:?}"
            );
        }
        let secret = |text: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"a": text}});
        for (text, words) in [
            ("pass word", "its character 5 is not allowed"),
            ("YQ", "the = at its end are wrong"),
            ("YQ==YQ==", "its character 3 is not allowed"),
            ("-_8=", "its character 1 is not allowed"),
        ] {
            let problem = check(&secret(text)).expect_err(text);
            assert!(problem.message.contains(words), "{problem:?}");
            assert!(!format!("{problem:?}").contains(text), "{problem:?}");
            assert_eq!(problem.path, ["data", "a"]);
        }
        // As the API server reads it.
        for text in ["", "YQ==", "YQ==\n", "YR==", "YWJj\r\nYWJj"] {
            assert_eq!(check(&secret(text)), Ok(()), "{text:?}");
        }
        let binary = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "binaryData": {"a": "."}});
        assert!(check(&binary).is_err());
        let fine = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "system:x"}});
        assert_eq!(check(&fine), Ok(()));
    }

    #[test]
    fn the_same_object_twice_names_both_places() {
        let make = |service: &str, line, api: &str| Manifest {
            value: json!({"apiVersion": api, "kind": "Ingress", "metadata": {"name": "web"}}),
            origin: Origin {
                service: service.into(),
                place: Some(Place::at("k8s/web.yaml", line, 1)),
            },
        };
        let error = check_unique(&[
            make("web", 1, "networking.k8s.io/v1"),
            make("edge", 9, "networking.k8s.io/v1beta1"),
        ])
        .unwrap_err();
        assert_eq!(error.message(), "Ingress web is defined twice");
        assert_eq!(
            error.causes()[0],
            "first by service web at k8s/web.yaml:1:1"
        );
        assert_eq!(
            error.causes()[1],
            "again by service edge at k8s/web.yaml:9:1"
        );
        assert!(check_unique(&[make("a", 1, "x.io/v1"), make("a", 2, "y.io/v1")]).is_ok());
    }
}

//! PURE: which fields of an object a Status is about. The API server says it in its causes, or only in its message.

use kube::core::Status;
use serde_json::Value;

/// A field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// Such as `spec.template.spec.containers[0].image`; empty where the server does not say.
    pub path: String,
    /// What is wrong, in the server's words.
    pub problem: String,
}

/// What follows the path in the messages about an object that does not fit its schema.
const TYPED: &str = "failed to create typed patch object (";
const CONVERTED: &str = "unable to convert unstructured object to ";
const STRICT: &str = "strict decoding error: ";

/// The fields that a refusal names, in its order.
pub fn problems(status: &Status) -> Vec<FieldProblem> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut found: Vec<FieldProblem> = causes
        .map(|cause| FieldProblem {
            path: cause.field.clone(),
            problem: first_line(&cause.message).to_owned(),
        })
        .collect();
    if found.is_empty() {
        found = from_message(status.message.trim());
    }
    found.dedup();
    found
}

fn from_message(message: &str) -> Vec<FieldProblem> {
    if let Some((_, rest)) = message.split_once(TYPED) {
        let (_, rest) = rest.split_once("): ").unwrap_or(("", rest));
        let rest = rest.strip_prefix("errors:").unwrap_or(rest);
        return rest.lines().filter_map(typed).collect();
    }
    let unnamed = |problem: &str| FieldProblem {
        path: String::new(),
        problem: problem.to_owned(),
    };
    if let Some((_, rest)) = message.split_once(STRICT) {
        return rest.split(", ").map(strict).collect();
    }
    match message.split_once(CONVERTED) {
        // `apps/v1, Kind=Deployment: quantities must …`
        Some((_, rest)) => vec![unnamed(rest.split_once(": ").map_or(rest, |(_, why)| why))],
        None => vec![unnamed(message)],
    }
}

/// `.spec.containers[name="a"].foo: field not declared in schema`.
fn typed(line: &str) -> Option<FieldProblem> {
    let line = line.trim();
    if line.is_empty() {
        return None;
    }
    let (path, problem) = split_path(line);
    Some(FieldProblem {
        path: path.trim_start_matches('.').to_owned(),
        problem: problem.to_owned(),
    })
}

/// `unknown field "spec.foo"`.
fn strict(part: &str) -> FieldProblem {
    let path = part.split('"').nth(1).unwrap_or_default();
    FieldProblem {
        path: path.to_owned(),
        problem: part.to_owned(),
    }
}

/// The path before the first `: ` that is not between quotes: keys of list items may hold anything.
fn split_path(line: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ':' if !quoted => return (&line[..at], line[at + 1..].trim_start()),
            _ => {}
        }
    }
    ("", line)
}

/// The server adds whole objects to some messages, in further lines.
pub(super) fn first_line(message: &str) -> &str {
    message.trim().lines().next().unwrap_or_default()
}

/// The keys that lead to a field in an object, a list's item by its index; as far as the object has them, and one further.
pub fn keys(path: &str, object: &Value) -> Vec<String> {
    let mut keys = Vec::new();
    let mut at = Some(object);
    for step in steps(path) {
        let key = match step {
            Step::Key(key) => key.to_owned(),
            Step::Index(index) => index.to_string(),
            Step::Item(fields) => {
                let items = at.and_then(Value::as_array).into_iter().flatten();
                let mut places = items.enumerate();
                let Some((index, _)) = places.find(|(_, item)| is_item(item, &fields)) else {
                    break;
                };
                index.to_string()
            }
        };
        at = at.and_then(|value| match value {
            Value::Array(items) => key.parse().ok().and_then(|index: usize| items.get(index)),
            other => other.get(&key),
        });
        keys.push(key);
    }
    keys
}

/// A part of a path.
enum Step<'a> {
    Key(&'a str),
    Index(usize),
    /// The list item with these values, as JSON.
    Item(Vec<(&'a str, &'a str)>),
}

/// Keys of maps may hold dots (`metadata.annotations.a.b/c`): those are taken apart, and the path ends there.
fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(inside) = rest.strip_prefix('[') {
            let end = closing(inside);
            let (text, after) = (&inside[..end], inside.get(end + 1..).unwrap_or_default());
            steps.push(match (text.parse(), text.strip_prefix('"')) {
                (Ok(index), _) => Step::Index(index),
                (Err(_), Some(quoted)) => Step::Key(quoted.trim_end_matches('"')),
                (Err(_), None) => Step::Item(fields(text)),
            });
            rest = after;
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        if !key.is_empty() {
            steps.push(Step::Key(key));
        }
        rest = after;
    }
    steps
}

/// Where the bracket closes that was opened before the text.
fn closing(text: &str) -> usize {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ']' if !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

/// `containerPort=80,protocol="TCP"`.
fn fields(text: &str) -> Vec<(&str, &str)> {
    text.split(',')
        .filter_map(|field| field.split_once('='))
        .collect()
}

/// Whether an item has these values. The server fills defaults in: what the item leaves out is no difference.
fn is_item(item: &Value, fields: &[(&str, &str)]) -> bool {
    let known = fields
        .iter()
        .filter_map(|(key, value)| Some((item.get(*key)?, *value)));
    let mut known = known.peekable();
    let is = |value: &Value, wanted: &str| {
        serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| wanted == *value)
    };
    known.peek().is_some() && known.all(|(value, wanted)| is(value, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(message: &str) -> Vec<(String, String)> {
        let status = Status::failure(message, "");
        problems(&status)
            .into_iter()
            .map(|one| (one.path, one.problem))
            .collect()
    }

    fn pair(path: &str, problem: &str) -> (String, String) {
        (path.to_owned(), problem.to_owned())
    }

    #[test]
    fn the_fields_are_found_in_what_the_server_says() {
        assert_eq!(
            told(
                "failed to create typed patch object (a/u; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string"
            ),
            [pair(
                "spec.replicas",
                "expected numeric (int or float), got string"
            )]
        );
        assert_eq!(
            told(
                "failed to create typed patch object (a/u; apps/v1, Kind=Deployment): errors:\n  .spec.template.spec.containers[name=\"a: b\"].imagePullPolicyy: field not declared in schema\n  .spec.foo: field not declared in schema"
            ),
            [
                pair(
                    "spec.template.spec.containers[name=\"a: b\"].imagePullPolicyy",
                    "field not declared in schema"
                ),
                pair("spec.foo", "field not declared in schema"),
            ]
        );
        assert_eq!(
            told(
                "failed to convert new object (a/u; apps/v1, Kind=Deployment) to proper version: unable to convert unstructured object to apps/v1, Kind=Deployment: quantities must match the regular expression"
            ),
            [pair("", "quantities must match the regular expression")]
        );
        assert_eq!(
            told(
                "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.foo\", unknown field \"x\""
            ),
            [
                pair("spec.foo", "unknown field \"spec.foo\""),
                pair("x", "unknown field \"x\"")
            ]
        );
        assert_eq!(told("no"), [pair("", "no")]);
    }

    #[test]
    fn paths_lead_to_the_items_that_are_meant() {
        let object = json!({"metadata": {"name": "u"}, "spec": {"containers": [
            {"name": "a"}, {"name": "b", "ports": [{"containerPort": 80}, {"containerPort": "http"}]}]}});
        for (path, expected) in [
            (
                "spec.containers[name=\"b\"].foo",
                vec!["spec", "containers", "1", "foo"],
            ),
            (
                "spec.containers[name=\"b\"].ports[containerPort=\"http\",protocol=\"TCP\"].containerPort",
                vec!["spec", "containers", "1", "ports", "1", "containerPort"],
            ),
            (
                "spec.containers[1].ports[0]",
                vec!["spec", "containers", "1", "ports", "0"],
            ),
            (
                "spec.containers[name=\"c\"].foo",
                vec!["spec", "containers"],
            ),
            ("data[\"a.b\"]", vec!["data", "a.b"]),
            ("", vec![]),
        ] {
            assert_eq!(keys(path, &object), expected, "{path}");
        }
    }
}

//! `set:` as a values file: `a.b[0].c` becomes nested mappings and lists.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::manifest::template::{Renderer, is_template};
use crate::plain::one_line;

/// Longer lists are refused, as Helm does, because one index could ask for any amount of memory.
const MAX_INDEX: usize = 65_536;

/// Steps of a path. Values nested deeper could not be written down, and Helm would not read them.
const MAX_STEPS: usize = 64;

enum Step {
    Key(String),
    Index(usize),
}

/// The nested values of `set:`. A list is replaced as a whole, so its elements must all be given.
pub(super) fn values(set: &BTreeMap<String, Value>, renderer: &Renderer) -> Result<Value> {
    let mut root = Value::Object(Map::new());
    for (name, value) in set {
        let steps = parse(name).ok_or_else(|| {
            let shown = one_line(name, 100);
            Error::usage(format!("set: \"{shown}\" is no path of a value"))
                .hint("write it as --set takes it: a.b, a.list[0], a.dotted\\.key")
        })?;
        insert(&mut root, &steps, typed(name, value, renderer)?)
            .map_err(|reason| Error::usage(format!("set: \"{name}\" {reason}")))?;
    }
    Ok(root)
}

/// Text with template parts is typed as `--set` types it; everything else is what the YAML of `dev.yaml` says.
fn typed(name: &str, value: &Value, renderer: &Renderer) -> Result<Value> {
    let Value::String(text) = value else {
        return Ok(value.clone());
    };
    if !is_template(text) {
        return Ok(value.clone());
    }
    let file = format!("dev.yaml (set: {name})");
    let text = renderer.render(text, Path::new(&file))?;
    let integer = || {
        text.parse::<i64>()
            .ok()
            .filter(|_| text == "0" || !text.starts_with('0'))
    };
    Ok(match text.as_ref() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        _ => integer().map_or_else(|| Value::from(text.as_ref()), Value::from),
    })
}

fn parse(name: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut key = String::new();
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => key.push(chars.next()?),
            '.' => {
                if !key.is_empty() {
                    steps.push(Step::Key(std::mem::take(&mut key)));
                } else if !matches!(steps.last(), Some(Step::Index(_))) {
                    return None;
                }
                chars.peek()?;
            }
            '[' => {
                if !key.is_empty() {
                    steps.push(Step::Key(std::mem::take(&mut key)));
                }
                if steps.is_empty() {
                    return None;
                }
                let digits: String =
                    std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)).collect();
                let index = digits.parse().ok().filter(|index| *index <= MAX_INDEX)?;
                if chars.next() != Some(']') {
                    return None;
                }
                steps.push(Step::Index(index));
            }
            other => key.push(other),
        }
    }
    if !key.is_empty() {
        steps.push(Step::Key(key));
    }
    (1..=MAX_STEPS).contains(&steps.len()).then_some(steps)
}

fn insert(at: &mut Value, steps: &[Step], value: Value) -> Result<(), &'static str> {
    let Some((step, rest)) = steps.split_first() else {
        *at = value;
        return Ok(());
    };
    let next = match step {
        Step::Key(key) => {
            if at.is_null() {
                *at = Value::Object(Map::new());
            }
            let map = at
                .as_object_mut()
                .ok_or("goes into a value that another entry sets")?;
            map.entry(key.clone()).or_insert(Value::Null)
        }
        Step::Index(index) => {
            if at.is_null() {
                *at = Value::Array(Vec::new());
            }
            let list = at
                .as_array_mut()
                .ok_or("goes into a value that another entry sets")?;
            if *index > list.len() {
                return Err(
                    "leaves out an element: a list that is set replaces the chart's, so give all of it",
                );
            }
            if *index == list.len() {
                list.push(Value::Null);
            }
            &mut list[*index]
        }
    };
    insert(next, rest, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Context;
    use serde_json::json;

    fn nested(set: Value) -> Result<Value> {
        let vars = BTreeMap::from([("n".to_owned(), json!(3)), ("t".to_owned(), json!("007"))]);
        let context = Context {
            app: "shop".into(),
            vars,
            ..Context::default()
        };
        let set = serde_json::from_value(set).unwrap();
        values(&set, &Renderer::new(&context).unwrap())
    }

    #[test]
    fn paths_become_nested_values_with_the_types_of_helm() {
        let set = json!({
            "image.tag": "1.0", "replicas": "{{ vars.n }}", "on": true, "code": "{{ vars.t }}",
            "list[0].name": "{{ app }}", "list[1].name": "b", "anno.a\\.b/c": "8080", "grid[0][0]": 1,
        });
        assert_eq!(
            nested(set).unwrap(),
            json!({
                "image": {"tag": "1.0"}, "replicas": 3, "on": true, "code": "007",
                "list": [{"name": "shop"}, {"name": "b"}], "anno": {"a.b/c": "8080"}, "grid": [[1]],
            })
        );
    }

    #[test]
    fn what_cannot_be_set_is_refused() {
        for set in [
            json!({"a..b": 1}),
            json!({".a": 1}),
            json!({"a.": 1}),
            json!({"[0]": 1}),
            json!({"a[x]": 1}),
            json!({"a[0": 1}),
            json!({"": 1}),
            json!({"a[1]": 1}),
            json!({"a": 1, "a.b": 2}),
            json!({"a[99999999]": 1}),
            json!({"a": "{{ nope }}"}),
            json!({"a.".repeat(100_000) + "a": 1}),
            json!({"a".to_owned() + &"[0]".repeat(100_000): 1}),
        ] {
            assert!(nested(set.clone()).is_err());
        }
    }

    #[test]
    fn no_value_is_quoted() {
        for value in [
            "hunter2{{ nope }}",
            "{{ 'hunter2' | nope }}",
            "{{ vars.t | int(base=99) }}hunter2",
            "{{ vars.w | int }}",
        ] {
            let vars = BTreeMap::from([
                ("w".to_owned(), json!("hunter2")),
                ("t".to_owned(), json!("1")),
            ]);
            let context = Context {
                vars,
                ..Context::default()
            };
            let set = BTreeMap::from([("auth.password".to_owned(), json!(value))]);
            let error = values(&set, &Renderer::new(&context).unwrap()).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert!(error.to_string().contains("auth.password"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_path_is_taken_or_refused_as_usage(names in proptest::collection::vec("[a-c.\\[\\]0-3\\\\]{0,12}|\\PC{0,20}", 0..4)) {
            let set = names.into_iter().map(|name| (name, json!(1))).collect();
            let renderer = Renderer::new(&Context::default()).unwrap();
            if let Err(error) = values(&set, &renderer) {
                proptest::prop_assert_eq!(error.kind(), crate::error::Kind::Usage);
            }
        }
    }
}

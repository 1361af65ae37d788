//! Which lines of a text may hold secrets. Decided by looking at lines, for the text may be broken.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::Value;

use super::mask::Hidden;
use crate::project::Project;

/// Keys of `dev.yaml` whose values are free: variables, settings of charts, arguments and environments of builds.
const FREE: [&str; 4] = ["vars", "set", "args", "env"];

/// Whether the document that a line (its index) belongs to is a Secret, or does not say plainly that it is something else.
pub(super) fn may_be_secret(lines: &[&str], index: usize) -> bool {
    let begins = |line: &&str| line.starts_with("---");
    let first = lines[..=index].iter().rposition(begins).unwrap_or(0);
    let last = lines[index + 1..]
        .iter()
        .position(begins)
        .map_or(lines.len(), |after| index + 1 + after);
    let document = &lines[first..last];
    let kinds: Vec<&str> = document.iter().flat_map(|line| kinds_in(line)).collect();
    let is_json = document
        .iter()
        .map(|line| line.trim_start_matches("---").trim())
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .is_some_and(|line| line.starts_with('{'));
    let at_the_top = |line: &&str| {
        let own = line
            .trim_start_matches('\u{feff}')
            .trim_start_matches("--- ");
        own.starts_with("kind") || own.starts_with("\"kind\"") || own.starts_with("'kind'")
    };
    let says = is_json || document.iter().any(at_the_top);
    let plain = |kind: &&str| {
        !kind.is_empty()
            && kind.chars().all(|c| c.is_ascii_alphanumeric())
            && !matches!(*kind, "Secret" | "SecretList")
    };
    kinds.is_empty() || !says || !kinds.iter().all(plain)
}

/// The values of `kind` in a line, as far as they are words.
fn kinds_in(line: &str) -> Vec<&str> {
    line.match_indices("kind")
        .filter(|(at, _)| {
            let before = line[..*at].chars().next_back();
            before.is_none_or(|c| !c.is_alphanumeric())
        })
        .filter_map(|(at, word)| {
            let rest = line[at + word.len()..].trim_start_matches(['"', '\'']);
            let value = rest.trim_start().strip_prefix(':')?.trim_start();
            let value = value.trim_start_matches(['"', '\'']);
            let end =
                value.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '}'));
            Some(&value[..end.unwrap_or(value.len())])
        })
        .collect()
}

/// What of a line (its index) of `dev.yaml` is hidden.
pub(super) fn in_project(lines: &[&str], index: usize) -> Hidden {
    match free_in_project(lines, index) {
        Hidden::Nothing if is_unknown(lines[index]) => Hidden::Values,
        other => other,
    }
}

/// What of a line (its index) belongs to a free key of `dev.yaml`.
pub(super) fn free_in_project(lines: &[&str], index: usize) -> Hidden {
    // The indentation of the free key that lines further in belong to, and how many braces it left open.
    let mut free: Option<(usize, i64)> = None;
    for (number, line) in lines.iter().enumerate().take(index + 1) {
        let indent = indent(line);
        let empty = line.trim().is_empty();
        let mut hidden = Hidden::Nothing;
        if let Some((of, open)) = &mut free {
            if empty || indent > *of || *open > 0 {
                hidden = Hidden::Values;
                *open += braces(line);
            } else {
                free = None;
            }
        }
        if free.is_none()
            && let Some(after) = free_key(line)
        {
            let value: String = line.chars().skip(after).collect();
            free = Some((indent, braces(&value)));
            hidden = Hidden::After(after);
        }
        if number == index {
            return hidden;
        }
    }
    Hidden::Nothing
}

/// Spaces; a tab, which YAML forbids here, is further in than anything.
fn indent(line: &str) -> usize {
    line.chars()
        .take_while(|c| c.is_whitespace())
        .map(|c| if c == ' ' { 1 } else { 1_000 })
        .sum()
}

/// Whether a line gives a single value to a key that `dev.yaml` does not have: a free one in the wrong place, most often.
fn is_unknown(line: &str) -> bool {
    static KNOWN: OnceLock<BTreeSet<String>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let mut names = BTreeSet::new();
        properties(schemars::schema_for!(Project).as_value(), &mut names);
        names
    });
    let Some((key, value)) = line.split_once(':') else {
        return false;
    };
    let key = key
        .trim_start_matches([' ', '\t', '-'])
        .trim_matches(['"', '\'']);
    !known.contains(key) && !value.trim_start().starts_with(['{', '['])
}

/// The names of all fields in a schema.
fn properties(schema: &Value, names: &mut BTreeSet<String>) {
    let Value::Object(map) = schema else {
        return;
    };
    for (key, value) in map {
        if let ("properties", Value::Object(fields)) = (key.as_str(), value) {
            names.extend(fields.keys().cloned());
        }
        match value {
            Value::Array(list) => list.iter().for_each(|value| properties(value, names)),
            value => properties(value, names),
        }
    }
}

/// Opened less closed.
fn braces(line: &str) -> i64 {
    line.chars()
        .map(|c| match c {
            '{' | '[' => 1,
            '}' | ']' => -1,
            _ => 0,
        })
        .sum()
}

/// How many characters of a line end with the first free key in it.
fn free_key(line: &str) -> Option<usize> {
    FREE.iter()
        .flat_map(|key| line.match_indices(key))
        .filter(|(at, _)| {
            let before = line[..*at].chars().next_back();
            before.is_none_or(|c| c.is_whitespace() || matches!(c, '{' | ',' | '"' | '\''))
        })
        .filter_map(|(at, key)| {
            let rest = &line[at + key.len()..];
            let after = rest.trim_start_matches(['"', '\'']).trim_start();
            let value = after.strip_prefix(':')?;
            (value.is_empty() || value.starts_with(char::is_whitespace)).then(|| {
                let value = value.trim_start();
                line[..line.len() - value.len()].chars().count()
            })
        })
        .min()
}

//! The path of keys to a place in a YAML text, as people write it: `services.web.ports[0]`.

use super::parser::{self, Event, Parser};

enum Level {
    /// A mapping: the key that was read last, and whether a value comes next.
    Mapping(String, bool),
    /// A list: the number of elements begun.
    List(usize),
}

/// The path of the innermost mapping key or list element at or before a place (from 1) that the place is part of.
/// `None` at the top level and in a text that cannot be parsed up to there.
pub(super) fn at(text: &str, line: usize, column: usize) -> Option<String> {
    let options = parser::options! { emit_comments: false };
    let mut events = Parser::new_from_str_with_options(text, options);
    let mut levels: Vec<Level> = Vec::new();
    while let Some(Ok((event, span))) = events.next_event() {
        let reached = (span.start.line(), span.start.col() + 1) >= (line, column);
        match event {
            Event::MappingEnd | Event::SequenceEnd => {
                levels.pop();
                continue;
            }
            Event::Scalar(ref text, ..) => begin(&mut levels, text),
            Event::MappingStart(..) | Event::SequenceStart(..) | Event::Alias(_) => {
                begin(&mut levels, "");
            }
            _ => continue,
        }
        if reached {
            return show(&levels, &event);
        }
        match event {
            Event::MappingStart(..) => levels.push(Level::Mapping(String::new(), false)),
            Event::SequenceStart(..) => levels.push(Level::List(0)),
            _ => {}
        }
    }
    None
}

/// The place (line and column from 1) of the value that `keys` lead to, from the mapping that begins on `line`; where
/// the path ends early, of the last key that is there.
pub(super) fn locate(text: &str, line: usize, keys: &[&str]) -> Option<(usize, usize)> {
    let options = parser::options! { emit_comments: false };
    let mut events = Parser::new_from_str_with_options(text, options);
    let mut levels: Vec<Level> = Vec::new();
    let mut root: Option<usize> = None;
    let mut found: Option<(usize, usize)> = None;
    let mut matched = 0;
    while let Some(Ok((event, span))) = events.next_event() {
        let here = (span.start.line(), span.start.col() + 1);
        let is_mapping = matches!(event, Event::MappingStart(..));
        match &event {
            Event::MappingEnd | Event::SequenceEnd => {
                levels.pop();
                if root.is_some_and(|depth| levels.len() < depth + matched) {
                    return found;
                }
                continue;
            }
            Event::Scalar(text, ..) => begin(&mut levels, text),
            Event::MappingStart(..) | Event::SequenceStart(..) | Event::Alias(_) => {
                begin(&mut levels, "");
            }
            _ => continue,
        }
        match root {
            None if is_mapping && here.0 >= line => {
                root = Some(levels.len() + 1);
                found = Some(here);
            }
            Some(depth) if levels.len() == depth + matched => {
                let wanted = keys.get(matched).copied().unwrap_or_default();
                let (is_it, is_value) = match levels.last() {
                    Some(Level::Mapping(key, value_next)) => (key == wanted, !value_next),
                    Some(Level::List(begun)) => (wanted.parse() == Ok(begun - 1), true),
                    None => (false, false),
                };
                if is_it {
                    let is_element = matches!(levels.last(), Some(Level::List(_)));
                    // A key is a better place than the beginning of what it holds.
                    if !is_value || is_element || matches!(event, Event::Scalar(..)) {
                        found = Some(here);
                    }
                    if is_value {
                        matched += 1;
                        if matched == keys.len() {
                            return found;
                        }
                    }
                }
            }
            _ => {}
        }
        match event {
            Event::MappingStart(..) => levels.push(Level::Mapping(String::new(), false)),
            Event::SequenceStart(..) => levels.push(Level::List(0)),
            _ => {}
        }
    }
    found
}

fn begin(levels: &mut [Level], text: &str) {
    match levels.last_mut() {
        Some(Level::Mapping(key, value_next)) => {
            if !*value_next {
                text.clone_into(key);
            }
            *value_next = !*value_next;
        }
        Some(Level::List(count)) => *count += 1,
        None => {}
    }
}

/// A place on a key means the mapping around it: the message names the key itself.
fn show(levels: &[Level], event: &Event<'_>) -> Option<String> {
    let on_key = matches!(levels.last(), Some(Level::Mapping(_, true)))
        && matches!(event, Event::Scalar(..));
    let shown = if on_key {
        &levels[..levels.len() - 1]
    } else {
        levels
    };
    let mut path = String::new();
    for level in shown {
        match level {
            Level::Mapping(key, _) if path.is_empty() => path.push_str(key),
            Level::Mapping(key, _) => path.push_str(&format!(".{key}")),
            Level::List(count) => path.push_str(&format!("[{}]", count.saturating_sub(1))),
        }
    }
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::{at, locate};

    #[test]
    fn a_path_of_keys_is_found_in_the_document_it_belongs_to() {
        let text = "metadata: {name: a}\n---\nkind: X\nmetadata:\n  labels:\n    a: b\n  name: c\n---\nmetadata: {name: d}\n";
        assert_eq!(locate(text, 3, &["metadata", "name"]), Some((7, 9)));
        assert_eq!(locate(text, 3, &["metadata", "labels", "a"]), Some((6, 8)));
        assert_eq!(locate(text, 3, &["metadata", "uid"]), Some((4, 1)));
        assert_eq!(locate(text, 3, &["spec"]), Some((3, 1)));
        assert_eq!(locate(text, 9, &["metadata", "name"]), Some((9, 18)));
        let list = "items:\n- metadata:\n    name: a\n- metadata:\n    name: b\n";
        assert_eq!(locate(list, 4, &["metadata", "name"]), Some((5, 11)));
    }

    #[test]
    fn the_path_leads_to_the_value() {
        let text = "app: a\nservices:\n  web:\n    needs: [a, {b: c}]\n    live: maybe\n";
        assert_eq!(at(text, 5, 11).as_deref(), Some("services.web.live"));
        assert_eq!(at(text, 5, 5).as_deref(), Some("services.web"));
        assert_eq!(at(text, 4, 13).as_deref(), Some("services.web.needs[0]"));
        assert_eq!(at(text, 4, 20).as_deref(), Some("services.web.needs[1].b"));
        assert_eq!(at(text, 1, 1), None);
    }
}

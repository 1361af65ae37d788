//! From parser events to JSON values, with the rules of kubectl and with bounds on what a hostile file can cost.

use std::collections::HashMap;

use base64::Engine as _;
use serde_json::{Map, Value};

use super::parser::{self, Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};
use super::scalar::{self, Wanted};

/// Nesting that a document may have, aliases expanded.
const MAX_DEPTH: usize = 128;
/// What aliases may add to all documents of a text, in units of [`Node::cost`].
const MAX_ALIAS_COST: usize = 500_000;
/// Bytes of text that cost as much as one node.
const BYTES_PER_NODE: usize = 64;

/// What is wrong, where: line and column from 1, and how many characters.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) length: usize,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    fn new(span: Span, message: impl Into<String>) -> Self {
        let one_line = span.start.line() == span.end.line();
        Self {
            length: if one_line { span.len() } else { 1 },
            ..Self::at(&span.start, message)
        }
    }

    fn at(mark: &Marker, message: impl Into<String>) -> Self {
        Self {
            line: mark.line(),
            column: mark.col() + 1,
            length: 1,
            message: message.into(),
            hint: None,
        }
    }
}

/// A line and a column, from 1.
pub(super) type At = (usize, usize);

fn begin(span: Span) -> At {
    (span.start.line(), span.start.col() + 1)
}

/// One document, and where the elements of its top-level `items` begin.
#[derive(Debug)]
pub(super) struct Composed {
    pub(super) value: Value,
    pub(super) place: At,
    pub(super) items: Vec<At>,
}

/// Every document of a text; those without content give null.
pub(super) fn compose(text: &str) -> Result<Vec<Composed>, Fault> {
    let options = parser::options! {
        emit_comments: false,
        // As libyaml, on which kubectl's reader is based.
        block_scalar_eof_without_line_feed: true,
    };
    let mut composer = Composer {
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        alias_cost: 0,
        items: Vec::new(),
    };
    let mut documents = Vec::new();
    loop {
        let (event, _) = composer.next()?;
        match event {
            Event::DocumentStart(..) => {
                let (event, span) = composer.next()?;
                let place = begin(span);
                let node = composer.node(event, span, Position::Root)?;
                documents.push(Composed {
                    value: node.value,
                    place,
                    items: std::mem::take(&mut composer.items),
                });
                composer.anchors.clear();
            }
            Event::StreamEnd => return Ok(documents),
            // Between documents nothing else carries data.
            _ => {}
        }
    }
}

struct Composer<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// Complete nodes by the identity of their anchor.
    anchors: HashMap<usize, Node>,
    alias_cost: usize,
    items: Vec<At>,
}

/// A value with what a copy of it costs and how deep it is.
#[derive(Clone)]
struct Node {
    value: Value,
    cost: usize,
    depth: usize,
}

impl Node {
    fn leaf(value: Value) -> Self {
        let bytes = value.as_str().map_or(0, str::len);
        Self {
            value,
            cost: 1 + bytes / BYTES_PER_NODE,
            depth: 1,
        }
    }
}

/// Where a node stands: only the places of the elements of the top-level `items` are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Root,
    Items,
    Inner,
}

impl<'a> Composer<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.events.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(Fault::at(error.marker(), error.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, position: Position) -> Result<Node, Fault> {
        self.nested(event, span, position, 1)
    }

    fn nested(
        &mut self,
        event: Event<'a>,
        span: Span,
        position: Position,
        depth: usize,
    ) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (scalar_node(&text, style, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.sequence(position, depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(position, depth)?, anchor),
            Event::Alias(id) => return self.alias(id, span, depth),
            _ => return Err(Fault::new(span, "a value is missing here")),
        };
        if anchor != 0 {
            self.pay(node.cost, span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, position: Position, depth: usize) -> Result<Node, Fault> {
        let mut list = Vec::new();
        let (mut cost, mut deepest) = (1, 0);
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            if position == Position::Items {
                self.items.push(begin(span));
            }
            let node = self.nested(event, span, Position::Inner, depth + 1)?;
            cost += node.cost;
            deepest = deepest.max(node.depth);
            list.push(node.value);
        }
        Ok(Node {
            value: Value::Array(list),
            cost,
            depth: deepest + 1,
        })
    }

    fn mapping(&mut self, position: Position, depth: usize) -> Result<Node, Fault> {
        let mut map = Map::new();
        let mut merged: Vec<String> = Vec::new();
        let (mut cost, mut deepest) = (1, 0);
        loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = is_merge(&event);
            let key = self.key(event, key_span, depth)?;
            let (event, span) = self.next()?;
            let place = match position {
                Position::Root if key == "items" => Position::Items,
                _ => Position::Inner,
            };
            let node = self.nested(event, span, place, depth + 1)?;
            cost += node.cost + key.len() / BYTES_PER_NODE;
            deepest = deepest.max(node.depth);
            if is_merge {
                merge(&mut map, &mut merged, node.value, span, key_span)?;
            } else if let Some(at) = merged.iter().position(|name| *name == key) {
                merged.swap_remove(at);
                map.insert(key, node.value);
            } else if map.contains_key(&key) {
                return Err(Fault::new(
                    key_span,
                    format!("the key \"{key}\" is here twice"),
                ));
            } else {
                map.insert(key, node.value);
            }
        }
        Ok(Node {
            value: Value::Object(map),
            cost,
            depth: deepest + 1,
        })
    }

    fn key(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<String, Fault> {
        // The common case, without a value in between.
        if let Event::Scalar(text, style, 0, None) = &event
            && *style != ScalarStyle::Plain
        {
            return Ok(text.clone().into_owned());
        }
        let node = self.nested(event, span, Position::Inner, depth + 1)?;
        scalar::key(&node.value).ok_or_else(|| {
            let mut fault = Fault::new(span, format!("{} cannot be a key", kind_of(&node.value)));
            fault.hint = Some("quote the key, or put a value in braces in quotes".to_owned());
            fault
        })
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Node, Fault> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(Fault::new(span, "the alias stands inside its own anchor"));
        };
        if depth + node.depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        self.pay(node.cost, span)?;
        Ok(node)
    }

    fn pay(&mut self, cost: usize, span: Span) -> Result<(), Fault> {
        self.alias_cost += cost;
        if self.alias_cost > MAX_ALIAS_COST {
            return Err(Fault::new(
                span,
                "anchors and aliases expand to too much data",
            ));
        }
        Ok(())
    }
}

fn too_deep(span: Span) -> Fault {
    Fault::new(span, format!("nested more than {MAX_DEPTH} levels deep"))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn is_merge(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(text, style, _, tag) => {
            text == "<<"
                && match tag {
                    Some(tag) => tag.is_yaml_core_schema_tag("merge"),
                    None => *style == ScalarStyle::Plain,
                }
        }
        _ => false,
    }
}

/// Adds the keys of `source` (a mapping, or a list of them of which the first wins) that are not there yet.
fn merge(
    map: &mut Map<String, Value>,
    merged: &mut Vec<String>,
    source: Value,
    span: Span,
    key_span: Span,
) -> Result<(), Fault> {
    let sources = match source {
        Value::Object(source) => vec![source],
        Value::Array(list) => list
            .into_iter()
            .rev()
            .map(|item| match item {
                Value::Object(source) => Ok(source),
                other => Err(not_mergeable(&other, span)),
            })
            .collect::<Result<_, _>>()?,
        other => return Err(not_mergeable(&other, span)),
    };
    for (key, value) in sources.into_iter().flatten() {
        if merged.contains(&key) {
            map.insert(key, value);
        } else if map.contains_key(&key) {
            // kubectl lets the merge win here, YAML the explicit key.
            let mut fault = Fault::new(
                key_span,
                format!("the merge would replace the key \"{key}\" that stands before it"),
            );
            fault.hint = Some("put << first: keys after it override it".to_owned());
            return Err(fault);
        } else {
            merged.push(key.clone());
            map.insert(key, value);
        }
    }
    Ok(())
}

fn not_mergeable(value: &Value, span: Span) -> Fault {
    Fault::new(
        span,
        format!("<< takes a mapping, this is {}", kind_of(value)),
    )
}

fn scalar_node(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<Node, Fault> {
    let core = tag.and_then(Tag::core_suffix);
    let wanted = match core {
        Some("int") => Wanted::Int,
        Some("float") => Wanted::Float,
        Some("bool") => Wanted::Bool,
        Some("null") => Wanted::Null,
        Some("binary") => return binary(text, span),
        Some(_) => return Ok(Node::leaf(Value::from(text))),
        None if tag.is_some() || style != ScalarStyle::Plain => {
            return Ok(Node::leaf(Value::from(text)));
        }
        None => Wanted::Any,
    };
    scalar::resolve(text, wanted)
        .map(Node::leaf)
        .map_err(|message| Fault::new(span, message))
}

fn binary(text: &str, span: Span) -> Result<Node, Fault> {
    let compact: String = text.split_ascii_whitespace().collect();
    base64::engine::general_purpose::STANDARD
        .decode(compact)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(|text| Node::leaf(Value::from(text)))
        .ok_or_else(|| Fault::new(span, "!!binary wants the base64 form of UTF-8 text"))
}

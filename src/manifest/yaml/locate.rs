//! Where in a YAML text a key stands, for errors that are found after it was read.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Line and column (from 1) of the value at a path such as `["services", "web", "needs", "0"]`. Where the path
/// ends early, the deepest part of it that exists; `None` where nothing of it does.
pub fn locate(text: &str, path: &[&str]) -> Option<(usize, usize)> {
    let mut node: Spanned<Node> = serde_saphyr::from_str(text).ok()?;
    let mut found = None;
    for part in path {
        let (place, next) = match node.value {
            Node::Map(entries) => {
                let (key, value) = entries.into_iter().find(|(key, _)| key.value == *part)?;
                let at_value = matches!(value.value, Node::Scalar);
                let place = if at_value { value.referenced } else { key.referenced };
                (place, value)
            }
            Node::Seq(items) => {
                let item = items.into_iter().nth(part.parse().ok()?)?;
                (item.referenced, item)
            }
            Node::Scalar => return found,
        };
        found = Some((
            usize::try_from(place.line()).ok()?,
            usize::try_from(place.column()).ok()?,
        ));
        node = next;
    }
    found
}

enum Node {
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
    Seq(Vec<Spanned<Node>>),
    Scalar,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

/// Scalars of any type are the same here.
macro_rules! scalars {
    ($($name:ident: $type:ty),*) => {
        $(fn $name<E>(self, _: $type) -> Result<Node, E> { Ok(Node::Scalar) })*
    };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128,
             visit_f64: f64, visit_str: &str, visit_bytes: &[u8]);

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(item) = items.next_element()? {
            nodes.push(item);
        }
        Ok(Node::Seq(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            nodes.push(entry);
        }
        Ok(Node::Map(nodes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "app: shop\nservices:\n  web:\n    needs: [a, bb]\n    manifests:\n      - k8s/\n";

    #[test]
    fn values_keys_and_items_are_found() {
        assert_eq!(locate(TEXT, &["app"]), Some((1, 6)));
        assert_eq!(locate(TEXT, &["services", "web"]), Some((3, 3)));
        assert_eq!(locate(TEXT, &["services", "web", "needs", "1"]), Some((4, 16)));
        assert_eq!(locate(TEXT, &["services", "web", "manifests", "0"]), Some((6, 9)));
        assert_eq!(locate(TEXT, &["nothing"]), None);
    }
}

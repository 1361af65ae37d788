//! What the server has recorded of the fields that `dev` applied: `fieldsV1`, read field by field beside the object.
//! Format: `sigs.k8s.io/structured-merge-diff`, `fieldpath/serialize.go`.

use serde_json::{Map, Value};

use crate::plan::lists::{ListType, same_item};

/// The record at one place of an object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Record<'a> {
    /// It does not tell: there is none, or the place is inside of something that is owned as a whole.
    Unknown,
    /// The place is recorded, with this below it.
    Owned(&'a Map<String, Value>),
    /// The place is not recorded, though what is around it is.
    NotOwned,
}

impl<'a> Record<'a> {
    /// The record of a whole object.
    pub(super) fn of(owned: Option<&'a Value>) -> Self {
        match owned.and_then(Value::as_object) {
            Some(map) => Self::Owned(map),
            None => Self::Unknown,
        }
    }

    /// The record of a field.
    pub(super) fn field(self, name: &str) -> Self {
        self.child(|key| key.strip_prefix("f:") == Some(name))
    }

    /// The record of the list item with these keys.
    pub(super) fn item(self, keys: &[String], item: &Value) -> Self {
        self.child(|key| parse(key, "k:").is_some_and(|recorded| same_item(keys, &recorded, item)))
    }

    fn child(self, is: impl Fn(&str) -> bool) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::NotOwned => Self::NotOwned,
            // Owned as a whole.
            Self::Owned(map) if map.is_empty() => Self::Unknown,
            Self::Owned(map) => match map.iter().find(|(key, _)| is(key)) {
                Some((_, Value::Object(below))) => Self::Owned(below),
                Some(_) | None => Self::NotOwned,
            },
        }
    }

    /// The names of recorded fields.
    pub(super) fn fields(self) -> impl Iterator<Item = &'a str> {
        self.keys().filter_map(|key| key.strip_prefix("f:"))
    }

    /// The keys of recorded list items.
    pub(super) fn items(self) -> impl Iterator<Item = Value> {
        self.keys().filter_map(|key| parse(key, "k:"))
    }

    /// The recorded values of a set.
    pub(super) fn values(self) -> impl Iterator<Item = Value> {
        self.keys().filter_map(|key| parse(key, "v:"))
    }

    /// How the items of a list correspond to each other; `None` where the record does not tell.
    pub(super) fn list_type(self) -> Option<ListType> {
        if let Some(Value::Object(keys)) = self.items().next() {
            return Some(ListType::Map(keys.keys().cloned().collect()));
        }
        self.values().next().map(|_| ListType::Set)
    }

    fn keys(self) -> impl Iterator<Item = &'a str> {
        let map = match self {
            Self::Owned(map) => Some(map),
            Self::Unknown | Self::NotOwned => None,
        };
        map.into_iter().flat_map(Map::keys).map(String::as_str)
    }
}

fn parse(key: &str, prefix: &str) -> Option<Value> {
    serde_json::from_str(key.strip_prefix(prefix)?).ok()
}

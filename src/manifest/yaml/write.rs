//! Values on their way to the YAML crate, with the strings that kubectl's reader could not read back put in quotes.

use super::DoubleQuoted;
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::Value;

/// A value that is written so that YAML 1.1 readers take it.
pub(super) struct Written<'a>(pub(super) &'a Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if needs_quotes(text) => {
                DoubleQuoted(text.as_str()).serialize(serializer)
            }
            Value::Array(list) => {
                let mut written = serializer.serialize_seq(Some(list.len()))?;
                for element in list {
                    written.serialize_element(&Self(element))?;
                }
                written.end()
            }
            Value::Object(map) => {
                let mut written = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    written.serialize_entry(key, &Self(value))?;
                }
                written.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// The crate writes text of several lines as a block, and libyaml takes a tab at the beginning of a block for
/// indentation, which it refuses.
fn needs_quotes(text: &str) -> bool {
    text.contains('\n') && text.trim_start_matches([' ', '\n']).starts_with('\t')
}

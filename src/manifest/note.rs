//! What a person should know about objects that were changed or left out on the way.

use std::fmt;

use serde::Serialize;

use super::ObjectKey;

/// One thing that was done to an object, or to a whole service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// The service of `dev.yaml`.
    pub service: String,
    /// The object, as it was named in its source; none for notes about the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectKey>,
    /// What was done and why, without a full stop.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.service)?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// An object that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// The service of `dev.yaml`.
    pub service: String,
    /// The object, as it was named in its source.
    pub key: ObjectKey,
    /// Why, without a full stop.
    pub reason: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} left out: {}",
            self.service, self.key, self.reason
        )
    }
}

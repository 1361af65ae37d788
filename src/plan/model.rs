//! The values that planning takes and gives.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Place, Result};
use crate::manifest::labels::Stamp;
use crate::manifest::{Manifest, ObjectKey};
use crate::plan::compare::FieldChange;
use crate::plan::inventory::Inventory;

/// What a person wants to run.
#[derive(Clone, Debug)]
pub struct Desired {
    /// Whose environment it is.
    pub stamp: Stamp,
    /// The namespace of the environment.
    pub namespace: String,
    /// The objects, of every selected service.
    pub objects: Vec<Manifest>,
    /// Service → the services that must be ready before its workloads are applied.
    pub needs: BTreeMap<String, Vec<String>>,
}

/// The identity of an object for the API server: the version by which it is read does not matter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// API group, empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// `None` for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl From<&ObjectKey> for Id {
    fn from(key: &ObjectKey) -> Self {
        Self {
            group: key.group().to_owned(),
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }
}

/// How the API server serves a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The name in URLs, such as `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// `(apiVersion, kind)` → how it is served, `None` where the cluster does not serve it.
pub type Kinds = BTreeMap<(String, String), Option<Served>>;

/// The namespace of the environment, as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamespaceState {
    /// There is none.
    #[default]
    Absent,
    /// It is there; its labels say who made it.
    Active {
        /// Its labels.
        labels: BTreeMap<String, String>,
    },
    /// It is being deleted.
    Terminating {
        /// Its labels.
        labels: BTreeMap<String, String>,
    },
    /// Namespaces may not be read; it is taken to exist.
    Unreadable,
}

/// One object of the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// The object without `metadata.managedFields`.
    pub value: Value,
    /// The fields that `dev` owns by server-side apply (`fieldsV1`), where it does.
    pub owned: Option<Value>,
    /// The other field managers.
    pub managers: Vec<String>,
}

/// What the cluster holds.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The namespace of the environment.
    pub namespace: NamespaceState,
    /// What the environment owned by its own record.
    pub inventory: Option<Inventory>,
    /// Every object of the kinds that are desired or in the inventory, in that namespace.
    pub objects: BTreeMap<Id, Live>,
    /// How these kinds are served.
    pub kinds: Kinds,
    /// Kinds that could not be read, with why.
    pub unreadable: BTreeMap<(String, String), Error>,
}

/// What is done about the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NamespaceStep {
    /// It is there.
    Keep,
    /// It is made.
    Create,
    /// It is going; its end is awaited, then it is made anew.
    AwaitEndThenCreate,
}

/// What is done about one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It is made.
    Create,
    /// These fields change. Empty: only what was recorded about it changes.
    Update(Vec<FieldChange>),
    /// It is deleted and made anew.
    Recreate(Recreate),
    /// It is deleted: the environment made it and does not want it any more.
    Delete,
    /// Nothing.
    Unchanged,
    /// Nothing can be done, and this is why.
    Blocked(Error),
}

/// Why an object is deleted and made anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Recreate {
    /// In a few words.
    pub why: String,
    /// The fields that change.
    pub fields: Vec<FieldChange>,
    /// It is being deleted already: only its end is awaited.
    pub going: bool,
}

/// One object and what is done about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The object.
    pub key: ObjectKey,
    /// The service it belongs to.
    pub service: String,
    /// Where its manifest is; `None` where it comes from no file, and for deletions.
    pub place: Option<Place>,
    /// What is done.
    pub action: Action,
    /// What will be sent; `None` for deletions.
    pub desired: Option<Value>,
    /// What is there.
    pub live: Option<Live>,
}

/// Everything that would be done, in the order of the manifests; deletions last.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose environment it is.
    pub stamp: Stamp,
    /// Its namespace.
    pub namespace: String,
    /// What is done about the namespace.
    pub namespace_step: NamespaceStep,
    /// The changes.
    pub changes: Vec<Change>,
    /// Service → the services it needs, as in [`Desired`].
    pub needs: BTreeMap<String, Vec<String>>,
    /// The record as it was read.
    pub recorded: Option<Inventory>,
    /// The record while changes are made: what is there and what will be.
    pub inventory_during: Inventory,
    /// The record afterwards.
    pub inventory_after: Inventory,
    /// How the kinds are served.
    pub kinds: Kinds,
}

/// How many changes there are of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Objects to make.
    pub create: usize,
    /// Objects to change.
    pub update: usize,
    /// Objects to delete and make anew.
    pub recreate: usize,
    /// Objects to delete.
    pub delete: usize,
    /// Objects that stay as they are.
    pub unchanged: usize,
    /// Objects about which nothing can be done.
    pub blocked: usize,
}

impl Plan {
    /// How many changes there are of each sort.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for change in &self.changes {
            let count = match &change.action {
                Action::Create => &mut counts.create,
                Action::Update(_) => &mut counts.update,
                Action::Recreate(_) => &mut counts.recreate,
                Action::Delete => &mut counts.delete,
                Action::Unchanged => &mut counts.unchanged,
                Action::Blocked(_) => &mut counts.blocked,
            };
            *count += 1;
        }
        counts
    }

    /// Whether nothing at all would be written.
    pub fn is_empty(&self) -> bool {
        self.namespace_step == NamespaceStep::Keep
            && self
                .changes
                .iter()
                .all(|change| change.action == Action::Unchanged)
            && self.recorded.as_ref() == Some(&self.inventory_after)
    }

    /// Fails where a change is blocked, naming every blocked object. Nothing may be written then.
    pub fn check(&self) -> Result<()> {
        let mut blocked = self
            .changes
            .iter()
            .filter_map(|change| match &change.action {
                Action::Blocked(error) => Some(error),
                Action::Create
                | Action::Update(_)
                | Action::Recreate(_)
                | Action::Delete
                | Action::Unchanged => None,
            });
        let Some(first) = blocked.next() else {
            return Ok(());
        };
        Err(blocked.fold(first.clone(), |error, other| {
            let known: Vec<String> = error.hints().to_vec();
            let text = other
                .causes()
                .iter()
                .fold(format!("also: {other}"), |text, cause| {
                    format!("{text}: {cause}")
                });
            let error = error.cause(text);
            other
                .hints()
                .iter()
                .filter(|hint| !known.contains(hint))
                .fold(error, |error, hint| error.hint(hint.clone()))
        }))
    }
}

impl Counts {
    /// In words, when it is done: `2 created, 17 unchanged`.
    pub fn done(&self) -> String {
        let words = ["created", "updated", "recreated", "deleted"];
        self.in_words(words)
    }

    fn in_words(&self, words: [&str; 4]) -> String {
        let [create, update, recreate, delete] = words;
        let parts = [
            (self.create, create),
            (self.update, update),
            (self.recreate, recreate),
            (self.delete, delete),
            (self.blocked, "blocked"),
            (self.unchanged, "unchanged"),
        ];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        match parts.is_empty() {
            true => "nothing to do".to_owned(),
            false => parts.join(", "),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = ["to create", "to update", "to recreate", "to delete"];
        f.write_str(&self.in_words(words))
    }
}

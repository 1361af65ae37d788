//! A plan as people and programs read it.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

use crate::error::{Error, Result};
use crate::manifest::{ObjectKey, labels, yaml};
use crate::plan::{Action, Change, FieldChange, Live, NamespaceStep, Plan, compare, secrets};

/// What is done about an object, without details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DiffAction {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted and made anew.
    Recreate,
    /// It is deleted.
    Delete,
    /// Nothing can be done.
    Blocked,
}

/// One line of `dev diff -o json`. Objects that stay as they are have none.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiffEntry {
    /// The object.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// The service it belongs to.
    pub service: String,
    /// What is done.
    pub action: DiffAction,
    /// The fields that change; values of Secrets are masked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// Why it is recreated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Why nothing can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// The changes of a plan, for programs.
pub fn diff_entries(plan: &Plan) -> Vec<DiffEntry> {
    plan.changes.iter().filter_map(entry).collect()
}

fn entry(change: &Change) -> Option<DiffEntry> {
    let mask = |fields: &[FieldChange]| -> Vec<FieldChange> {
        fields
            .iter()
            .map(|field| secrets::mask_change(&change.key, field))
            .collect()
    };
    let (action, fields, why, error) = match &change.action {
        Action::Unchanged => return None,
        Action::Create => (DiffAction::Create, Vec::new(), None, None),
        Action::Update(fields) => (DiffAction::Update, mask(fields), None, None),
        Action::Recreate(recreate) => (
            DiffAction::Recreate,
            mask(&recreate.fields),
            Some(recreate.why.clone()),
            None,
        ),
        Action::Delete => (DiffAction::Delete, Vec::new(), None, None),
        Action::Blocked(error) => (DiffAction::Blocked, Vec::new(), None, Some(error.clone())),
    };
    Some(DiffEntry {
        key: change.key.clone(),
        service: change.service.clone(),
        action,
        fields,
        why,
        error,
    })
}

/// The changes of a plan, for people: a unified diff for each object. Empty when there is nothing to do.
pub fn render_diff(plan: &Plan) -> Result<String> {
    let mut text = String::new();
    match plan.namespace_step {
        NamespaceStep::Keep => {}
        NamespaceStep::Create => line(&mut text, &format!("+ Namespace {}", plan.namespace)),
        NamespaceStep::AwaitEndThenCreate => line(
            &mut text,
            &format!(
                "± Namespace {} (is being deleted; made anew after that)",
                plan.namespace
            ),
        ),
    }
    for change in &plan.changes {
        let name = heading(change);
        match &change.action {
            Action::Unchanged => {}
            Action::Create => {
                line(&mut text, &format!("+ {name}"));
                body(&mut text, change)?;
            }
            Action::Update(fields) => {
                line(&mut text, &format!("~ {name}"));
                if fields.is_empty() {
                    line(&mut text, "  (only the record of what was applied)");
                } else {
                    body(&mut text, change)?;
                }
            }
            Action::Recreate(recreate) => {
                line(
                    &mut text,
                    &format!("± {name} (deleted and made anew: {})", recreate.why),
                );
                body(&mut text, change)?;
            }
            Action::Delete => line(&mut text, &format!("- {name}")),
            Action::Blocked(error) => {
                line(&mut text, &format!("! {name}: {error}"));
                // What another manager has made of the field is what a person wants to see.
                if error.reason_code() == Some("FieldConflict") {
                    body(&mut text, change)?;
                }
            }
        }
    }
    Ok(text)
}

fn line(text: &mut String, content: &str) {
    text.push_str(content);
    text.push('\n');
}

fn heading(change: &Change) -> String {
    if change.service.is_empty() {
        change.key.to_string()
    } else {
        format!("{} [{}]", change.key, change.service)
    }
}

fn body(text: &mut String, change: &Change) -> Result<()> {
    let mut after = change.desired.clone().unwrap_or_default();
    let mut before = match &change.live {
        Some(live) => before(&after, live),
        None => Value::Null,
    };
    for side in [&mut before, &mut after] {
        let annotations = side.pointer_mut("/metadata/annotations");
        if let Some(Value::Object(annotations)) = annotations {
            annotations.shift_remove(labels::APPLIED);
        }
    }
    secrets::mask_objects(&change.key, &mut before, &mut after);
    let old = if before.is_null() {
        String::new()
    } else {
        yaml::to_string(&before)?
    };
    let new = yaml::to_string(&after)?;
    let diff = TextDiff::from_lines(&old, &new);
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        for part in hunk.to_string().lines() {
            let _infallible = writeln!(text, "  {part}");
        }
    }
    Ok(())
}

fn before(desired: &Value, live: &Live) -> Value {
    compare(desired, live).before
}

#[cfg(test)]
mod tests;

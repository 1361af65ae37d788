//! The end of the namespace of an environment: whether it goes, and its deletion.

use std::time::Duration;

use http::Request;
use serde_json::{Value, json};

use super::classify::{self, Class, Earlier};
use super::survey::survey;
use super::{NamespaceEnd, Removed};
use crate::cluster::request::Failure;
use crate::cluster::{Cluster, Resource, namespace};
use crate::error::Result;
use crate::manifest::ObjectKey;
use crate::manifest::labels::{self, Stamp};
use crate::plan::{Inventory, NamespaceState};

/// The namespace of an environment whose objects were removed.
pub(super) struct End<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) stamp: &'a Stamp,
    pub(super) namespace: &'a str,
    /// The kinds to look at.
    pub(super) kinds: &'a [Resource],
    /// What was in it before.
    pub(super) earlier: &'a Earlier,
}

impl End<'_> {
    /// Deletes the namespace, where `dev` made it for this environment and nothing but the environment was in it.
    pub(super) async fn come(
        &self,
        state: &NamespaceState,
        keep: bool,
        timeout: Duration,
        tell: &(dyn Fn(&str) + Sync),
        report: &mut Removed,
    ) -> Result<NamespaceEnd> {
        let kept = |why: &str| Ok(NamespaceEnd::Kept(why.to_owned()));
        if let Some(why) = stays(state, self.stamp, keep) {
            return kept(why);
        }
        if !report.failures.is_empty() {
            return kept("not everything in it could be removed");
        }
        if let Some(why) = self.still_held().await? {
            return kept(&why);
        }
        let attempt = format!("delete the namespace {}", self.namespace);
        match self.delete().await {
            Ok(None) => {}
            Ok(Some(why)) => return kept(why),
            Err(failure) if failure.is_not_found() => return Ok(NamespaceEnd::Deleted),
            Err(failure) if failure.is_conflict() => return kept("somebody changed it just now"),
            Err(failure) if failure.is_forbidden() => {
                let error = self.cluster.explain_failure(&attempt, &failure);
                let why = error.to_string();
                report.failures.push(error);
                return kept(&why);
            }
            Err(failure) => return Err(self.cluster.explain_failure(&attempt, &failure)),
        }
        self.cluster
            .await_namespace_end(self.namespace, timeout, tell)
            .await?;
        Ok(NamespaceEnd::Deleted)
    }

    /// Looks again: others may have put something there in the meantime.
    async fn still_held(&self) -> Result<Option<String>> {
        let nothing = Inventory::default();
        let survey = survey(
            self.cluster,
            self.stamp,
            self.namespace,
            self.kinds,
            &nothing,
            self.earlier,
        )
        .await?;
        let left: Vec<ObjectKey> = survey
            .found
            .into_iter()
            .filter(|found| matches!(found.class, Class::Owned | Class::Kept | Class::Foreign))
            .map(|found| found.target.key)
            .collect();
        Ok(holds(&left, &survey.unseen))
    }

    /// Deletes the namespace as it is at this moment; gives why not, where it is another one by now or was marked.
    async fn delete(&self) -> Result<Option<&'static str>, Failure> {
        let path = namespace::resource().object(None, self.namespace);
        let request = Request::get(&path).body(Vec::new());
        let found: Value = self.cluster.try_send(request).await?;
        let state = namespace::state_of(&found);
        if let Some(why) = stays(&state, self.stamp, false) {
            return Ok(Some(why));
        }
        let metadata = &found["metadata"];
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions",
            "preconditions": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}});
        let request = Request::delete(&path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(options.to_string().into_bytes());
        self.cluster.try_send::<Value>(request).await?;
        Ok(None)
    }
}

/// Why a namespace stays whatever is in it.
pub(super) fn stays(state: &NamespaceState, stamp: &Stamp, asked: bool) -> Option<&'static str> {
    if asked {
        return Some("as asked");
    }
    if *state == NamespaceState::Unreadable {
        return Some("you may not see who made it");
    }
    if matches!(state, NamespaceState::Terminating { .. }) {
        return Some("somebody deletes it already");
    }
    if !is_ours(state, stamp) {
        return Some("it was not made by dev for this environment");
    }
    if let NamespaceState::Active { labels } = state
        && labels.get(labels::KEEP).is_some_and(|mark| mark == "true")
    {
        return Some("it is marked dev/keep");
    }
    None
}

/// Why a namespace stays with these objects left in it, and these kinds not seen.
pub(super) fn holds(left: &[ObjectKey], unseen: &[Resource]) -> Option<String> {
    if !left.is_empty() {
        let names: Vec<String> = left.iter().take(10).map(ToString::to_string).collect();
        let more = match left.len().saturating_sub(names.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        return Some(format!("{}{more} is in it", names.join(", ")));
    }
    let unseen: Vec<&str> = unseen
        .iter()
        .filter(|kind| !classify::is_passing(kind))
        .map(|kind| kind.plural.as_str())
        .collect();
    (!unseen.is_empty()).then(|| {
        format!(
            "you may not see whether there are {} in it",
            unseen.join(", ")
        )
    })
}

fn is_ours(state: &NamespaceState, stamp: &Stamp) -> bool {
    let NamespaceState::Active { labels: marks } = state else {
        return false;
    };
    let is = |key: &str, value: &str| marks.get(key).is_some_and(|found| found == value);
    is(labels::MANAGED_BY, labels::MANAGER)
        && is(labels::ENV, &stamp.env)
        && is(labels::APP, &stamp.app)
}

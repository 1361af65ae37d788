//! The namespace of an environment: made, awaited, deleted.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use http::Request;
use serde_json::{Value, json};

use crate::cluster::watch::{End, Seen};
use crate::cluster::{Cluster, Resource};
use crate::error::{Error, Result};
use crate::manifest::labels::{self, Stamp};
use crate::plan::{NamespaceState, check_namespace};

pub(super) fn resource() -> Resource {
    Resource {
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        plural: "namespaces".to_owned(),
        namespaced: false,
    }
}

impl Cluster {
    /// The namespace as it is now. One that may not be read is taken to exist.
    pub async fn namespace_state(&self, name: &str) -> Result<NamespaceState> {
        let path = resource().object(None, name);
        let found: Value = match self.try_send(Request::get(path).body(Vec::new())).await {
            Ok(found) => found,
            Err(failure) if failure.is_not_found() => return Ok(NamespaceState::Absent),
            Err(failure) if failure.is_forbidden() => return Ok(NamespaceState::Unreadable),
            Err(failure) => {
                return Err(self.explain_failure(&format!("read the namespace {name}"), &failure));
            }
        };
        Ok(state_of(&found))
    }

    /// Makes the namespace; gives whether it did. One that was made in the meantime is used where it could have been used before.
    ///
    /// # Errors
    /// `NamespaceTaken` where another environment was faster, `NamespaceTerminating` where it is going already.
    pub(super) async fn create_namespace(
        &self,
        name: &str,
        stamp: &Stamp,
        owner: Option<&str>,
    ) -> Result<bool> {
        let mut marks = serde_json::Map::new();
        for (key, value) in [
            (labels::MANAGED_BY, labels::MANAGER),
            (labels::APP, &stamp.app),
            (labels::ENV, &stamp.env),
        ] {
            marks.insert(key.to_owned(), Value::from(value));
        }
        if let Some(base) = &stamp.base {
            marks.insert(labels::BASE.to_owned(), Value::from(base.as_str()));
        }
        if let Some(owner) = owner {
            marks.insert(labels::OWNER.to_owned(), Value::from(owner));
        }
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": marks}});
        let path = format!(
            "{}?fieldManager={}",
            resource().collection(None),
            labels::MANAGER
        );
        let request = Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.to_string().into_bytes());
        match self.try_send::<Value>(request).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_conflict() => {
                self.judge_namespace(name, stamp).await.map(|()| false)
            }
            Err(failure) => {
                Err(self.explain_failure(&format!("create the namespace {name}"), &failure))
            }
        }
    }

    /// Whether a namespace that somebody else made just now may be used.
    async fn judge_namespace(&self, name: &str, stamp: &Stamp) -> Result<()> {
        match self.namespace_state(name).await? {
            NamespaceState::Active { labels } => check_namespace(name, &labels, stamp),
            // Every object is judged by itself.
            NamespaceState::Unreadable => Ok(()),
            NamespaceState::Terminating { .. } | NamespaceState::Absent => Err(Error::failed(
                format!("the namespace {name} was made and deleted by somebody else meanwhile"),
            )
            .reason("NamespaceTerminating")
            .hint("run the command again: it waits for the end of the namespace")),
        }
    }

    /// Waits until a namespace that is being deleted is gone. `tell` gets what it waits for, each time that this changes.
    ///
    /// # Errors
    /// `NotReady` when it is not gone in time, with what keeps it.
    pub async fn await_namespace_end(
        &self,
        name: &str,
        timeout: Duration,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<()> {
        let mut last = String::new();
        let waiting = async {
            loop {
                let path = resource().object(None, name);
                let attempt = format!("watch the namespace {name}");
                let Some(found) = self.get_opt::<Value>(&path, &attempt).await? else {
                    return Ok(());
                };
                hold(&found, &mut last, tell);
                let version = found["metadata"]["resourceVersion"]
                    .as_str()
                    .unwrap_or_default();
                let mut see = |seen: Seen| match seen {
                    Seen::Gone(_) => ControlFlow::Break(()),
                    Seen::There(now) => {
                        hold(&now, &mut last, tell);
                        ControlFlow::Continue(())
                    }
                };
                let collection = resource().collection(None);
                match self
                    .watch(&collection, Some(name), version, false, &mut see)
                    .await
                {
                    Ok(End::Done) => return Ok(()),
                    Ok(End::Stale) => {}
                    Err(failure) => return Err(self.explain_failure(&attempt, &failure)),
                }
            }
        };
        match tokio::time::timeout(timeout, waiting).await {
            Ok(result) => result,
            Err(_) => Err(Error::not_ready(format!(
                "the namespace {name} is still being deleted after {} s",
                timeout.as_secs()
            ))
            .reason("NamespaceTerminating")
            .cause(last)
            .hint(format!(
                "kubectl get namespace {name} -o yaml shows what keeps it"
            ))),
        }
    }
}

/// What state a Namespace object tells.
pub(super) fn state_of(namespace: &Value) -> NamespaceState {
    let labels: BTreeMap<String, String> = namespace["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let mut labels = labels;
    // The mark is an annotation; it counts like the label of the same name.
    if namespace["metadata"]["annotations"][labels::KEEP] == "true" {
        labels.insert(labels::KEEP.to_owned(), "true".to_owned());
    }
    if namespace["metadata"].get("deletionTimestamp").is_some() {
        NamespaceState::Terminating { labels }
    } else {
        NamespaceState::Active { labels }
    }
}

/// Tells what keeps a namespace that is going, when it is news.
fn hold(namespace: &Value, last: &mut String, tell: &(dyn Fn(&str) + Sync)) {
    let now = kept_by(namespace);
    if now != *last {
        tell(&now);
        *last = now;
    }
}

/// What the namespace controller says is left, in the words of its conditions.
fn kept_by(namespace: &Value) -> String {
    let said: Vec<&str> = namespace["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|condition| condition["status"] == "True")
        .filter_map(|condition| condition["message"].as_str())
        .collect();
    if said.is_empty() {
        "what is in it is being deleted".to_owned()
    } else {
        said.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_namespace_is_told_in_its_own_words() {
        let namespace = json!({"status": {"conditions": [
            {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "All content successfully deleted"},
            {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "Some content in the namespace has finalizers remaining: example.org/x in 1 resource instances"},
        ]}});
        assert_eq!(
            kept_by(&namespace),
            "Some content in the namespace has finalizers remaining: example.org/x in 1 resource instances"
        );
    }
}

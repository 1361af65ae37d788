//! One watch on a collection, for waiting without polling.

use std::ops::ControlFlow;

use futures::StreamExt as _;
use http::Request;
use kube::api::WatchEvent;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::request::{Failure, encode};

/// How long the server keeps a watch open before it ends it, in seconds; then it is begun anew.
const SERVER_TIMEOUT: u32 = 290;

const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// What is seen of an object.
pub(super) enum Seen {
    /// It is there, like this.
    There(Value),
    /// It is gone; this is how it was.
    Gone(Value),
}

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// `see` broke it off.
    Done,
    /// The server ended it, or the version is too old: list again.
    Stale,
}

impl Cluster {
    /// Watches a collection from a version on. `name`: one object of it.
    pub(super) async fn watch(
        &self,
        collection: &str,
        name: Option<&str>,
        from_version: &str,
        metadata_only: bool,
        see: &mut (dyn FnMut(Seen) -> ControlFlow<()> + Send),
    ) -> Result<End, Failure> {
        let mut path = format!(
            "{collection}?watch=1&resourceVersion={}&timeoutSeconds={SERVER_TIMEOUT}",
            encode(from_version)
        );
        if let Some(name) = name {
            path.push_str("&fieldSelector=");
            path.push_str(&encode(&format!("metadata.name={name}")));
        }
        let accept = if metadata_only {
            METADATA
        } else {
            "application/json"
        };
        let request = Request::get(path)
            .header(http::header::ACCEPT, accept)
            .body(Vec::new())
            .map_err(|cause| Failure::Kube(kube::Error::HttpError(cause)))?;
        let events = match self.client.request_events::<Value>(request).await {
            Ok(events) => events,
            Err(kube::Error::Api(status)) if status.code == 410 => return Ok(End::Stale),
            Err(cause) => return Err(Failure::Kube(cause)),
        };
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            let seen = match event {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => Seen::There(object),
                Ok(WatchEvent::Deleted(object)) => Seen::Gone(object),
                Ok(WatchEvent::Bookmark(_)) => continue,
                // Too old a version or a lost connection: what is missed is seen by listing again.
                Ok(WatchEvent::Error(_)) | Err(_) => return Ok(End::Stale),
            };
            if see(seen).is_break() {
                return Ok(End::Done);
            }
        }
        Ok(End::Stale)
    }
}

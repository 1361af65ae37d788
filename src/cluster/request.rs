//! Requests with plain JSON values, each with a time limit and an error for people.

use std::time::Duration;

use http::Request;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::error::{Error, Result};

/// How long the server may take to answer, retries included. Watches and streams have no such limit.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Objects in one page of a list.
const PAGE: usize = 500;

/// `Accept` for metadata only.
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// What a request gave, before it is explained to people.
pub(super) enum Failure {
    /// The API server or the connection to it.
    Kube(kube::Error),
    /// No answer in time.
    Late,
}

/// A list and the version of the cluster's state that it shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) items: Vec<Value>,
    pub(super) resource_version: String,
}

impl Cluster {
    /// Sends a request and reads the answer as JSON, without explaining what went wrong.
    pub(super) async fn try_send<T: DeserializeOwned>(
        &self,
        request: http::Result<Request<Vec<u8>>>,
    ) -> Result<T, Failure> {
        let request = request.map_err(|cause| Failure::Kube(kube::Error::HttpError(cause)))?;
        match tokio::time::timeout(ANSWER_TIMEOUT, self.client.request(request)).await {
            Ok(result) => result.map_err(Failure::Kube),
            Err(_) => Err(Failure::Late),
        }
    }

    /// What a failure means for people.
    pub(super) fn explain_failure(&self, attempt: &str, failure: &Failure) -> Error {
        match failure {
            Failure::Kube(cause) => self.explain(attempt, cause),
            Failure::Late => Error::cluster(format!(
                "cannot {attempt}: the API server at {} did not answer within {} s",
                self.server,
                ANSWER_TIMEOUT.as_secs()
            ))
            .reason("NoAnswer"),
        }
    }

    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        request: http::Result<Request<Vec<u8>>>,
        attempt: &str,
    ) -> Result<T> {
        self.try_send(request)
            .await
            .map_err(|failure| self.explain_failure(attempt, &failure))
    }

    /// Reads one object; `None` where there is none.
    pub(super) async fn get_opt<T: DeserializeOwned>(
        &self,
        path: &str,
        attempt: &str,
    ) -> Result<Option<T>> {
        match self.try_send(Request::get(path).body(Vec::new())).await {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(self.explain_failure(attempt, &failure)),
        }
    }

    /// Lists a collection, page by page. `metadata_only`: `metadata` and nothing else of each object.
    pub(super) async fn try_list(
        &self,
        collection: &str,
        metadata_only: bool,
    ) -> Result<Listed, Failure> {
        let accept = if metadata_only {
            METADATA_LIST
        } else {
            "application/json"
        };
        let mut listed = Listed::default();
        let mut token = String::new();
        loop {
            let mut path = format!("{collection}?limit={PAGE}");
            if !token.is_empty() {
                path.push_str("&continue=");
                path.push_str(&encode(&token));
            }
            let request = Request::get(path)
                .header(http::header::ACCEPT, accept)
                .body(Vec::new());
            let mut page: Value = match self.try_send(request).await {
                Ok(page) => page,
                // The continuation expired: begin anew.
                Err(failure) if !token.is_empty() && failure.code() == Some(410) => {
                    listed.items.clear();
                    token.clear();
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            if let Value::Array(items) = page["items"].take() {
                listed.items.extend(items);
            }
            let text = |field: &str| {
                page["metadata"][field]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            };
            listed.resource_version = text("resourceVersion");
            token = text("continue");
            if token.is_empty() {
                return Ok(listed);
            }
        }
    }
}

impl Failure {
    /// The HTTP status, where the server answered.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status.code),
            Self::Kube(_) | Self::Late => None,
        }
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    pub(super) fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// Whether the server refused an outdated or an existing version.
    pub(super) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }
}

/// A query value: everything but unreserved characters is escaped (RFC 3986).
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

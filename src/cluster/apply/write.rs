//! Writing one object by server-side apply, so that nothing of others is taken over: what is made must not be there, and what is
//! changed must be the object that was observed. Why this is sound: `docs/design/applying.md`.

use std::fmt;
use std::time::Duration;

use http::Request;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::PlaceOf;
use crate::cluster::request::Failure;
use crate::cluster::{Cluster, Resource, errors, observe};
use crate::error::{Error, Result};
use crate::manifest::ObjectKey;
use crate::manifest::labels::{self, Stamp};
use crate::plan::{Change, refusal};

/// A version that no object has: the store begins at 1, and its first write is 2. An apply that names it makes an object or is
/// refused.
const NO_VERSION: &str = "1";
/// How often an object is made anew that others make and delete meanwhile.
const TRIES: usize = 3;

/// Kinds that refer to a role which the API server must know.
const BINDINGS: [&str; 2] = ["RoleBinding", "ClusterRoleBinding"];
/// Within this time it knows a role that was made, on any machine; and how often it is asked.
const ROLE_KNOWN: Duration = Duration::from_secs(5);
const ROLE_PAUSE: Duration = Duration::from_millis(50);

/// What the object is taken to be.
#[derive(Clone, Copy)]
enum Expected<'a> {
    /// Not there.
    Absent,
    /// The one with this uid.
    This(&'a str),
}

/// One object and what it should be.
pub(super) struct Object<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) resource: &'a Resource,
    pub(super) key: &'a ObjectKey,
    pub(super) desired: &'a Value,
    /// Only to hear what the server says of it.
    pub(super) dry: bool,
}

/// Why an object was not written.
pub(super) struct Refused {
    pub(super) error: Error,
    /// The first field that the server names.
    field: Option<String>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, field: None }
    }
}

impl Refused {
    /// An error about it, with the place in a file that the change or the field comes from.
    pub(super) fn at(&self, change: &Change, error: Error, place: &PlaceOf<'_>) -> Error {
        let field = self.field.as_deref().unwrap_or_default();
        let keys = errors::keys(field, change.desired.as_ref().unwrap_or(&Value::Null));
        match place(change, &keys) {
            Some(place) => error.at(place),
            None => error,
        }
    }
}

impl Object<'_> {
    /// Makes it. One of its name that is there by now is changed only where it is the environment's: another run made it, or a
    /// request of this one whose answer was lost. `recorded`: the inventory listed it before this run.
    ///
    /// # Errors
    /// `NotMadeByDev`, `OwnedByAnotherEnvironment` where somebody else made one meanwhile.
    pub(super) async fn create(&self, stamp: &Stamp, recorded: bool) -> Result<(), Refused> {
        for _ in 0..TRIES {
            let refused = match self.send_new().await {
                Ok(_) => return Ok(()),
                Err(failure) if failure.is_conflict() => failure,
                Err(failure) => return Err(self.explain(&failure)),
            };
            let found = match self.read().await {
                Ok(found) => found,
                Err(failure) if failure.is_forbidden() => return Err(self.unseen(&refused)),
                Err(failure) => return Err(self.explain(&failure)),
            };
            // Gone again: the next try makes it.
            let Some(found) = found else { continue };
            let kind = (self.key.api_version.clone(), self.key.kind.clone());
            let Some((_, live)) = observe::live(&kind, found) else {
                return Err(self.explain(&refused));
            };
            return match refusal(self.key, &live, stamp, recorded) {
                Some(error) => Err(error.cause("it was made while this command ran").into()),
                None => self.update(super::uid(&live)).await,
            };
        }
        Err(Error::failed(format!(
            "cannot {self}: others make and delete it all the time"
        ))
        .reason("Conflict")
        .hint("is another dev, or a controller, at work on the same objects?")
        .into())
    }

    /// Changes the object with this uid, and no other that has its name by now.
    ///
    /// # Errors
    /// `RemovedMeanwhile` where it is gone; `FieldConflict` where another manager owns a field.
    pub(super) async fn update(&self, uid: &str) -> Result<(), Refused> {
        let Err(failure) = self.send(Expected::This(uid)).await else {
            return Ok(());
        };
        if !failure.is_conflict() && !names_uid(&failure) {
            return Err(self.explain(&failure));
        }
        // Fields of other managers are looked at before the uid is.
        match self.read().await {
            Ok(Some(found)) if found["metadata"]["uid"] == uid => Err(self.explain(&failure)),
            Ok(Some(_)) => Err(self.removed("deleted, and another one made")),
            Ok(None) => Err(self.removed("deleted")),
            Err(_) if names_uid(&failure) => Err(self.removed("deleted")),
            Err(_) => Err(self.explain(&failure)),
        }
    }

    /// Sends what is not there. The API server refuses the binding of a role that it does not know, where the person may not bind
    /// any role: and it knows one that was just made a moment later, by a watch of its own.
    async fn send_new(&self) -> Result<Value, Failure> {
        let deadline = Instant::now() + ROLE_KNOWN;
        loop {
            match self.send(Expected::Absent).await {
                Err(failure)
                    if failure.is_not_found()
                        && BINDINGS.contains(&self.key.kind.as_str())
                        && Instant::now() < deadline =>
                {
                    sleep(ROLE_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn send(&self, expected: Expected<'_>) -> Result<Value, Failure> {
        let mut body = self.desired.clone();
        match expected {
            Expected::Absent => body["metadata"]["resourceVersion"] = Value::from(NO_VERSION),
            Expected::This(uid) => body["metadata"]["uid"] = Value::from(uid),
        }
        let path = format!(
            "{}?fieldManager={}&force=false&fieldValidation=Strict{}",
            self.path(),
            labels::MANAGER,
            if self.dry { "&dryRun=All" } else { "" }
        );
        let request = Request::patch(path)
            .header(http::header::CONTENT_TYPE, "application/apply-patch+yaml")
            // JSON is YAML.
            .body(body.to_string().into_bytes());
        self.cluster.try_send(request).await
    }

    async fn read(&self) -> Result<Option<Value>, Failure> {
        let request = Request::get(self.path()).body(Vec::new());
        match self.cluster.try_send(request).await {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    fn path(&self) -> String {
        self.resource
            .object(self.key.namespace.as_deref(), &self.key.name)
    }

    fn explain(&self, failure: &Failure) -> Refused {
        let problems = match failure {
            Failure::Kube(kube::Error::Api(status)) => errors::problems(status),
            Failure::Kube(_) | Failure::Late => Vec::new(),
        };
        Refused {
            error: self.cluster.explain_failure(&self.to_string(), failure),
            field: problems
                .into_iter()
                .map(|one| one.path)
                .find(|path| !path.is_empty()),
        }
    }

    fn unseen(&self, refused: &Failure) -> Refused {
        Error::failed(format!(
            "cannot {self}: it was made meanwhile, and you may not see by whom"
        ))
        .reason("AlreadyExists")
        .cause(self.explain(refused).error.to_string())
        .hint("run the command again, or delete it")
        .into()
    }

    fn removed(&self, how: &str) -> Refused {
        Error::failed(format!(
            "cannot {self}: it was {how} while this command ran"
        ))
        .reason("RemovedMeanwhile")
        .hint("is `dev down`, or somebody else, at work on this environment? Run the command again")
        .into()
    }
}

impl fmt::Display for Object<'_> {
    /// Completes "cannot …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "apply {}", self.key)?;
        match &self.key.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}

/// Whether the server says that the object has another uid, or that none has this one.
fn names_uid(failure: &Failure) -> bool {
    let Failure::Kube(kube::Error::Api(status)) = failure else {
        return false;
    };
    let details = status.details.iter();
    status.message.contains("uid mismatch")
        || details
            .flat_map(|details| &details.causes)
            .any(|cause| cause.field == "metadata.uid")
}

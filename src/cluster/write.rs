//! Single writes that depend on what was read: what is outdated is told apart from what failed.

use http::Request;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::request::{Failure, encode};
use crate::error::{Error, Result};

/// A collection of objects.
#[derive(Clone, Debug)]
pub struct Path(String);

/// What became of a write.
#[derive(Debug)]
pub enum Written {
    /// Done; the object as it is now.
    Done(Value),
    /// Nothing was done: the object is not as it was read, not there any more, or there already.
    Outdated,
    /// Refused, or nobody knows.
    Failed(Error),
}

impl Path {
    /// The objects of a kind in a namespace: `/api/v1` or `/apis/GROUP/VERSION`, the namespace, the plural.
    pub fn namespaced(api: &str, namespace: &str, plural: &str) -> Self {
        Self(format!("{api}/namespaces/{namespace}/{plural}"))
    }

    fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }
}

impl Cluster {
    /// Reads one object; `None` where there is none.
    pub async fn read_at(&self, path: &Path, name: &str) -> Result<Option<Value>> {
        let path = path.object(name);
        self.get_opt(&path, &format!("read {path}")).await
    }

    /// Creates an object, as this field manager.
    pub async fn create_at(&self, path: &Path, manager: &str, object: &Value) -> Written {
        let request = Request::post(by(&path.0, manager))
            .header(http::header::CONTENT_TYPE, "application/json");
        self.write_at(request, object, &format!("create an object at {}", path.0))
            .await
    }

    /// Replaces an object that has the version which it carries.
    pub async fn replace_at(
        &self,
        path: &Path,
        name: &str,
        manager: &str,
        object: &Value,
    ) -> Written {
        let path = path.object(name);
        let request =
            Request::put(by(&path, manager)).header(http::header::CONTENT_TYPE, "application/json");
        self.write_at(request, object, &format!("write {path}"))
            .await
    }

    /// Applies a JSON Patch. A test in it that does not hold makes it outdated.
    pub async fn json_patch_at(
        &self,
        path: &Path,
        name: &str,
        manager: &str,
        patch: &[Value],
    ) -> Written {
        let path = path.object(name);
        let request = Request::patch(by(&path, manager))
            .header(http::header::CONTENT_TYPE, "application/json-patch+json");
        self.write_at(request, &json!(patch), &format!("patch {path}"))
            .await
    }

    /// Applies a merge patch (RFC 7386), which may carry the version that it is for.
    pub async fn merge_patch_at(
        &self,
        path: &Path,
        name: &str,
        manager: &str,
        patch: &Value,
    ) -> Written {
        let path = path.object(name);
        let request = Request::patch(by(&path, manager))
            .header(http::header::CONTENT_TYPE, "application/merge-patch+json");
        self.write_at(request, patch, &format!("patch {path}"))
            .await
    }

    /// Deletes an object if it is this one.
    pub async fn delete_at(&self, path: &Path, name: &str, uid: &str) -> Written {
        let path = path.object(name);
        let request = Request::delete(&path).header(http::header::CONTENT_TYPE, "application/json");
        let options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        self.write_at(request, &options, &format!("delete {path}"))
            .await
    }

    async fn write_at(
        &self,
        request: http::request::Builder,
        body: &Value,
        attempt: &str,
    ) -> Written {
        match self
            .try_send(request.body(body.to_string().into_bytes()))
            .await
        {
            Ok(object) => Written::Done(object),
            Err(failure) if is_outdated(&failure) => Written::Outdated,
            Err(failure) => Written::Failed(self.explain_failure(attempt, &failure)),
        }
    }
}

fn by(path: &str, manager: &str) -> String {
    format!("{path}?fieldManager={}", encode(manager))
}

/// A test of a JSON Patch that does not hold is answered with 422 and no cause: with a cause the object itself is not valid.
fn is_outdated(failure: &Failure) -> bool {
    match failure {
        Failure::Kube(kube::Error::Api(status)) => match status.code {
            404 | 409 => true,
            422 => status
                .details
                .as_ref()
                .is_none_or(|details| details.causes.is_empty()),
            _ => false,
        },
        Failure::Kube(_) | Failure::Late => false,
    }
}

//! An API server in memory, for tests of what a real one does not do on demand: refuse, lose connections, die at a write.
//! It keeps objects by path, checks resource versions and UIDs, and knows no schema.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::{BoxError, ServiceBuilder, service_fn};

use crate::cluster::Cluster;
use crate::cluster::retry::RetryPolicy;

/// What happens to the next request that matches, in place of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Mishap {
    /// A status, with nothing done.
    Refuse(Value),
    /// The connection is lost before the server hears of it.
    LostBefore,
    /// The connection is lost after the server did it.
    LostAfter,
}

#[derive(Clone, Debug, Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    writes: Vec<String>,
    mishaps: VecDeque<(Method, &'static str, Mishap)>,
    /// Writes that are still done; then every request stays unanswered, as for a process that was killed.
    lives: Option<usize>,
}

/// The server. Clones share their objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake(Arc<Mutex<State>>);

impl Fake {
    /// A connection to it, with the retries of a real one.
    pub(crate) fn cluster(&self) -> Cluster {
        let fake = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { fake.serve(request).await }
        });
        let stack = ServiceBuilder::new()
            .buffer(64)
            .retry(RetryPolicy::default())
            .buffer(64)
            .service(service);
        Cluster::from_client(Client::new(stack, "default"), "fake")
    }

    /// Puts an object there, as somebody else would.
    pub(crate) fn put(&self, path: &str, object: Value) {
        let mut state = self.0.lock().unwrap();
        let stored = state.stored(path, object);
        state.objects.insert(path.to_owned(), stored);
    }

    /// Removes an object, as somebody else would.
    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path);
    }

    /// The next request of this method whose path contains this text goes wrong.
    pub(crate) fn next(&self, method: Method, part: &'static str, mishap: Mishap) {
        self.0
            .lock()
            .unwrap()
            .mishaps
            .push_back((method, part, mishap));
    }

    /// After so many more writes nothing is answered any more; `None`: it lives on.
    pub(crate) fn dies_after(&self, writes: Option<usize>) {
        self.0.lock().unwrap().lives = writes;
    }

    /// The paths of all objects.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap().objects.keys().cloned().collect()
    }

    /// An object.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// The writes since the last call: method and path.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let path = parts.uri.path().to_owned();
        let dry = is_dry(&parts);
        let mishap = {
            let mut state = self.0.lock().unwrap();
            let next = state.mishaps.iter().position(|(method, part, _)| {
                *method == parts.method && path.contains(part) && !dry
            });
            next.and_then(|index| state.mishaps.remove(index))
                .map(|(_, _, mishap)| mishap)
        };
        match mishap {
            Some(Mishap::Refuse(status)) => return Ok(answer(&status)),
            Some(Mishap::LostBefore) => return Err(lost()),
            Some(Mishap::LostAfter) => {
                let _unheard = self.answer(&parts, &path, &body);
                return Err(lost());
            }
            None => {}
        }
        match self.answer(&parts, &path, &body) {
            Some(value) => Ok(answer(&value)),
            None => std::future::pending().await,
        }
    }

    /// `None`: it is dead.
    fn answer(&self, parts: &http::request::Parts, path: &str, body: &[u8]) -> Option<Value> {
        if path.contains("/authorization.k8s.io/") {
            return Some(
                json!({"status": {"allowed": true, "incomplete": true, "resourceRules": []}}),
            );
        }
        let mut state = self.0.lock().unwrap();
        let dead = state.lives == Some(0);
        if is_dry(parts) && !dead {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            return Some(state.clone().apply(path, body));
        }
        if parts.method != Method::GET {
            if let Some(lives) = &mut state.lives {
                *lives = lives.checked_sub(1)?;
            }
            state.writes.push(format!("{} {path}", parts.method));
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        Some(match parts.method {
            Method::GET => state.read(path, parts.uri.query().unwrap_or_default()),
            Method::POST => state.create(path, body),
            Method::PUT => state.replace(path, body),
            Method::PATCH => state.apply(path, body),
            Method::DELETE => state.delete(path, &body),
            _ => status(405, "MethodNotAllowed", "no"),
        })
    }
}

impl State {
    fn stored(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let uid = match self.objects.get(path) {
            Some(before) => before["metadata"]["uid"].clone(),
            None => json!(format!("uid-{}", self.version)),
        };
        object["metadata"]["uid"] = uid;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        object
    }

    fn read(&self, path: &str, query: &str) -> Value {
        if let Some(object) = self.objects.get(path) {
            return object.clone();
        }
        match path {
            "/api" => {
                return discovery(
                    "",
                    "v1",
                    &[
                        ("ConfigMap", "configmaps"),
                        ("Secret", "secrets"),
                        ("Service", "services"),
                    ],
                );
            }
            "/apis" => return discovery("apps", "v1", &[("Deployment", "deployments")]),
            _ => {}
        }
        if query.contains("watch=1") {
            // Ends at once, as a real one does now and then.
            return Value::Null;
        }
        let plural = path.rsplit('/').next().unwrap_or_default();
        if ![
            "configmaps",
            "secrets",
            "services",
            "deployments",
            "namespaces",
            "nodes",
        ]
        .contains(&plural)
        {
            return status(404, "NotFound", &format!("{path} not found"));
        }
        let below = format!("{path}/");
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(key, _)| {
                key.strip_prefix(&below)
                    .is_some_and(|name| !name.contains('/'))
            })
            .map(|(_, object)| object)
            .collect();
        json!({"kind": "List", "metadata": {"resourceVersion": self.version.to_string()}, "items": items})
    }

    fn create(&mut self, path: &str, body: Value) -> Value {
        let path = format!(
            "{path}/{}",
            body["metadata"]["name"].as_str().unwrap_or_default()
        );
        if self.objects.contains_key(&path) {
            return status(409, "AlreadyExists", "it exists");
        }
        self.keep(path, body)
    }

    fn replace(&mut self, path: &str, body: Value) -> Value {
        match self.objects.get(path) {
            None => status(404, "NotFound", "none"),
            Some(now)
                if now["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] =>
            {
                status(409, "Conflict", "the object has been modified")
            }
            Some(_) => self.keep(path.to_owned(), body),
        }
    }

    fn apply(&mut self, path: &str, mut body: Value) -> Value {
        let (uid, version) = (
            &body["metadata"]["uid"],
            &body["metadata"]["resourceVersion"],
        );
        match self.objects.get(path) {
            None if !uid.is_null() => {
                return status(
                    409,
                    "Conflict",
                    "uid mismatch: no existing object was found",
                );
            }
            Some(now) if !uid.is_null() && *uid != now["metadata"]["uid"] => {
                let mut refused = status(422, "Invalid", "metadata.uid: field is immutable");
                refused["details"] =
                    json!({"causes": [{"field": "metadata.uid", "message": "field is immutable"}]});
                return refused;
            }
            Some(now) if !version.is_null() && *version != now["metadata"]["resourceVersion"] => {
                return status(409, "Conflict", "the object has been modified");
            }
            None | Some(_) => {}
        }
        body["metadata"]["managedFields"] =
            json!([{"manager": "dev", "operation": "Apply", "fieldsV1": {}}]);
        self.keep(path.to_owned(), body)
    }

    fn keep(&mut self, path: String, body: Value) -> Value {
        let namespace = path
            .split_once("/namespaces/")
            .map(|(_, rest)| rest.to_owned());
        let inside = namespace.as_deref().and_then(|rest| rest.split_once('/'));
        if let Some((namespace, _)) = inside
            && !self
                .objects
                .contains_key(&format!("/api/v1/namespaces/{namespace}"))
        {
            return status(
                404,
                "NotFound",
                &format!("namespaces \"{namespace}\" not found"),
            );
        }
        let object = self.stored(&path, body);
        self.objects.insert(path, object.clone());
        object
    }

    fn delete(&mut self, path: &str, options: &Value) -> Value {
        let Some(now) = self.objects.get(path) else {
            return status(404, "NotFound", "none");
        };
        let wanted = &options["preconditions"]["uid"];
        if !wanted.is_null() && *wanted != now["metadata"]["uid"] {
            return status(409, "Conflict", "another UID");
        }
        let wanted = &options["preconditions"]["resourceVersion"];
        if !wanted.is_null() && *wanted != now["metadata"]["resourceVersion"] {
            return status(409, "Conflict", "another version");
        }
        self.objects.remove(path);
        let below = format!("{path}/");
        self.objects.retain(|key, _| {
            !key.replace("/apis/apps/v1/", "/api/v1/")
                .starts_with(&below)
        });
        json!({"kind": "Status", "status": "Success"})
    }
}

fn discovery(group: &str, version: &str, kinds: &[(&str, &str)]) -> Value {
    let resources: Vec<Value> = kinds
        .iter()
        .map(|(kind, plural)| {
            json!({"resource": plural, "scope": "Namespaced", "verbs": ["list", "delete"],
                "responseKind": {"group": group, "version": version, "kind": kind}})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "items": [
        {"metadata": {"name": group}, "versions": [{"version": version, "resources": resources}]}]})
}

/// A refusal.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})
}

fn answer(value: &Value) -> Response<Body> {
    let code = match value["status"].as_str() {
        Some("Failure") => value["code"]
            .as_u64()
            .and_then(|code| u16::try_from(code).ok()),
        _ => None,
    };
    let text = if value.is_null() {
        String::new()
    } else {
        value.to_string()
    };
    let mut response = Response::new(Body::from(text.into_bytes()));
    *response.status_mut() = http::StatusCode::from_u16(code.unwrap_or(200)).unwrap();
    response
}

/// A dry run changes nothing, and is no write.
fn is_dry(parts: &http::request::Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    query.contains("dryRun=All")
}

fn lost() -> BoxError {
    Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
}

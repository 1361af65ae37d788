//! Waits against a fake API server behind the client's tower service, with the clock paused.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use futures::StreamExt;
use futures::channel::mpsc;
use http::{Request, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::cluster::health::{Reason, Target};
use crate::manifest::ObjectKey;

type Chunk = Result<Frame<Bytes>, Infallible>;
type Stream = StreamBody<futures::stream::BoxStream<'static, Chunk>>;

/// What the fake server knows, by plural resource name.
#[derive(Default)]
struct Server {
    version: u64,
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    watches: BTreeMap<String, Vec<mpsc::UnboundedSender<Chunk>>>,
    forbidden: BTreeSet<String>,
    /// No connection is accepted.
    away: bool,
    /// Verb and resource of each request.
    requests: Vec<String>,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Server>>);

impl Fake {
    fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer = fake.answer(&request);
            async move { answer }
        });
        Client::new(service, "shop")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Server> {
        self.0.lock().unwrap()
    }

    fn answer(&self, request: &Request<Body>) -> Result<Response<Stream>, std::io::Error> {
        let mut server = self.lock();
        if server.away {
            return Err(std::io::Error::other("connection refused"));
        }
        let path = request
            .uri()
            .path()
            .split("/namespaces/shop/")
            .nth(1)
            .unwrap();
        let (resource, name) = path
            .split_once('/')
            .map_or((path, None), |(a, b)| (a, Some(b)));
        let query = request.uri().query().unwrap_or_default();
        let watch = query.contains("watch=true");
        let verb = if watch {
            "watch"
        } else if name.is_some() {
            "get"
        } else {
            "list"
        };
        server.requests.push(format!("{verb} {resource}"));
        if server.forbidden.contains(resource) {
            return Ok(failure(403, &format!("{resource} is forbidden")));
        }
        if let Some(name) = name {
            let found = server.objects.get(resource).and_then(|all| all.get(name));
            return Ok(found.map_or_else(|| failure(404, "not found"), |one| full(200, one)));
        }
        if !watch {
            let items: Vec<_> = server
                .objects
                .get(resource)
                .map(|all| all.values().cloned().collect())
                .unwrap_or_default();
            let version = server.version.to_string();
            let list =
                json!({"kind": "List", "metadata": {"resourceVersion": version}, "items": items});
            return Ok(full(200, &list));
        }
        let (chunks_tx, chunks_rx) = mpsc::unbounded();
        server
            .watches
            .entry(resource.to_owned())
            .or_default()
            .push(chunks_tx);
        Ok(Response::new(StreamBody::new(chunks_rx.boxed())))
    }

    fn put(&self, resource: &str, mut object: Value) {
        let mut server = self.lock();
        server.version += 1;
        object["metadata"]["resourceVersion"] = json!(server.version.to_string());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let objects = server.objects.entry(resource.to_owned()).or_default();
        objects.insert(name, object.clone());
        server.send(resource, &json!({"type": "MODIFIED", "object": object}));
    }

    /// Every open watch ends.
    fn drop_watches(&self) {
        self.lock().watches.clear();
    }

    fn count(&self, request: &str) -> usize {
        let server = self.lock();
        server.requests.iter().filter(|one| *one == request).count()
    }
}

impl Server {
    fn send(&mut self, resource: &str, event: &Value) {
        let mut bytes = event.to_string().into_bytes();
        bytes.push(b'\n');
        for watch in self.watches.entry(resource.to_owned()).or_default() {
            // A watch that nobody reads any more takes nothing.
            let _closed = watch.unbounded_send(Ok(Frame::data(bytes.clone().into())));
        }
    }
}

fn full(code: u16, value: &Value) -> Response<Stream> {
    let bytes = Bytes::from(value.to_string());
    let body = futures::stream::iter([Ok(Frame::data(bytes))]).boxed();
    let mut response = Response::new(StreamBody::new(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn failure(code: u16, message: &str) -> Response<Stream> {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        _ => "Failure",
    };
    full(
        code,
        &json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}),
    )
}

/// A Deployment whose generation was observed, with so many of one replica available.
fn deployment(name: &str, generation: i64, available: i32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": generation},
        "spec": {"replicas": 1, "selector": {}, "template": {}},
        "status": {"observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available},
    })
}

fn service(name: &str) -> ServiceObjects {
    ServiceObjects {
        service: name.to_owned(),
        workloads: vec![Target::new(ObjectKey {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: name.to_owned(),
        })],
    }
}

struct Waited {
    result: Result<Vec<Health>, WaitError>,
    notices: Vec<Notice>,
    texts: Vec<String>,
    took: Duration,
}

/// Waits a minute for `web` while `script` runs.
async fn wait_while(fake: &Fake, script: impl Future<Output = ()>) -> Waited {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&notices);
    let watcher = Watcher::new(fake.client(), "shop", move |notice| {
        told.lock().unwrap().push(notice);
    });
    let began = Instant::now();
    let mut texts = Vec::new();
    let services = [service("web")];
    let minute = Duration::from_secs(60);
    let wait = async {
        let result = watcher
            .wait_for(&services, minute, |_, health| {
                texts.push(health.text.clone())
            })
            .await;
        (result, began.elapsed())
    };
    let ((result, took), ()) = futures::join!(wait, script);
    let notices = notices.lock().unwrap().clone();
    Waited {
        result,
        notices,
        texts,
        took,
    }
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_costs_one_list_for_each_kind() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 1));
    let waited = wait_while(&fake, async {}).await;
    assert!(waited.result.unwrap()[0].is_ready());
    assert_eq!(waited.texts, ["1/1 ready"]);
    let mut reads = fake.lock().requests.clone();
    reads.retain(|request| !request.starts_with("watch"));
    reads.sort();
    assert_eq!(reads, ["list deployments", "list pods", "list replicasets"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_seen_when_it_comes() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 0));
    let waited = wait_while(&fake, async {
        after(7).await;
        fake.put("deployments", deployment("web", 1, 1));
    })
    .await;
    assert!(waited.result.unwrap()[0].is_ready());
    assert_eq!(waited.texts, ["0/1 ready", "1/1 ready"]);
    assert_eq!(waited.took, Duration::from_secs(7));
    assert_eq!(fake.count("list deployments"), 1, "nothing is polled");
}

#[tokio::test(start_paused = true)]
async fn the_timeout_is_kept_and_every_service_told() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 0));
    let waited = wait_while(&fake, async {}).await;
    let Err(WaitError::NotReady(late)) = waited.result else {
        panic!("{:?}", waited.result);
    };
    assert_eq!(late.services[0].text, "0/1 ready");
    assert_eq!(waited.took, Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fell_behind_is_begun_again_with_a_list() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 0));
    let waited = wait_while(&fake, async {
        after(1).await;
        let gone = json!({"type": "ERROR", "object": {
            "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old resource version",
        }});
        fake.lock().send("deployments", &gone);
        // What changes while nobody watches is found by the list.
        let mut server = fake.lock();
        let all = server.objects.get_mut("deployments").unwrap();
        let mut ready = deployment("web", 1, 1);
        ready["metadata"]["resourceVersion"] = json!("9");
        all.insert("web".to_owned(), ready);
    })
    .await;
    assert!(waited.result.unwrap()[0].is_ready());
    assert_eq!(fake.count("list deployments"), 2);
    assert_eq!(waited.notices, []);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_watch_is_opened_again_and_nothing_said() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 0));
    let waited = wait_while(&fake, async {
        after(1).await;
        fake.drop_watches();
        after(5).await;
        fake.put("deployments", deployment("web", 1, 1));
    })
    .await;
    assert!(waited.result.unwrap()[0].is_ready());
    assert!(fake.count("watch deployments") >= 2);
    assert_eq!(waited.notices, []);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_is_waited_for_and_said_once() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 0));
    let waited = wait_while(&fake, async {
        after(1).await;
        fake.lock().away = true;
        fake.drop_watches();
        after(20).await;
        fake.lock().away = false;
        after(5).await;
        fake.put("deployments", deployment("web", 1, 1));
    })
    .await;
    assert!(waited.result.unwrap()[0].is_ready());
    assert_eq!(waited.took, Duration::from_secs(26));
    let [Notice::Away { cause }, Notice::Back] = waited.notices.as_slice() else {
        panic!("{:?}", waited.notices);
    };
    assert_eq!(cause, "connection refused");
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_events_less_is_said_but_the_wait_goes_on() {
    let fake = Fake::default();
    fake.lock().forbidden.insert("events".to_owned());
    fake.put("deployments", deployment("web", 1, 0));
    let waited = wait_while(&fake, async {
        after(3).await;
        fake.put("deployments", deployment("web", 1, 1));
    })
    .await;
    assert!(waited.result.unwrap()[0].is_ready());
    let [Notice::Denied { resource, .. }] = waited.notices.as_slice() else {
        panic!("{:?}", waited.notices);
    };
    assert_eq!(*resource, "events");
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_the_workloads_there_is_nothing_to_wait_for() {
    let fake = Fake::default();
    fake.lock().forbidden.insert("deployments".to_owned());
    let waited = wait_while(&fake, async {}).await;
    let Err(WaitError::Access(error)) = waited.result else {
        panic!("{:?}", waited.result);
    };
    assert_eq!(error.reason_code(), Some("MissingRight"));
    assert!(
        error.message().contains("deployments in namespace shop"),
        "{error}"
    );
    assert_eq!(waited.took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_later_wait_does_not_believe_a_watch_that_is_behind() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 1));
    let watcher = Watcher::new(fake.client(), "shop", |_| {});
    let minute = Duration::from_secs(60);
    watcher
        .wait_for(&[service("web")], minute, |_, _| {})
        .await
        .unwrap();
    // A new generation is written, and the watch does not show it yet.
    let newer = {
        let mut server = fake.lock();
        let mut newer = deployment("web", 2, 0);
        newer["metadata"]["resourceVersion"] = json!("8");
        let all = server.objects.get_mut("deployments").unwrap();
        all.insert("web".to_owned(), newer.clone());
        newer
    };
    let mut texts = Vec::new();
    let services = [service("web")];
    let wait = watcher.wait_for(&services, minute, |_, health| {
        texts.push(health.text.clone())
    });
    let script = async {
        after(1).await;
        fake.put("deployments", newer);
        after(1).await;
        fake.put("deployments", deployment("web", 2, 1));
    };
    let (result, ()) = futures::join!(wait, script);
    assert!(result.unwrap()[0].is_ready());
    assert_eq!(
        texts,
        [
            "waiting for the change to be seen",
            "0/1 ready",
            "1/1 ready"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_service_ends_the_wait_at_once() {
    let fake = Fake::default();
    fake.put(
        "jobs",
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "migrate", "namespace": "shop", "uid": "u"},
            "spec": {"template": {}},
            "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]},
        }),
    );
    let mut target = service("migrate");
    target.workloads[0].key.api_version = "batch/v1".to_owned();
    target.workloads[0].key.kind = "Job".to_owned();
    let began = Instant::now();
    let minute = Duration::from_secs(60);
    let result = wait(fake.client(), "shop", &[target], minute, |_| {}, |_, _| {}).await;
    let Err(WaitError::NotReady(late)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(late.services[0].troubles()[0].reason, Reason::JobFailed);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_look_does_not_wait() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 0));
    let watcher = Watcher::new(fake.client(), "shop", |_| {});
    let began = Instant::now();
    let services = [service("web"), service("gone")];
    let found = watcher
        .look(&services, Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(found[0].text, "0/1 ready");
    assert_eq!(found[1].troubles()[0].reason, Reason::Missing);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

mod deleted;

//! Mirrors against a fake API server behind the client's tower service, with the clock paused.

use std::convert::Infallible;

use futures::channel::mpsc;
use http::{Request, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

type Chunk = Result<Frame<Bytes>, Infallible>;
type Stream = StreamBody<futures::stream::BoxStream<'static, Chunk>>;

/// ConfigMaps by namespace and name, and what goes wrong.
#[derive(Default)]
struct Server {
    version: u64,
    objects: BTreeMap<Key, Value>,
    watches: Vec<mpsc::UnboundedSender<Chunk>>,
    /// No connection is accepted.
    away: bool,
    /// Every request is refused with this code.
    refusal: Option<u16>,
    requests: Vec<String>,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Server>>);

impl Fake {
    fn mirrors(&self) -> Mirrors {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer = fake.answer(&request);
            async move { answer }
        });
        Mirrors::new(Client::new(service, "shop"))
    }

    fn lock(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap()
    }

    fn answer(&self, request: &Request<Body>) -> Result<Response<Stream>, std::io::Error> {
        let mut server = self.lock();
        server.requests.push(request.uri().to_string());
        if server.away {
            return Err(std::io::Error::other("connection refused"));
        }
        if let Some(code) = server.refusal {
            let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": "Refused", "message": "refused"});
            return Ok(full(code, &status));
        }
        let query = request.uri().query().unwrap_or_default();
        if query.contains("watch=true") {
            let (chunks_tx, chunks_rx) = mpsc::unbounded();
            server.watches.push(chunks_tx);
            return Ok(Response::new(StreamBody::new(chunks_rx.boxed())));
        }
        let items: Vec<_> = server.objects.values().cloned().collect();
        let version = server.version.to_string();
        Ok(full(
            200,
            &json!({"kind": "List", "metadata": {"resourceVersion": version}, "items": items}),
        ))
    }

    fn put(&self, namespace: &str, name: &str) {
        let mut server = self.lock();
        server.version += 1;
        let object = json!({"metadata": {
            "namespace": namespace, "name": name, "resourceVersion": server.version.to_string(),
            "managedFields": [{"manager": "someone"}],
        }});
        let key = (namespace.to_owned(), name.to_owned());
        server.objects.insert(key, object.clone());
        server.send(&json!({"type": "MODIFIED", "object": object}));
    }

    fn delete(&self, namespace: &str, name: &str, told: bool) {
        let mut server = self.lock();
        server.version += 1;
        let key = (namespace.to_owned(), name.to_owned());
        let mut object = server.objects.remove(&key).unwrap();
        object["metadata"]["resourceVersion"] = json!(server.version.to_string());
        if told {
            server.send(&json!({"type": "DELETED", "object": object}));
        }
    }

    /// The next lists and watches are so; watches that are open end.
    fn turn(&self, away: bool, refusal: Option<u16>) {
        let mut server = self.lock();
        server.away = away;
        server.refusal = refusal;
        server.watches.clear();
    }

    fn requests(&self) -> usize {
        self.lock().requests.len()
    }
}

impl Server {
    fn send(&mut self, event: &Value) {
        let bytes = Bytes::from(format!("{event}\n"));
        for watch in &self.watches {
            // A watch that nobody reads any more takes nothing.
            let _closed = watch.unbounded_send(Ok(Frame::data(bytes.clone())));
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

fn names<K>(mirror: &Mirror<K>) -> Vec<String> {
    let objects = mirror.objects();
    let keys = objects.keys();
    keys.map(|(namespace, name)| format!("{namespace}/{name}"))
        .collect()
}

/// Waits for changes until the set is this one.
async fn until<K>(mirrors: &mut Mirrors, mirror: &Mirror<K>, wanted: &[&str]) {
    while names(mirror) != wanted {
        mirrors.changed().await;
    }
}

/// Whether a change is told within so long.
async fn told(mirrors: &mut Mirrors, within: Duration) -> bool {
    tokio::time::timeout(within, mirrors.changed())
        .await
        .is_ok()
}

#[tokio::test(start_paused = true)]
async fn objects_come_change_and_go() {
    let fake = Fake::default();
    fake.put("a", "one");
    let mut mirrors = fake.mirrors();
    let maps: Mirror<ConfigMap> = mirrors.everywhere(Select::labels("dev/base=shop"));
    assert!(!mirrors.is_synced());
    assert!(names(&maps).is_empty());
    mirrors.synced().await;
    assert_eq!(names(&maps), ["a/one"]);
    let old = maps.objects();
    until(&mut mirrors, &maps, &["a/one"]).await;
    while fake.lock().watches.is_empty() {
        tokio::task::yield_now().await;
    }
    fake.put("b", "two");
    until(&mut mirrors, &maps, &["a/one", "b/two"]).await;
    fake.delete("a", "one", true);
    until(&mut mirrors, &maps, &["b/two"]).await;
    assert_eq!(old.len(), 1, "what was taken does not change");
    let requests = fake.lock().requests.clone();
    assert!(
        requests
            .iter()
            .all(|one| one.starts_with("/api/v1/configmaps?")
                && one.contains("labelSelector=dev%2Fbase%3Dshop")),
        "{requests:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_set_of_one_namespace_and_name_asks_for_no_more() {
    let fake = Fake::default();
    let mut mirrors = fake.mirrors();
    let _maps: Mirror<ConfigMap> = mirrors.namespaced("shop", Select::name("dev-admission"));
    mirrors.synced().await;
    let first = fake.lock().requests[0].clone();
    assert!(
        first.starts_with("/api/v1/namespaces/shop/configmaps?"),
        "{first}"
    );
    assert!(
        first.contains("fieldSelector=metadata.name%3Ddev-admission"),
        "{first}"
    );
}

#[tokio::test(start_paused = true)]
async fn managed_fields_are_kept_unless_they_are_not_wanted() {
    let fake = Fake::default();
    fake.put("a", "one");
    let mut mirrors = fake.mirrors();
    let with: Mirror<ConfigMap> = mirrors.everywhere(Select::all());
    let without: Mirror<ConfigMap> = mirrors.everywhere(Select::all().without_managed_fields());
    mirrors.synced().await;
    let has = |mirror: &Mirror<ConfigMap>| {
        let objects = mirror.objects();
        objects
            .values()
            .all(|one| one.metadata.managed_fields.is_some())
    };
    assert!(has(&with));
    assert!(!has(&without));
}

#[tokio::test(start_paused = true)]
async fn many_changes_are_one_notification() {
    let fake = Fake::default();
    let mut mirrors = fake.mirrors();
    let maps: Mirror<ConfigMap> = mirrors.everywhere(Select::all());
    mirrors.synced().await;
    while told(&mut mirrors, Duration::from_millis(1)).await {}
    for number in 10..60 {
        fake.put("a", &number.to_string());
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    mirrors.changed().await;
    assert_eq!(maps.objects().len(), 50);
    assert!(!told(&mut mirrors, Duration::from_secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_away_the_set_stays_and_afterwards_nothing_is_missed() {
    let fake = Fake::default();
    fake.put("a", "one");
    fake.put("a", "two");
    let mut mirrors = fake.mirrors();
    let maps: Mirror<ConfigMap> = mirrors.everywhere(Select::all());
    mirrors.synced().await;
    fake.turn(true, None);
    while mirrors.troubles().is_empty() {
        mirrors.changed().await;
    }
    assert_eq!(mirrors.troubles(), ["configmaps: connection refused"]);
    assert!(mirrors.is_synced());
    let before = fake.requests();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tries = fake.requests() - before;
    assert!((10..40).contains(&tries), "{tries} tries in a minute");
    assert_eq!(names(&maps), ["a/one", "a/two"]);
    // Gone while nobody could be told.
    fake.delete("a", "one", false);
    fake.turn(false, None);
    until(&mut mirrors, &maps, &["a/two"]).await;
    assert!(mirrors.troubles().is_empty());
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_and_missing_rights_are_tried_again() {
    for code in [401, 403, 500] {
        let fake = Fake::default();
        fake.put("a", "one");
        fake.turn(false, Some(code));
        let mut mirrors = fake.mirrors();
        let maps: Mirror<ConfigMap> = mirrors.everywhere(Select::all());
        mirrors.changed().await;
        assert_eq!(mirrors.troubles().len(), 1, "{code}");
        assert!(!mirrors.is_synced());
        fake.turn(false, None);
        mirrors.synced().await;
        assert_eq!(names(&maps), ["a/one"]);
        assert!(mirrors.troubles().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_position_is_no_trouble_and_a_list_that_says_the_same_no_change() {
    let fake = Fake::default();
    fake.put("a", "one");
    let mut mirrors = fake.mirrors();
    let maps: Mirror<ConfigMap> = mirrors.everywhere(Select::all());
    mirrors.synced().await;
    while told(&mut mirrors, Duration::from_millis(1)).await {}
    let before = fake.requests();
    let gone = json!({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"}});
    fake.lock().send(&gone);
    assert!(!told(&mut mirrors, Duration::from_secs(2)).await);
    assert!(fake.requests() >= before + 2, "listed and watched anew");
    fake.put("a", "two");
    until(&mut mirrors, &maps, &["a/one", "a/two"]).await;
}

#[tokio::test(start_paused = true)]
async fn several_sets_are_synced_when_all_are() {
    let fake = Fake::default();
    let mut mirrors = fake.mirrors();
    let _maps: Mirror<ConfigMap> = mirrors.everywhere(Select::all());
    let _spaces: Mirror<Namespace> = mirrors.everywhere(Select::all());
    assert_eq!(mirrors.hub.lock().unsynced.len(), 2);
    mirrors.synced().await;
    assert!(mirrors.is_synced());
    assert!(
        fake.lock()
            .requests
            .iter()
            .any(|one| one.starts_with("/api/v1/namespaces?"))
    );
}

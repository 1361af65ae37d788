//! An API server on loopback that keeps Services, EndpointSlices and ConfigMaps: list, watch, selectors. It does what a real
//! one cannot do on demand: endpoints on loopback, and being away.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::StreamExt;
use futures::channel::mpsc;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

type Chunk = Result<Frame<Bytes>, Infallible>;
type Stream = StreamBody<futures::stream::BoxStream<'static, Chunk>>;

/// Which objects a list or watch is of.
#[derive(Clone, Debug)]
struct Select {
    plural: String,
    namespace: Option<String>,
    /// `key=value`, or `key` for any value.
    label: Option<String>,
    name: Option<String>,
    /// The version after which a watch begins.
    from: u64,
}

/// Objects by plural, namespace and name.
type Key = (String, String, String);

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<Key, Value>,
    watches: Vec<(Select, mpsc::UnboundedSender<Chunk>)>,
    /// Every change: version, plural, object, line.
    changes: Vec<(u64, String, Value, Bytes)>,
    requests: usize,
}

/// The server; it ends when it is dropped.
pub struct Objects {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Objects {
    /// Starts one without objects.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let objects = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
            task: Mutex::new(None),
        };
        objects.serve(listener);
        objects
    }

    fn serve(&self, listener: TcpListener) {
        let state = Arc::clone(&self.state);
        let task = tokio::spawn(async move {
            // Ends with this task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let answer = answer(&state, &request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let _ended = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        *self.task.lock().unwrap() = Some(task);
    }

    /// Takes no connection any more, and ends those that there are.
    pub async fn leave(&self) {
        let task = self.task.lock().unwrap().take();
        if let Some(task) = task {
            task.abort();
            let _cancelled = task.await;
        }
        self.lock().watches.clear();
    }

    /// Is there again.
    pub async fn come_back(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    /// Writes a kubeconfig that leads here, and returns its path.
    pub fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let path = folder.join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: objects\nclusters:\n- name: objects\n  cluster: {{server: 'http://{}'}}\nusers:\n- name: objects\n  user: {{}}\ncontexts:\n- name: objects\n  context: {{cluster: objects, user: objects}}\n",
            self.address
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Puts an object there.
    pub fn put(&self, plural: &str, mut object: Value) {
        let mut state = self.lock();
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let key = key(plural, &object);
        let new = state.objects.insert(key, object.clone()).is_none();
        state.send(plural, if new { "ADDED" } else { "MODIFIED" }, &object);
    }

    /// Takes an object away.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let mut state = self.lock();
        state.version += 1;
        let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        let mut object = state.objects.remove(&key).unwrap();
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        state.send(plural, "DELETED", &object);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap().take() {
            task.abort();
        }
    }
}

impl State {
    fn send(&mut self, plural: &str, what: &str, object: &Value) {
        let line = Bytes::from(format!("{}\n", json!({"type": what, "object": object})));
        let change = (
            self.version,
            plural.to_owned(),
            object.clone(),
            line.clone(),
        );
        self.changes.push(change);
        for (select, watch) in &self.watches {
            if select.plural == plural && select.takes(object) {
                // A watch that nobody reads any more takes nothing.
                let _closed = watch.unbounded_send(Ok(Frame::data(line.clone())));
            }
        }
    }
}

impl Select {
    fn of(request: &Request<Incoming>) -> Self {
        let path: Vec<&str> = request.uri().path().split('/').collect();
        let query = request.uri().query().unwrap_or_default();
        let parameter = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let mut found = pairs.filter(|(key, _)| *key == name);
            let value = found.next()?.1;
            Some(value.replace("%2F", "/").replace("%3D", "="))
        };
        let namespace = path.iter().position(|part| *part == "namespaces");
        let name = parameter("fieldSelector");
        Self {
            plural: path.last().unwrap().to_string(),
            namespace: namespace.map(|at| path[at + 1].to_owned()),
            label: parameter("labelSelector"),
            from: parameter("resourceVersion")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            name: name.map(|text| text.strip_prefix("metadata.name=").unwrap().to_owned()),
        }
    }

    fn takes(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let is = |wanted: &Option<String>, is: &Value| {
            wanted.as_deref().is_none_or(|wanted| *is == *wanted)
        };
        let labelled = self.label.as_deref().is_none_or(|label| {
            let labels = &metadata["labels"];
            match label.split_once('=') {
                Some((key, value)) => labels[key] == *value,
                None => labels.get(label).is_some(),
            }
        });
        is(&self.namespace, &metadata["namespace"]) && is(&self.name, &metadata["name"]) && labelled
    }
}

fn key(plural: &str, object: &Value) -> Key {
    let text = |name: &str| object["metadata"][name].as_str().unwrap().to_owned();
    (plural.to_owned(), text("namespace"), text("name"))
}

fn answer(state: &Mutex<State>, request: &Request<Incoming>) -> Response<Stream> {
    let mut state = state.lock().unwrap();
    state.requests += 1;
    let select = Select::of(request);
    let chunks = if request
        .uri()
        .query()
        .unwrap_or_default()
        .contains("watch=true")
    {
        let (chunks_tx, chunks_rx) = mpsc::unbounded();
        let from = select.from;
        for (version, plural, object, line) in &state.changes {
            if *version > from && *plural == select.plural && select.takes(object) {
                chunks_tx
                    .unbounded_send(Ok(Frame::data(line.clone())))
                    .unwrap();
            }
        }
        state.watches.push((select, chunks_tx));
        chunks_rx.boxed()
    } else {
        let of_kind = state
            .objects
            .iter()
            .filter(|(key, _)| key.0 == select.plural);
        let items: Vec<&Value> = of_kind
            .map(|(_, object)| object)
            .filter(|object| select.takes(object))
            .collect();
        let list = json!({"kind": "List", "metadata": {"resourceVersion": state.version.to_string()}, "items": items});
        futures::stream::iter([Ok(Frame::data(Bytes::from(list.to_string())))]).boxed()
    };
    Response::new(StreamBody::new(chunks))
}

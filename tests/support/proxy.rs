//! A plain-HTTP proxy in front of the API server, which sees every request, can send the client a signal at one of its writes, and
//! can be away. Upstream it uses the rights of the cluster under test; clients need none. Streams such as `exec` do not pass.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// When, relative to a write, the client gets the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the API server hears of it.
    Before,
    /// After the API server did it, before the client hears of it.
    After,
}

/// What the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGKILL.
    Kill,
    /// SIGINT, as Ctrl-C sends it.
    Interrupt,
}

/// Stop this process at its write number `write` (from 1): the write is never answered.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    /// The process.
    pub pid: i32,
    /// The number of the write, from 1.
    pub write: usize,
    /// Before or after the API server's part.
    pub moment: Moment,
    /// How.
    pub signal: Signal,
}

#[derive(Debug, Default)]
struct State {
    writes: Vec<String>,
    kill: Option<Kill>,
    /// Only writes to paths with this in them count.
    only: &'static str,
}

/// The proxy; it ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    away_tx: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy to the API server that `client` speaks to.
    pub async fn start(client: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let (away_tx, away_rx) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (client, state) = (client.clone(), shared.clone());
                let mut away_rx = away_rx.clone();
                tokio::spawn(async move {
                    let service =
                        service_fn(|request| pass(request, client.clone(), state.clone()));
                    let connection =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    // A client that was killed in the middle is what this is for.
                    tokio::select! {
                        biased;
                        () = async { let _away = away_rx.wait_for(|away| *away).await.is_ok(); } => {}
                        _ended = connection => {}
                    }
                });
            }
        });
        Self {
            address,
            state,
            away_tx,
            task,
        }
    }

    /// Writes a kubeconfig that leads here, and returns its path.
    pub fn kubeconfig(&self, folder: &Path) -> PathBuf {
        self.kubeconfig_as(folder, None)
    }

    /// The same, for requests in the name of another user.
    pub fn kubeconfig_as(&self, folder: &Path, user: Option<&str>) -> PathBuf {
        // A colon would make two paths of it.
        let name = user.unwrap_or("proxy").replace(':', "-");
        let path = folder.join(format!("kubeconfig-{}-{name}", self.address.port()));
        let user = user.map_or(String::new(), |user| format!("as: {user}"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: proxy\nclusters:\n- name: proxy\n  cluster: {{server: 'http://{}'}}\nusers:\n- name: proxy\n  user: {{{user}}}\ncontexts:\n- name: proxy\n  context: {{cluster: proxy, user: proxy}}\n",
            self.address
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Forgets the writes so far, and kills a process at one of the next.
    pub fn arm(&self, kill: Option<Kill>) {
        let mut state = self.state.lock().unwrap();
        state.writes.clear();
        state.kill = kill;
    }

    /// From now on only writes to paths with this in them count, and can be the last.
    pub fn count_only(&self, part: &'static str) {
        self.state.lock().unwrap().only = part;
    }

    /// Whether the API server is away: every connection ends, and new ones end at once.
    pub fn away(&self, yes: bool) {
        self.away_tx.send_replace(yes);
    }

    /// The writes since [`Proxy::arm`]: method and path.
    pub fn writes(&self) -> Vec<String> {
        self.state.lock().unwrap().writes.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Access reviews and dry runs are POST and PATCH requests that write nothing.
fn is_write(request: &Request<Incoming>) -> bool {
    let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let path = request.uri().path();
    let reviews =
        path.contains("/authorization.k8s.io/") || path.contains("/authentication.k8s.io/");
    let dry = request
        .uri()
        .query()
        .is_some_and(|query| query.contains("dryRun="));
    writes.contains(request.method()) && !reviews && !dry
}

async fn pass(
    request: Request<Incoming>,
    client: Client,
    state: Arc<Mutex<State>>,
) -> Result<Response<Body>, Infallible> {
    let mut kill = None;
    if is_write(&request) {
        let mut state = state.lock().unwrap();
        let write = format!("{} {}", request.method(), request.uri().path());
        if write.contains(state.only) {
            state.writes.push(write);
            let number = state.writes.len();
            kill = state.kill.filter(|kill| kill.write == number);
        }
    }
    if let Some(kill) = kill.filter(|kill| kill.moment == Moment::Before) {
        return end(kill).await;
    }
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let mut upstream = Request::builder().method(parts.method).uri(parts.uri);
    for (name, value) in &parts.headers {
        if name != http::header::HOST && name != http::header::CONTENT_LENGTH {
            upstream = upstream.header(name, value);
        }
    }
    let upstream = upstream.body(Body::from(body.to_vec())).unwrap();
    let answer = client.send(upstream).await.unwrap();
    // The head of the answer is there, so the API server did it.
    if let Some(kill) = kill {
        return end(kill).await;
    }
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(http::header::TRANSFER_ENCODING);
    Ok(Response::from_parts(parts, body))
}

/// The signal to a process that the test started; ends when the connection does.
async fn end(kill: Kill) -> Result<Response<Body>, Infallible> {
    let name = match kill.signal {
        Signal::Kill => "-KILL",
        Signal::Interrupt => "-INT",
    };
    let status = std::process::Command::new("kill")
        .args([name, &kill.pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    std::future::pending().await
}

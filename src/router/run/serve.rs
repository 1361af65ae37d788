//! The status server: plain HTTP/1 and JSON, for the control and, through the API server's proxy, for developers.
//!
//! | path | answer |
//! |---|---|
//! | `/v1/pod` | this pod |
//! | `/v1/status` | every router pod: `{"pods": […]}` |
//!
//! With `service=`, `env=` and `wait=` (seconds) the answer is kept until Envoy serves the service, and the environment's requests
//! reach it and are led to something ready; 504 with the state when the time is up.

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::peers::{Peer, ask};
use super::state::Known;
use super::status::{PodStatus, Wanted};
use crate::router::ads::Acked;

/// Connections at a time; more wait until one ends.
const CONNECTIONS: usize = 128;
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);
/// The longest that an answer is kept for, in seconds. The API server's proxy gives up after 60 s.
const LONGEST_WAIT: u64 = 50;
/// What a peer may take longer than it was asked to wait.
const PEER: Duration = Duration::from_secs(3);
/// A whole connection, answer included.
const CONNECTION: Duration = Duration::from_secs(LONGEST_WAIT + 15);

/// What the server tells.
#[derive(Clone)]
pub(super) struct Status {
    pub(super) pod: String,
    pub(super) known_rx: watch::Receiver<Known>,
    pub(super) acked_rx: watch::Receiver<Acked>,
}

/// Listens on all addresses of both families, or of the one that there is.
pub(super) async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
    }
}

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, status: Status) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Nobody closes it.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let status = status.clone();
                tokio::spawn(async move {
                    // Whoever is too slow, or gone, gets no answer.
                    let _late = timeout(CONNECTION, connection(stream, status)).await;
                    drop(permit);
                });
            }
            // Too many open files: better in a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(stream: TcpStream, status: Status) {
    let service = service_fn(move |request: Request<Incoming>| {
        let status = status.clone();
        async move { Ok::<_, Infallible>(status.answer(&request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "status connection");
    }
}

/// What a request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    wanted: Wanted,
    wait: Duration,
}

impl Query {
    /// Reads the query of a URL. Names of Services and environments are DNS labels, so nothing is escaped.
    fn read(text: &str) -> Result<Self, String> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "service" => query.wanted.service = Some(value.to_owned()),
                "env" => query.wanted.env = Some(value.to_owned()),
                "wait" => {
                    let seconds: u64 = value
                        .parse()
                        .map_err(|_| format!("wait={value}: expected a number of seconds"))?;
                    query.wait = Duration::from_secs(seconds.min(LONGEST_WAIT));
                }
                // A later version may ask for more.
                _ => {}
            }
        }
        if query.wanted.env.is_some() && query.wanted.service.is_none() {
            return Err("env= needs service=".to_owned());
        }
        Ok(query)
    }

    /// Whether the answer depends on how things are.
    fn waits(&self) -> bool {
        !self.wait.is_zero()
    }
}

impl Status {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let text = request.uri().query().unwrap_or_default();
        let query = match Query::read(text) {
            Ok(query) => query,
            Err(why) => return failure(StatusCode::BAD_REQUEST, &why),
        };
        if request.method() != Method::GET {
            return failure(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered");
        }
        match request.uri().path() {
            "/v1/pod" => {
                let (pod, holds) = self.pod(&query).await;
                json(code(&query, holds), &pod)
            }
            "/v1/status" => {
                let (pods, hold) = self.all(&query, text).await;
                json(code(&query, hold), &serde_json::json!({ "pods": pods }))
            }
            _ => failure(StatusCode::NOT_FOUND, "there are /v1/pod and /v1/status"),
        }
    }

    fn now(&self) -> PodStatus {
        PodStatus::new(&self.pod, &self.known_rx.borrow(), &self.acked_rx.borrow())
    }

    /// This pod, as soon as it is as it should be, or when the time is up.
    async fn pod(&self, query: &Query) -> (PodStatus, bool) {
        let (mut known_rx, mut acked_rx) = (self.known_rx.clone(), self.acked_rx.clone());
        let holds = async {
            loop {
                known_rx.mark_unchanged();
                acked_rx.mark_unchanged();
                let now = self.now();
                if now.holds(&query.wanted) {
                    return now;
                }
                let ended = tokio::select! {
                    changed = known_rx.changed() => changed.is_err(),
                    changed = acked_rx.changed() => changed.is_err(),
                };
                if ended {
                    // The link is about to end, and with it the connection.
                    std::future::pending::<()>().await;
                }
            }
        };
        match timeout(query.wait, holds).await {
            Ok(now) => (now, true),
            Err(_) => {
                let now = self.now();
                let holds = now.holds(&query.wanted);
                (now, holds)
            }
        }
    }

    /// Every router pod, by name.
    async fn all(&self, query: &Query, text: &str) -> (Vec<PodStatus>, bool) {
        let peers: Vec<Peer> = self.known_rx.borrow().peers.clone();
        let others = peers.iter().filter(|peer| peer.pod != self.pod);
        let others = others.map(|peer| ask(peer, text, query.wait + PEER));
        let (own, others) = tokio::join!(self.pod(query), futures::future::join_all(others));
        let mut all = vec![own];
        all.extend(others);
        all.sort_by(|(one, _), (other, _)| one.pod.cmp(&other.pod));
        let hold = all.iter().all(|(_, holds)| *holds);
        (all.into_iter().map(|(pod, _)| pod).collect(), hold)
    }
}

fn code(query: &Query, holds: bool) -> StatusCode {
    if query.waits() && !holds {
        StatusCode::GATEWAY_TIMEOUT
    } else {
        StatusCode::OK
    }
}

fn json(code: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = code;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}

fn failure(code: StatusCode, why: &str) -> Response<Full<Bytes>> {
    json(code, &serde_json::json!({ "error": why }))
}

#[cfg(test)]
mod tests;

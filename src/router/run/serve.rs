//! The status server: plain HTTP/1 and JSON, for the control and, through the API server's proxy, for developers.
//!
//! | path | answer |
//! |---|---|
//! | `/v1/pod` | this pod |
//! | `/v1/status` | every router pod: `{"pods": […]}` |
//! | `/v1/traffic` | figures of services and versions, of all routers together; with `env=` of these environments and the base |
//! | `/v1/requests` | the requests of the environment `env=`, of all routers: the last `tail=`, or those after `after=` |
//! | `/v1/pod/traffic`, `/v1/pod/requests` | the same of this pod, for its peers |
//!
//! With `service=`, `env=` and `wait=` (seconds) the first two are kept until Envoy serves the service, and the environment's requests
//! reach it and are led to something ready; 504 with the state when the time is up. Requests are waited for in the same way.

mod query;
mod requests;
mod traffic;

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

use self::query::Query;
use super::measure::Measure;
use super::peers::{Peer, ask};
use super::state::Known;
use super::status::PodStatus;
use crate::router::ads::Acked;
use crate::router::requests::Store;

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
    pub(super) requests: Arc<Store>,
    pub(super) measure: Arc<Measure>,
}

/// Listens on all addresses of both families, or of the one that there is.
pub async fn listen(port: u16) -> std::io::Result<TcpListener> {
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
            "/v1/pod/traffic" => json(StatusCode::OK, &self.measure.traffic(&self.pod).await),
            "/v1/traffic" => json(StatusCode::OK, &self.traffic(&query.envs).await),
            "/v1/pod/requests" => told(self.own_requests(&query).await),
            "/v1/requests" => told(self.requests(&query).await),
            _ => failure(
                StatusCode::NOT_FOUND,
                "there are /v1/pod, /v1/status, /v1/traffic and /v1/requests",
            ),
        }
    }

    /// All other router pods.
    fn peers(&self) -> Vec<Peer> {
        let mut peers = self.known_rx.borrow().peers.clone();
        peers.retain(|peer| peer.pod != self.pod);
        peers
    }

    fn now(&self) -> PodStatus {
        PodStatus::new(&self.pod, &self.known_rx.borrow(), &self.acked_rx.borrow())
    }

    /// This pod, as soon as it is as it should be, or when the time is up.
    async fn pod(&self, query: &Query) -> (PodStatus, bool) {
        let (mut known_rx, mut acked_rx) = (self.known_rx.clone(), self.acked_rx.clone());
        let wanted = query.wanted();
        let holds = async {
            loop {
                known_rx.mark_unchanged();
                acked_rx.mark_unchanged();
                let now = self.now();
                if now.holds(&wanted) {
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
                let holds = now.holds(&wanted);
                (now, holds)
            }
        }
    }

    /// Every router pod, by name.
    async fn all(&self, query: &Query, text: &str) -> (Vec<PodStatus>, bool) {
        let peers = self.peers();
        let others = peers.iter().map(async |peer| {
            match ask(peer, "/v1/pod", text, query.wait + PEER).await {
                Ok((status, said)) => (said, status.is_success()),
                Err(why) => (PodStatus::silent(&peer.pod, why), false),
            }
        });
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

/// An answer, or why the question cannot be answered.
fn told(answer: Result<impl Serialize, String>) -> Response<Full<Bytes>> {
    match answer {
        Ok(answer) => json(StatusCode::OK, &answer),
        Err(why) => failure(StatusCode::BAD_REQUEST, &why),
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

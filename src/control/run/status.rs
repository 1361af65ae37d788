//! The status server: `/healthz` (the process runs) and `/v1/status`.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::secrets::SecretReport;
use crate::control::decide::State;
use crate::control::support::Finding;

/// `/v1/status`. Fields are added, never changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Report {
    /// Which process tells it.
    pub(super) identity: String,
    /// Whether this process writes.
    pub(super) leads: bool,
    /// Whether everything was read once: before that nothing is known and nothing is written.
    pub(super) synced: bool,
    /// Nothing is routed and nothing will be: the base admits nobody, or is being uninstalled.
    pub(super) removed: bool,
    /// Services that are, were or should be routed.
    pub(super) services: BTreeMap<String, ServiceReport>,
    /// Secrets of the base that environments wish for.
    pub(super) secrets: Vec<SecretReport>,
    /// What is wrong with the admission list.
    pub(super) problems: Vec<String>,
    /// What could not be read or written.
    pub(super) troubles: BTreeSet<String>,
}

/// One Service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ServiceReport {
    /// How it is with it.
    #[serde(flatten)]
    pub(super) state: State,
    /// The namespaces that override it.
    pub(super) overridden_by: Vec<String>,
    /// What is to be known about it.
    pub(super) limits: Vec<Finding>,
    /// Why it is refused, row by row of the support table.
    pub(super) refused: Vec<Finding>,
}

pub(super) type ReportSender = watch::Sender<Report>;

/// The server's side.
pub(super) struct Status(watch::Receiver<Report>);

impl Status {
    pub(super) fn new(identity: &str) -> (Self, ReportSender) {
        let (report_tx, report_rx) = watch::channel(Report {
            identity: identity.to_owned(),
            ..Report::default()
        });
        (Self(report_rx), report_tx)
    }

    /// Serves for ever.
    pub(super) async fn serve(self, listener: TcpListener) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                // Such as too many open files: it passes.
                Err(cause) => {
                    tracing::warn!(%cause, "the status server cannot accept");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let report_rx = self.0.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = answer(&request, &report_rx);
                    async move { Ok::<_, Infallible>(answer) }
                });
                // A client that goes away is nobody's trouble.
                let _ended = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }
}

/// Makes a report the current one.
pub(super) fn publish(report_tx: &ReportSender, report: Report) {
    report_tx.send_if_modified(|before| {
        let changed = *before != report;
        *before = report;
        changed
    });
}

fn answer(
    request: &Request<Incoming>,
    report_rx: &watch::Receiver<Report>,
) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => (StatusCode::OK, "{}".to_owned()),
        (&Method::GET, "/v1/status") => match serde_json::to_string(&*report_rx.borrow()) {
            Ok(text) => (StatusCode::OK, text),
            Err(cause) => (StatusCode::INTERNAL_SERVER_ERROR, cause.to_string()),
        },
        (&Method::GET, _) => (StatusCode::NOT_FOUND, "{}".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "{}".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body + "\n")));
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

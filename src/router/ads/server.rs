//! The discovery service over a Unix socket: the messages of Envoy's stream to a [`Session`] and back.
//!
//! One Envoy at a time is served: a new stream ends the one before, which is that of an Envoy that is gone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::AccessLogServiceServer;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use futures::StreamExt;
use futures::channel::mpsc;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::acked::Acked;
use super::session::Session;
use crate::error::{Error, Result};
use crate::router::envoy::Snapshot;
use crate::router::requests::Log;

/// Clusters whose endpoints Envoy has not accepted after so long hold up the rest of an update no longer. As long as Envoy
/// itself waits for them (`initial_fetch_timeout`).
const LONGEST_WARMING: Duration = Duration::from_secs(15);

/// Requests are small, but the first one after a reconnect has a version for each resource.
const LARGEST_REQUEST: usize = 256 * 1024 * 1024;

/// What the server is fed with and what it tells.
#[derive(Clone, Debug)]
pub struct Ads {
    snapshot_rx: watch::Receiver<Option<Arc<Snapshot>>>,
    acked_tx: watch::Sender<Acked>,
    /// The number of the newest stream.
    stream_tx: watch::Sender<u64>,
    /// Takes the log of requests.
    log: Option<Log>,
}

impl Ads {
    /// A server of the newest snapshot of a channel. Nothing is sent before there is one.
    pub fn new(snapshot_rx: watch::Receiver<Option<Arc<Snapshot>>>) -> Self {
        Self {
            snapshot_rx,
            acked_tx: watch::Sender::default(),
            stream_tx: watch::Sender::new(0),
            log: None,
        }
    }

    /// With this beside it on the same socket.
    pub fn with_log(self, log: Log) -> Self {
        Self {
            log: Some(log),
            ..self
        }
    }

    /// What Envoy has accepted.
    pub fn acked(&self) -> watch::Receiver<Acked> {
        self.acked_tx.subscribe()
    }
}

/// Serves until `shutdown` ends, on a socket that is made anew.
///
/// # Errors
/// `Failed`: the socket cannot be made.
pub async fn serve(ads: Ads, socket: &Path, shutdown: impl Future<Output = ()>) -> Result<()> {
    match std::fs::remove_file(socket) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("remove", socket, &cause));
        }
        Ok(()) | Err(_) => {}
    }
    let listener =
        UnixListener::bind(socket).map_err(|cause| Error::io("listen on", socket, &cause))?;
    let incoming = futures::stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let log = ads.log.clone().map(AccessLogServiceServer::new);
    let service =
        AggregatedDiscoveryServiceServer::new(ads).max_decoding_message_size(LARGEST_REQUEST);
    Server::builder()
        .add_service(service)
        .add_optional_service(log)
        .serve_with_incoming_shutdown(incoming, shutdown)
        .await
        .map_err(|cause| Error::failed("the discovery service ended").caused_by(&cause))
}

type Responses<T> = futures::stream::BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented(
            "only the incremental protocol is served (api_type: DELTA_GRPC)",
        ))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let mut number = 0;
        self.stream_tx.send_modify(|newest| {
            *newest += 1;
            number = *newest;
        });
        let (responses_tx, responses_rx) = mpsc::unbounded();
        let stream = Stream {
            ads: self.clone(),
            number,
            session: Session::new(),
            responses_tx,
            warming_since: None,
        };
        tokio::spawn(stream.run(request.into_inner()));
        Ok(Response::new(responses_rx.map(Ok).boxed()))
    }
}

/// One stream of Envoy.
struct Stream {
    ads: Ads,
    number: u64,
    session: Session,
    responses_tx: mpsc::UnboundedSender<DeltaDiscoveryResponse>,
    warming_since: Option<Instant>,
}

impl Stream {
    async fn run(mut self, mut requests: Streaming<DeltaDiscoveryRequest>) {
        let mut snapshot_rx = self.ads.snapshot_rx.clone();
        let mut stream_rx = self.ads.stream_tx.subscribe();
        self.ads.acked_tx.send_replace(Acked::connected());
        // What is there already is taken as new.
        snapshot_rx.mark_changed();
        let mut feeds = true;
        loop {
            let limit = self.warming_since.map(|since| since + LONGEST_WARMING);
            let responses = tokio::select! {
                request = requests.next() => match request {
                    Some(Ok(request)) => {
                        if let Some(error) = &request.error_detail {
                            tracing::warn!(kind = request.type_url, error = error.message, "Envoy refuses");
                        }
                        self.session.hear(&request)
                    }
                    Some(Err(_)) | None => break,
                },
                changed = snapshot_rx.changed(), if feeds => {
                    feeds = changed.is_ok();
                    let snapshot = snapshot_rx.borrow_and_update().clone();
                    snapshot.map_or_else(Vec::new, |snapshot| self.session.offer(snapshot))
                }
                () = sleep_until(limit.unwrap_or_else(Instant::now)), if limit.is_some() => {
                    self.session.stop_warming()
                }
                _ = stream_rx.wait_for(|newest| *newest != self.number) => return,
            };
            self.publish();
            for response in responses {
                tracing::debug!(
                    kind = response.type_url,
                    nonce = response.nonce,
                    resources = response.resources.len(),
                    removed = response.removed_resources.len(),
                    "sent"
                );
                // A stream that ended is seen by the next request.
                let _ended = self.responses_tx.unbounded_send(response);
            }
            self.warming_since = self
                .session
                .is_warming()
                .then(|| self.warming_since.unwrap_or_else(Instant::now));
        }
        self.ads.acked_tx.send_if_modified(|acked| {
            let newest = *self.ads.stream_tx.borrow() == self.number;
            if newest {
                *acked = Acked::default();
            }
            newest
        });
    }

    fn publish(&mut self) {
        let (session, number) = (&mut self.session, self.number);
        self.ads.acked_tx.send_if_modified(|acked| {
            *self.ads.stream_tx.borrow() == number && session.publish(acked)
        });
    }
}

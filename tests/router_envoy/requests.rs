//! The log of requests: those with an environment, as they went, and no others.

use std::sync::{Arc, Mutex};

use dev::router::requests::Request;
use envoy_types::pb::envoy::data::accesslog::v3::HttpAccessLogEntry;
use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::{
    AccessLogService, AccessLogServiceServer,
};
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, StreamAccessLogsResponse,
};
use futures::StreamExt;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tonic::{Response, Status, Streaming};

use super::bystanders::UNTOUCHED;
use super::world::{DOMAIN, World};
use crate::support::envoy::{Client, ask};

/// Keeps all that Envoy tells, whatever it is.
#[derive(Clone, Default)]
struct Told {
    entries: Arc<Mutex<Vec<HttpAccessLogEntry>>>,
    count_tx: Arc<watch::Sender<usize>>,
}

#[tonic::async_trait]
impl AccessLogService for Told {
    async fn stream_access_logs(
        &self,
        request: tonic::Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let mut messages = request.into_inner();
        while let Some(message) = messages.message().await? {
            let Some(LogEntries::HttpLogs(new)) = message.log_entries else {
                panic!("{message:?}");
            };
            let mut entries = self.entries.lock().unwrap();
            entries.extend(new.log_entry);
            self.count_tx.send_replace(entries.len());
        }
        Ok(Response::new(StreamAccessLogsResponse {}))
    }
}

impl Told {
    fn serve(&self, world: &World) {
        let listener = UnixListener::bind(world.envoy.link()).unwrap();
        let incoming = futures::stream::unfold(listener, |listener| async {
            Some((listener.accept().await.map(|it| it.0), listener))
        });
        let service = AccessLogServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(incoming.boxed()));
    }

    /// Waits for so many entries; gives all.
    async fn requests(&self, least: usize) -> Vec<Request> {
        let mut count_rx = self.count_tx.subscribe();
        let waited = count_rx.wait_for(|count| *count >= least);
        let longest = std::time::Duration::from_secs(30);
        tokio::time::timeout(longest, waited)
            .await
            .unwrap()
            .unwrap();
        let entries = self.entries.lock().unwrap();
        let read = |entry: &HttpAccessLogEntry| {
            Request::read(entry, "r1").unwrap_or_else(|| panic!("{entry:#?}"))
        };
        entries.iter().map(read).collect()
    }
}

#[tokio::test]
async fn only_requests_with_an_environment_are_told_as_they_went() {
    let test = "only_requests_with_an_environment_are_told_as_they_went";
    let Some(world) = World::start(test).await else {
        return;
    };
    let told = Told::default();
    told.serve(&world);
    let from_outside = |host: &str| {
        let lies = "baggage: dev-env=bob\r\nx-dev-env: bob\r\n";
        format!("GET /out?x=1 HTTP/1.1\r\nHost: {host}\r\n{lies}\r\n")
    };
    for request in UNTOUCHED {
        let mut client = Client::connect(world.reviews).await;
        client.send(request).await;
        client.until("\r\n\r\n").await;
    }
    assert_eq!(ask(world.envoy.edge, &from_outside(DOMAIN)).await.1, "base");
    world.get("baggage: dev-env=ann\r\n").await;
    let post = "POST /a/b?token=secret HTTP/1.1\r\nHost: reviews\r\nX-Dev-Env: dan\r\nContent-Length: 2\r\n\r\nok";
    ask(world.reviews, post).await;
    world.get("x-dev-env: bob\r\n").await;
    ask(
        world.reviews,
        "BREW /status/500 HTTP/1.1\r\nHost: reviews\r\nx-dev-env: ann\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    ask(world.envoy.edge, &from_outside(&format!("ann.{DOMAIN}"))).await;
    let all = told.requests(5).await;
    let shown = |request: &Request| {
        format!(
            "{} {}={} {} {} {} {}{}",
            request.env,
            request.service,
            request.version,
            request.method,
            request.host,
            request.path,
            request.status,
            request
                .details
                .as_ref()
                .map(|text| format!(" {text}"))
                .unwrap_or_default(),
        )
    };
    assert_eq!(
        all.iter().map(shown).collect::<Vec<_>>(),
        [
            "ann reviews=ann GET reviews / 200",
            "dan reviews=base POST reviews /a/b 200",
            "bob reviews=bob GET reviews / 503 direct_response",
            "ann reviews=ann BREW reviews /status/500 500",
            "ann reviews=ann GET ann.shop.localhost /out 200",
        ]
    );
    assert_eq!(all[0].client.as_deref(), Some("127.0.0.1"));
    assert_eq!(all[0].answered_by, Some(world.ann.address.to_string()));
    assert_eq!(all[0].bytes, 3);
    assert!(
        all.windows(2).all(|two| two[0].time < two[1].time),
        "{all:#?}"
    );
}

#[tokio::test]
async fn a_link_that_is_away_holds_up_no_request() {
    let test = "a_link_that_is_away_holds_up_no_request";
    let Some(world) = World::start(test).await else {
        return;
    };
    for _ in 0..500 {
        assert_eq!(world.get("x-dev-env: ann\r\n").await.0, "ann");
    }
    // It is told again as soon as it is there.
    let told = Told::default();
    told.serve(&world);
    let heard = told.requests(1);
    let asked = async {
        loop {
            world.get("x-dev-env: ann\r\n").await;
        }
    };
    tokio::select! {
        heard = heard => assert_eq!(heard[0].env, "ann"),
        () = asked => {}
    }
}

//! The service to which Envoy sends its log of requests.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use envoy_types::pb::envoy::service::accesslog::v3::access_log_service_server::AccessLogService;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::LogEntries;
use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, StreamAccessLogsResponse,
};
use tonic::{Response, Status, Streaming};

use super::entry::Request;
use super::store::Store;

/// Keeps what Envoy tells.
#[derive(Clone, Debug)]
pub struct Log {
    /// The pod's name.
    pub pod: String,
    /// Where to.
    pub store: Arc<Store>,
}

#[tonic::async_trait]
impl AccessLogService for Log {
    async fn stream_access_logs(
        &self,
        request: tonic::Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let mut messages = request.into_inner();
        while let Some(message) = messages.message().await? {
            let entries = match message.log_entries {
                Some(LogEntries::HttpLogs(entries)) => entries.log_entry,
                Some(LogEntries::TcpLogs(_)) | None => continue,
            };
            let read = entries
                .iter()
                .filter_map(|entry| Request::read(entry, &self.pod));
            self.store.put(read, now());
        }
        Ok(Response::new(StreamAccessLogsResponse {}))
    }
}

/// Microseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or_default())
}

//! PURE: a request, from Envoy's entry in its log.

use envoy_types::pb::envoy::config::core::v3::Address;
use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::data::accesslog::v3::HttpAccessLogEntry;
use envoy_types::pb::google::protobuf::{Duration, Timestamp};
use k8s_openapi::jiff;
use serde::{Deserialize, Serialize};

use crate::router::baggage::HEADER;

/// What Envoy says where a version has answered.
const ANSWERED: &str = "via_upstream";

/// A request that carried an environment's name. Fields are only ever added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// When it came, as RFC 3339 says.
    pub time: String,
    /// The environment.
    pub env: String,
    /// The service that it was for.
    pub service: String,
    /// The version that answered: the environment's name, or `base`.
    pub version: String,
    /// Such as `GET`.
    pub method: String,
    /// The host that it was for.
    pub host: String,
    /// The path, without what comes after `?`.
    pub path: String,
    /// The status of HTTP; 0: there was no answer.
    pub status: u32,
    /// The status of gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<u32>,
    /// From its first byte to the last of the answer.
    pub milliseconds: f64,
    /// The length of the answer's body.
    pub bytes: u64,
    /// The address of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The address of the pod that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// Why no version has answered, in Envoy's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// The pod of the router.
    pub router: String,
}

impl Request {
    /// Reads an entry; `None` if it is not one of a request that was led by its environment.
    pub fn read(entry: &HttpAccessLogEntry, router: &str) -> Option<Self> {
        let (common, request) = (entry.common_properties.as_ref()?, entry.request.as_ref()?);
        let env = request.request_headers.get(HEADER)?;
        // The name that routes have.
        let (service, version) = common.route_name.split_once('=')?;
        let response = entry.response.as_ref();
        let grpc_status = response.and_then(|response| {
            let key = "grpc-status";
            let trailer = response.response_trailers.get(key);
            trailer
                .or_else(|| response.response_headers.get(key))?
                .parse()
                .ok()
        });
        let method = request.request_headers.get(":method");
        let path = request.path.split(['?', '#']).next().unwrap_or_default();
        let time = common
            .time_to_last_downstream_tx_byte
            .or(common.time_to_last_rx_byte);
        Some(Self {
            time: common.start_time.as_ref().map(text).unwrap_or_default(),
            env: env.clone(),
            service: service.to_owned(),
            version: version.to_owned(),
            method: method.cloned().unwrap_or_default(),
            host: request.authority.clone(),
            path: path.to_owned(),
            status: response
                .and_then(|response| response.response_code)
                .map_or(0, |code| code.value),
            grpc_status,
            milliseconds: time.as_ref().map(milliseconds).unwrap_or_default(),
            bytes: response.map_or(0, |response| response.response_body_bytes),
            client: address(common.downstream_remote_address.as_ref()).map(|(ip, _)| ip),
            answered_by: address(common.upstream_remote_address.as_ref())
                .map(|(ip, port)| format!("{ip}:{port}")),
            details: response
                .map(|response| response.response_code_details.clone())
                .filter(|details| !details.is_empty() && details != ANSWERED),
            router: router.to_owned(),
        })
    }
}

fn text(time: &Timestamp) -> String {
    jiff::Timestamp::new(time.seconds, time.nanos)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

fn milliseconds(time: &Duration) -> f64 {
    let micros = time.seconds * 1_000_000 + i64::from(time.nanos / 1000);
    f64::from(i32::try_from(micros / 10).unwrap_or(i32::MAX)) / 100.0
}

/// Address and port; none for a listener inside of Envoy.
fn address(of: Option<&Address>) -> Option<(String, u32)> {
    let Some(Kind::SocketAddress(socket)) = of?.address.as_ref() else {
        return None;
    };
    let port = match socket.port_specifier {
        Some(PortSpecifier::PortValue(port)) => port,
        Some(PortSpecifier::NamedPort(_)) | None => 0,
    };
    // A client of IPv4 at a socket of both families.
    let ip = socket
        .address
        .strip_prefix("::ffff:")
        .unwrap_or(&socket.address);
    Some((ip.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::data::accesslog::v3::{
        AccessLogCommon, HttpRequestProperties, HttpResponseProperties,
    };
    use envoy_types::pb::google::protobuf::UInt32Value;

    use super::*;

    fn entry() -> HttpAccessLogEntry {
        HttpAccessLogEntry {
            common_properties: Some(AccessLogCommon {
                route_name: "reviews=ann".to_owned(),
                start_time: Some(Timestamp {
                    seconds: 1_700_000_000,
                    nanos: 5_000_000,
                }),
                time_to_last_downstream_tx_byte: Some(Duration {
                    seconds: 1,
                    nanos: 250_000,
                }),
                ..AccessLogCommon::default()
            }),
            request: Some(HttpRequestProperties {
                authority: "reviews".to_owned(),
                path: "/a/b?token=secret".to_owned(),
                request_headers: [(":method", "GET"), (HEADER, "ann")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
                ..HttpRequestProperties::default()
            }),
            response: Some(HttpResponseProperties {
                response_code: Some(UInt32Value { value: 200 }),
                response_code_details: ANSWERED.to_owned(),
                response_trailers: [("grpc-status".to_owned(), "14".to_owned())].into(),
                ..HttpResponseProperties::default()
            }),
            ..HttpAccessLogEntry::default()
        }
    }

    #[test]
    fn an_entry_becomes_a_request_without_its_query() {
        let read = Request::read(&entry(), "r1").unwrap();
        assert_eq!(
            read,
            Request {
                time: "2023-11-14T22:13:20.005Z".into(),
                env: "ann".into(),
                service: "reviews".into(),
                version: "ann".into(),
                method: "GET".into(),
                host: "reviews".into(),
                path: "/a/b".into(),
                status: 200,
                grpc_status: Some(14),
                milliseconds: 1000.25,
                router: "r1".into(),
                ..Request::default()
            }
        );
    }

    #[test]
    fn what_no_environment_led_is_none() {
        let mut without = entry();
        without.request.as_mut().unwrap().request_headers.clear();
        assert_eq!(Request::read(&without, "r1"), None);
        let mut unnamed = entry();
        unnamed.common_properties.as_mut().unwrap().route_name = String::new();
        assert_eq!(Request::read(&unnamed, "r1"), None);
        assert_eq!(Request::read(&HttpAccessLogEntry::default(), "r1"), None);
    }
}

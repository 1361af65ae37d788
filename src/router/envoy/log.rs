//! The log of requests with an environment, which goes to the link. Others are never logged.

use envoy_types::pb::envoy::config::accesslog::v3::access_log::ConfigType;
use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, AccessLogFilter, HeaderFilter};
use envoy_types::pb::envoy::config::core::v3::ApiVersion;
use envoy_types::pb::envoy::config::route::v3::HeaderMatcher;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig,
};
use envoy_types::pb::google::protobuf::Duration;

use super::names;
use super::wrap::{any, grpc};
use crate::router::baggage::HEADER;

/// The name of the log.
const NAME: &str = "requests";
/// How long a line may wait for others to be sent with.
const FLUSH: Duration = Duration {
    seconds: 0,
    nanos: 100_000_000,
};
/// What is told of a request beside what always is.
const REQUEST: [&str; 2] = [":method", HEADER];
/// Where gRPC says how a call ended: in the trailers, or in the headers where there is nothing else.
const GRPC: &str = "grpc-status";

/// The log, judged when a request has ended: by then the scripts have set the header or taken it away.
pub(super) fn of_environments() -> AccessLog {
    let header = HeaderMatcher {
        name: HEADER.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        ..HeaderMatcher::default()
    };
    let config = HttpGrpcAccessLogConfig {
        common_config: Some(CommonGrpcAccessLogConfig {
            log_name: NAME.to_owned(),
            grpc_service: grpc(names::LINK),
            transport_api_version: ApiVersion::V3 as i32,
            buffer_flush_interval: Some(FLUSH),
            ..CommonGrpcAccessLogConfig::default()
        }),
        additional_request_headers_to_log: REQUEST.map(str::to_owned).to_vec(),
        additional_response_headers_to_log: vec![GRPC.to_owned()],
        additional_response_trailers_to_log: vec![GRPC.to_owned()],
    };
    AccessLog {
        name: "envoy.access_loggers.http_grpc".to_owned(),
        filter: Some(AccessLogFilter {
            filter_specifier: Some(FilterSpecifier::HeaderFilter(HeaderFilter {
                header: Some(header),
            })),
        }),
        config_type: Some(ConfigType::TypedConfig(any(&config))),
    }
}

//! How HTTP is spoken on both sides, so that nobody who does not ask for an environment notices Envoy: headers keep their
//! case, nothing is added or taken away, no limit is below that of ordinary servers, nothing ends by time.
//!
//! What Envoy does all the same, without a switch to turn it off: a response without `Date` gets one, as RFC 9110 wants of
//! a proxy; of one header in two spellings (`Cookie`, `cookie`) the first spelling is kept; a client's `x-envoy-…` headers
//! that steer Envoy's router (retries, timeouts) are taken away; an `Upgrade` to a protocol other than those below
//! is answered with 403, `OPTIONS *` with 404, a connection that begins with the method `QUERY` with 400.

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::http1_protocol_options::HeaderKeyFormat;
use envoy_types::pb::envoy::config::core::v3::http1_protocol_options::header_key_format::HeaderFormat;
use envoy_types::pb::envoy::config::core::v3::{
    HeaderValue, HeaderValueOption, Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions,
    TypedExtensionConfig,
};
use envoy_types::pb::envoy::config::common::mutation_rules::v3::HeaderMutation;
use envoy_types::pb::envoy::config::common::mutation_rules::v3::header_mutation::Action;
use envoy_types::pb::envoy::extensions::filters::http::grpc_stats::v3::FilterConfig as GrpcStats;
use envoy_types::pb::envoy::extensions::filters::http::grpc_stats::v3::filter_config::PerMethodStatSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::lua::v3::Lua;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    CodecType, ForwardClientCertDetails, PathWithEscapedSlashesAction, RouteSpecifier,
    ServerHeaderTransformation, UpgradeConfig,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_filter,
};
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation as Early;
use envoy_types::pb::envoy::extensions::http::header_formatters::preserve_case::v3::PreserveCaseFormatterConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::google::protobuf::BoolValue;

use super::log;
use super::wrap::{OFF, any, by_ads, flag, number, text};

/// The longest request and response headers in KiB: those of Go's server. Others take less.
const HEADERS_KIB: u32 = 1024;
/// More headers than fit into [`HEADERS_KIB`] in practice.
const HEADERS: u32 = 10_000;
/// HTTP/2's own limit: how many streams a connection carries is for the two ends to say.
const STREAMS: u32 = i32::MAX as u32;
/// Windows of HTTP/2 in bytes, for each stream and connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// The protocols that HTTP/1.1 connections are upgraded to, beside h2c, which Envoy does not take up: the request is
/// answered in HTTP/1.1 then. `spdy/3.1` and `tcp` are what Kubernetes' and Docker's clients ask for.
const UPGRADES: [&str; 3] = ["websocket", "spdy/3.1", "tcp"];

/// Where a client's own `x-forwarded-proto` waits while Envoy, which cannot do without, has one of its own.
pub(super) const FORWARDED_PROTO: &str = "x-dev-forwarded-proto";

/// The name of a connection manager among Envoy's filters of connections.
pub(super) const MANAGER: &str = "envoy.filters.network.http_connection_manager";

/// A connection manager that is not noticed, with routes by ADS. `script` is run on every request.
pub(super) fn connection_manager(name: &str, host: &str, script: &str) -> HttpConnectionManager {
    let script = Lua {
        default_source_code: text(script),
        ..Lua::default()
    };
    let first = filter("envoy.filters.http.lua", any(&script));
    HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: by_ads(),
            route_config_name: name.to_owned(),
        })),
        http_filters: std::iter::once(first).chain(last_filters()).collect(),
        access_log: vec![log::of_environments()],
        ..plain(name, host)
    }
}

/// The filters that every request ends with.
pub(super) fn last_filters() -> Vec<HttpFilter> {
    vec![
        // Counts calls that failed, which gRPC says after a response of 200.
        filter(
            "envoy.filters.http.grpc_stats",
            any(&GrpcStats {
                per_method_stat_specifier: Some(PerMethodStatSpecifier::StatsForAllMethods(
                    BoolValue { value: false },
                )),
                ..GrpcStats::default()
            }),
        ),
        filter(
            "envoy.filters.http.router",
            any(&Router {
                suppress_envoy_headers: true,
                ..Router::default()
            }),
        ),
    ]
}

/// A connection manager that is not noticed, without routes and filters. `host`: what requests without one are for.
pub(super) fn plain(name: &str, host: &str) -> HttpConnectionManager {
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    HttpConnectionManager {
        stat_prefix: name.to_owned(),
        codec_type: CodecType::Auto as i32,
        common_http_protocol_options: Some(HttpProtocolOptions {
            idle_timeout: OFF,
            max_headers_count: number(HEADERS),
            ..HttpProtocolOptions::default()
        }),
        http_protocol_options: Some(Http1ProtocolOptions {
            accept_http_10: true,
            default_host_for_http_10: host.to_owned(),
            allow_custom_methods: true,
            ignore_http_11_upgrade: vec![StringMatcher {
                // RFC 2817. A server is free not to take it up.
                match_pattern: Some(MatchPattern::Prefix("TLS/".to_owned())),
                ignore_case: true,
            }],
            ..http1()
        }),
        http2_protocol_options: Some(http2()),
        max_request_headers_kb: number(HEADERS_KIB),
        server_header_transformation: ServerHeaderTransformation::PassThrough as i32,
        stream_idle_timeout: OFF,
        request_timeout: OFF,
        request_headers_timeout: OFF,
        use_remote_address: flag(false),
        skip_xff_append: true,
        generate_request_id: flag(false),
        preserve_external_request_id: true,
        forward_client_cert_details: ForwardClientCertDetails::AlwaysForwardOnly as i32,
        early_header_mutation_extensions: vec![set_aside_forwarded_proto()],
        proxy_100_continue: true,
        normalize_path: flag(false),
        merge_slashes: false,
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::KeepUnchanged as i32,
        upgrade_configs: UPGRADES
            .map(|upgrade| UpgradeConfig {
                upgrade_type: upgrade.to_owned(),
                ..UpgradeConfig::default()
            })
            .to_vec(),
        ..HttpConnectionManager::default()
    }
}

/// Options of HTTP/1 that both sides share.
pub(super) fn http1() -> Http1ProtocolOptions {
    let formatter = PreserveCaseFormatterConfig {
        forward_reason_phrase: true,
        ..PreserveCaseFormatterConfig::default()
    };
    Http1ProtocolOptions {
        header_key_format: Some(HeaderKeyFormat {
            header_format: Some(HeaderFormat::StatefulFormatter(TypedExtensionConfig {
                name: "preserve_case".to_owned(),
                typed_config: Some(any(&formatter)),
            })),
        }),
        enable_trailers: true,
        ..Http1ProtocolOptions::default()
    }
}

/// Options of HTTP/2 that both sides share.
pub(super) fn http2() -> Http2ProtocolOptions {
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    Http2ProtocolOptions {
        max_concurrent_streams: number(STREAMS),
        initial_stream_window_size: number(STREAM_WINDOW),
        initial_connection_window_size: number(CONNECTION_WINDOW),
        // One bad message ends its stream, not those of others on the connection.
        override_stream_error_on_invalid_http_message: flag(true),
        ..Http2ProtocolOptions::default()
    }
}

/// Options of an upstream's connections that do not depend on the protocol.
pub(super) fn upstream() -> HttpProtocolOptions {
    HttpProtocolOptions {
        max_headers_count: number(HEADERS),
        max_response_headers_kb: number(HEADERS_KIB),
        ..HttpProtocolOptions::default()
    }
}

/// Envoy sets `x-forwarded-proto` where it is missing. What the client sent is kept aside before, and the routes put it
/// back in place of Envoy's.
fn set_aside_forwarded_proto() -> TypedExtensionConfig {
    early(
        "set_aside_forwarded_proto",
        set(FORWARDED_PROTO, "%REQ(x-forwarded-proto)%"),
    )
}

/// Sets a header before Envoy looks at a request.
pub(super) fn early(name: &str, header: HeaderValueOption) -> TypedExtensionConfig {
    let mutation = Early {
        mutations: vec![HeaderMutation {
            action: Some(Action::Append(header)),
        }],
    };
    TypedExtensionConfig {
        name: name.to_owned(),
        typed_config: Some(any(&mutation)),
    }
}

/// Sets a header in place of what is there. One whose value comes out empty is not set.
pub(super) fn set(key: &str, value: &str) -> HeaderValueOption {
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    HeaderValueOption {
        header: Some(HeaderValue {
            key: key.to_owned(),
            value: value.to_owned(),
            ..HeaderValue::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd as i32,
        ..HeaderValueOption::default()
    }
}

/// An HTTP filter.
pub(super) fn filter(name: &str, config: envoy_types::pb::google::protobuf::Any) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    }
}

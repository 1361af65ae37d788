//! Requests with an environment on their way to a collector of spans.
//!
//! Envoy's tracer is that of a whole listener: it writes its headers into every request, also into those that it does not
//! report. So the listeners of Services have none. Where there is a collector, requests with an environment, and no others,
//! take a second way inside of Envoy:
//!
//! ```text
//! listener of the Service ──┬── without an environment ───────────────────────────────► base
//!                           └── with one ──► cluster `traced` ──► listener `traced` ──► the version
//!                                            (memory, no socket)   tracer
//! ```
//!
//! Which cluster is the version's, the second listener is told by a header that it takes off again.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, DnsLookupFamily,
};
use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::envoy_internal_address::AddressNameSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, EnvoyInternalAddress, TypedExtensionConfig,
};
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::listener::{
    InternalListenerConfig, ListenerSpecifier,
};
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::{Route, RouteConfiguration, VirtualHost};
use envoy_types::pb::envoy::config::trace::v3::tracing::{Http, http};
use envoy_types::pb::envoy::config::trace::v3::zipkin_config::{
    CollectorEndpointVersion, TraceContextOption,
};
use envoy_types::pb::envoy::config::trace::v3::{OpenTelemetryConfig, ZipkinConfig};
use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3::Config as HeaderToMetadata;
use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3::config::{
    KeyValuePair, Rule,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, RequestIdExtension,
};
use envoy_types::pb::envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    RouteSpecifier, Tracing,
};
use envoy_types::pb::envoy::extensions::tracers::opentelemetry::samplers::v3::AlwaysOnSamplerConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::r#type::tracing::v3::{CustomTag, custom_tag};

use super::clusters::{self, at};
use super::http::{MANAGER, early, filter, last_filters, plain, set};
use super::listeners::of_filter;
use super::snapshot::{Resource, Snapshot};
use super::wrap::{address, any, flag, grpc, host, number, seconds};
use super::{names, routes};
use crate::router::baggage;
use crate::router::collector::{Collector, Spans};

/// Tells the second listener which cluster a request is for.
const CLUSTER_HEADER: &str = "x-dev-cluster";
/// Tells it which version answers, for the span's name.
const ANSWER_HEADER: &str = "x-dev-answer";
/// Where the second listener keeps that.
const METADATA: &str = "dev";
const ROUTE: &str = "route";
/// The name of the routers in traces.
const SERVICE_NAME: &str = "dev-router";
/// Where Zipkin takes spans.
const ZIPKIN_PATH: &str = "/api/v2/spans";
/// How long the collector may take to accept a connection, in seconds.
const CONNECT_SECONDS: i64 = 5;
/// The longest path in a span, in characters.
const LONGEST_PATH: u32 = 256;

/// Adds what traced requests take to a snapshot.
pub(super) fn add(snapshot: &mut Snapshot, base: &str, collector: &Collector) {
    let pack = |name: &str, of: &Cluster| (name.to_owned(), Resource::pack(of).into());
    snapshot.clusters.extend([
        pack(names::TRACED, &way_in()),
        pack(names::COLLECTOR, &cluster(collector)),
    ]);
    let listener = Resource::pack(&listener(base, collector));
    snapshot
        .listeners
        .insert(names::TRACED.to_owned(), listener.into());
}

/// A route to a cluster, by way of the tracer.
pub(super) fn through(cluster: &str, answer: &str) -> Route {
    let mut route = routes::to_cluster(names::TRACED.to_owned());
    route.request_headers_to_add = vec![set(CLUSTER_HEADER, cluster), set(ANSWER_HEADER, answer)];
    route
}

/// The cluster whose one endpoint is the second listener.
fn way_in() -> Cluster {
    let internal = Address {
        address: Some(Kind::EnvoyInternalAddress(EnvoyInternalAddress {
            address_name_specifier: Some(AddressNameSpecifier::ServerListenerName(
                names::TRACED.to_owned(),
            )),
            ..EnvoyInternalAddress::default()
        })),
    };
    let mut cluster = clusters::cluster(names::TRACED);
    cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Static as i32));
    cluster.eds_cluster_config = None;
    // There is no socket to keep alive.
    cluster.upstream_connection_options = None;
    cluster.load_assignment = Some(at(names::TRACED, [Some(internal)]));
    cluster
}

fn cluster(collector: &Collector) -> Cluster {
    let (kind, to) = match collector.address() {
        Some(ip) => (
            DiscoveryType::Static,
            address(SocketAddr::new(ip, collector.port)),
        ),
        None => (
            DiscoveryType::StrictDns,
            host(&collector.host, collector.port),
        ),
    };
    let protocol = match collector.protocol {
        Spans::Otlp => ProtocolConfig::Http2ProtocolOptions(Default::default()),
        Spans::Zipkin => ProtocolConfig::HttpProtocolOptions(Default::default()),
    };
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    Cluster {
        name: names::COLLECTOR.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(kind as i32)),
        connect_timeout: seconds(CONNECT_SECONDS),
        dns_lookup_family: DnsLookupFamily::V4Preferred as i32,
        // Requests must not wait for a name that leads nowhere.
        wait_for_warm_on_init: flag(false),
        typed_extension_protocol_options: clusters::speaks(protocol),
        load_assignment: Some(at(names::COLLECTOR, [to])),
        ..Cluster::default()
    }
}

fn listener(base: &str, collector: &Collector) -> Listener {
    let to_version = routes::to(ClusterSpecifier::ClusterHeader(CLUSTER_HEADER.to_owned()));
    let mut configuration = routes::configuration(names::TRACED);
    configuration
        .request_headers_to_remove
        .push(CLUSTER_HEADER.to_owned());
    let routes = RouteConfiguration {
        virtual_hosts: vec![VirtualHost {
            routes: vec![to_version],
            ..routes::host(names::TRACED)
        }],
        ..configuration
    };
    let mut manager = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::RouteConfig(routes)),
        http_filters: std::iter::once(answer_to_metadata())
            .chain(last_filters())
            .collect(),
        tracing: Some(tracing(base, collector)),
        // All that come here are reported, with an id or without.
        request_id_extension: Some(RequestIdExtension {
            typed_config: Some(any(&UuidRequestIdConfig {
                pack_trace_reason: flag(false),
                use_request_id_for_trace_sampling: flag(false),
            })),
        }),
        ..plain(names::TRACED, "")
    };
    manager
        .early_header_mutation_extensions
        .extend(sampled(collector.protocol));
    Listener {
        listener_specifier: Some(ListenerSpecifier::InternalListener(
            InternalListenerConfig {},
        )),
        ..of_filter(names::TRACED.to_owned(), MANAGER, any(&manager))
    }
}

/// Tags and names of spans are made when a request has ended, and by then its headers are those that were sent on.
fn answer_to_metadata() -> HttpFilter {
    let rule = Rule {
        header: ANSWER_HEADER.to_owned(),
        on_header_present: Some(KeyValuePair {
            metadata_namespace: METADATA.to_owned(),
            key: ROUTE.to_owned(),
            ..KeyValuePair::default()
        }),
        remove: true,
        ..Rule::default()
    };
    filter(
        "envoy.filters.http.header_to_metadata",
        any(&HeaderToMetadata {
            request_rules: vec![rule],
            ..HeaderToMetadata::default()
        }),
    )
}

fn tracing(base: &str, collector: &Collector) -> Tracing {
    let (name, config) = match collector.protocol {
        Spans::Otlp => (
            "envoy.tracers.opentelemetry",
            any(&OpenTelemetryConfig {
                grpc_service: grpc(names::COLLECTOR),
                service_name: SERVICE_NAME.to_owned(),
                // Whoever asks for an environment wants to see where the request goes, whatever share of others is reported.
                sampler: Some(TypedExtensionConfig {
                    name: "envoy.tracers.opentelemetry.samplers.always_on".to_owned(),
                    typed_config: Some(any(&AlwaysOnSamplerConfig {})),
                }),
                ..OpenTelemetryConfig::default()
            }),
        ),
        Spans::Zipkin => (
            "envoy.tracers.zipkin",
            any(&ZipkinConfig {
                collector_cluster: names::COLLECTOR.to_owned(),
                collector_endpoint: ZIPKIN_PATH.to_owned(),
                collector_endpoint_version: CollectorEndpointVersion::HttpJson as i32,
                collector_hostname: collector.to_string(),
                trace_id_128bit: true,
                shared_span_context: flag(false),
                trace_context_option: TraceContextOption::UseB3WithW3cPropagation as i32,
                ..ZipkinConfig::default()
            }),
        ),
    };
    let tag = |name: &str, kind: custom_tag::Type| CustomTag {
        tag: name.to_owned(),
        r#type: Some(kind),
    };
    let env = custom_tag::Type::RequestHeader(custom_tag::Header {
        name: baggage::HEADER.to_owned(),
        ..custom_tag::Header::default()
    });
    let route = format!("%DYNAMIC_METADATA({METADATA}:{ROUTE})%");
    let base = custom_tag::Type::Literal(custom_tag::Literal {
        value: base.to_owned(),
    });
    Tracing {
        provider: Some(Http {
            name: name.to_owned(),
            config_type: Some(http::ConfigType::TypedConfig(config)),
        }),
        custom_tags: vec![
            tag("dev.env", env),
            tag("dev.route", custom_tag::Type::Value(route.clone())),
            tag("dev.base", base),
        ],
        operation: route,
        // The router is a hop of its own.
        spawn_upstream_span: flag(true),
        max_path_tag_length: number(LONGEST_PATH),
        ..Tracing::default()
    }
}

/// Zipkin's tracer has no sampler of its own, and goes by what a request says.
fn sampled(protocol: Spans) -> Option<TypedExtensionConfig> {
    match protocol {
        Spans::Otlp => None,
        Spans::Zipkin => Some(early("sampled", set("x-b3-sampled", "1"))),
    }
}

//! Clusters and their endpoints.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::Path;

use envoy_types::pb::envoy::config::cluster::v3::circuit_breakers::Thresholds;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, EdsClusterConfig, LbPolicy,
};
use envoy_types::pb::envoy::config::cluster::v3::{
    CircuitBreakers, Cluster, UpstreamConnectionOptions,
};
use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::{
    Address, Http2ProtocolOptions, HttpProtocolOptions as Common, Pipe, RoutingPriority, TcpKeepalive,
};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
};
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf::{Any, Duration};

use super::http::{http1, http2, upstream};
use super::names;
use super::wrap::{OFF, address, any, by_ads, number, seconds};

/// The key of the options of HTTP in a cluster.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/// How long a TCP handshake may take before another pod is tried, in seconds.
const CONNECT_SECONDS: i64 = 5;
/// How long a connection is kept for the next request. Shorter than the keep-alive of servers (Node: 5 s), which else
/// close a connection at the very moment that a request is sent on it.
const KEEP: Duration = Duration {
    seconds: 1,
    nanos: 500_000_000,
};
/// When silence on a connection is asked about, and how often, in seconds.
const KEEPALIVE_SECONDS: u32 = 60;
const KEEPALIVE_INTERVAL_SECONDS: u32 = 10;

/// The cluster of this name, with endpoints by ADS.
pub(super) fn cluster(name: &str) -> Cluster {
    let options = HttpProtocolOptions {
        common_http_protocol_options: Some(Common {
            idle_timeout: Some(KEEP),
            ..upstream()
        }),
        upstream_protocol_options: Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(
            UseDownstreamHttpConfig {
                http_protocol_options: Some(http1()),
                http2_protocol_options: Some(http2()),
                ..UseDownstreamHttpConfig::default()
            },
        )),
        ..HttpProtocolOptions::default()
    };
    let no_limit = |priority: RoutingPriority| Thresholds {
        priority: priority as i32,
        max_connections: number(u32::MAX),
        max_pending_requests: number(u32::MAX),
        max_requests: number(u32::MAX),
        max_retries: number(u32::MAX),
        ..Thresholds::default()
    };
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds as i32)),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: by_ads(),
            ..EdsClusterConfig::default()
        }),
        connect_timeout: seconds(CONNECT_SECONDS),
        lb_policy: LbPolicy::RoundRobin as i32,
        circuit_breakers: Some(CircuitBreakers {
            thresholds: vec![
                no_limit(RoutingPriority::Default),
                no_limit(RoutingPriority::High),
            ],
            ..CircuitBreakers::default()
        }),
        typed_extension_protocol_options: HashMap::from([(HTTP_OPTIONS.to_owned(), any(&options))]),
        common_lb_config: Some(CommonLbConfig {
            healthy_panic_threshold: Some(Percent { value: 0.0 }),
            update_merge_window: OFF,
            ..CommonLbConfig::default()
        }),
        upstream_connection_options: Some(UpstreamConnectionOptions {
            tcp_keepalive: Some(TcpKeepalive {
                keepalive_time: number(KEEPALIVE_SECONDS),
                keepalive_interval: number(KEEPALIVE_INTERVAL_SECONDS),
                ..TcpKeepalive::default()
            }),
            ..UpstreamConnectionOptions::default()
        }),
        ..Cluster::default()
    }
}

/// The endpoints of the cluster of this name.
pub(super) fn endpoints(name: &str, of: &BTreeSet<SocketAddr>) -> ClusterLoadAssignment {
    at(name, of.iter().map(|of| address(*of)))
}

/// Endpoints at these addresses.
pub(super) fn at(
    name: &str,
    addresses: impl IntoIterator<Item = Option<Address>>,
) -> ClusterLoadAssignment {
    let endpoint = |address| LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address,
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    };
    ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: addresses.into_iter().map(endpoint).collect(),
            ..LocalityLbEndpoints::default()
        }],
        ..ClusterLoadAssignment::default()
    }
}

/// The options of a cluster that speaks nothing but this.
pub(super) fn speaks(protocol: ProtocolConfig) -> HashMap<String, Any> {
    let options = HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(
            ExplicitHttpConfig {
                protocol_config: Some(protocol),
            },
        )),
        ..HttpProtocolOptions::default()
    };
    HashMap::from([(HTTP_OPTIONS.to_owned(), any(&options))])
}

/// The link of this Envoy, as [`super::bootstrap`] has it.
pub(super) fn link(socket: &Path) -> Cluster {
    let pipe = Address {
        address: Some(Kind::Pipe(Pipe {
            path: socket.to_string_lossy().into_owned(),
            ..Pipe::default()
        })),
    };
    Cluster {
        name: names::LINK.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static as i32)),
        typed_extension_protocol_options: speaks(ProtocolConfig::Http2ProtocolOptions(
            Http2ProtocolOptions::default(),
        )),
        load_assignment: Some(at(names::LINK, [Some(pipe)])),
        ..Cluster::default()
    }
}

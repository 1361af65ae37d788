//! Listeners: one for each port of a routed Service, and the entry from outside.

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;
use envoy_types::pb::google::protobuf::Any;

use super::http::{MANAGER, connection_manager};
use super::snapshot::Families;
use super::wrap::{OFF, any, listening, number};
use super::{edge, names};
use crate::router::model::{Edge, Protocol};

/// Runs on every request inside.
const NORMALISE: &str = concat!(
    include_str!("../members.lua"),
    include_str!("../normalise.lua")
);

/// Another pod is tried when the first takes no connection.
const CONNECTS: u32 = 2;

/// The port of the entry from outside.
pub const EDGE_PORT: u16 = 15080;

/// The listener of a Service port.
pub(super) fn of_service(
    service: &str,
    port: u16,
    inner: u16,
    protocol: Protocol,
    families: Families,
) -> Listener {
    let name = names::service(service, port);
    let (filter, config) = match protocol {
        Protocol::Http => (MANAGER, any(&connection_manager(&name, service, NORMALISE))),
        Protocol::Tcp => (
            "envoy.filters.network.tcp_proxy",
            any(&TcpProxy {
                stat_prefix: name.clone(),
                cluster_specifier: Some(ClusterSpecifier::Cluster(names::base(service, port))),
                idle_timeout: OFF,
                max_connect_attempts: number(CONNECTS),
                ..TcpProxy::default()
            }),
        ),
    };
    listener(name, (families, inner), filter, config)
}

/// The listener of the entry from outside.
pub(super) fn of_edge(to: &Edge, families: Families) -> Listener {
    let manager = connection_manager(names::EDGE, &to.domain, &edge::script(&to.domain));
    listener(
        names::EDGE.to_owned(),
        (families, EDGE_PORT),
        MANAGER,
        any(&manager),
    )
}

fn listener(name: String, on: (Families, u16), filter: &str, config: Any) -> Listener {
    Listener {
        address: listening(on.0, on.1),
        traffic_direction: TrafficDirection::Inbound as i32,
        ..of_filter(name, filter, config)
    }
}

/// A listener of one filter, without an address.
pub(super) fn of_filter(name: String, filter: &str, config: Any) -> Listener {
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    Listener {
        stat_prefix: name.clone(),
        name,
        filter_chains: vec![FilterChain {
            filters: vec![Filter {
                name: filter.to_owned(),
                config_type: Some(filter::ConfigType::TypedConfig(config)),
            }],
            ..FilterChain::default()
        }],
        ..Listener::default()
    }
}

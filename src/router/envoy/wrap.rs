//! Small values in the wrappers that Envoy's messages want.

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, DataSource, GrpcService,
    SocketAddress,
};
use envoy_types::pb::google::protobuf::{Any, BoolValue, Duration, UInt32Value};
use prost::{Message, Name};

use super::snapshot::Families;

/// For switches that are off where 0 is written.
pub(super) const OFF: Option<Duration> = Some(Duration {
    seconds: 0,
    nanos: 0,
});

pub(super) fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

pub(super) const fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

pub(super) const fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

pub(super) const fn flag(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

pub(super) fn text(text: impl Into<String>) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(Specifier::InlineString(text.into())),
        ..DataSource::default()
    })
}

pub(super) fn address(of: SocketAddr) -> Option<Address> {
    host(&of.ip().to_string(), of.port())
}

/// A port of a host, by its name or address.
pub(super) fn host(name: &str, port: u16) -> Option<Address> {
    Some(Address {
        address: Some(Kind::SocketAddress(SocketAddress {
            address: name.to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(port.into())),
            ..SocketAddress::default()
        })),
    })
}

/// gRPC by Envoy's own client, to a cluster.
pub(super) fn grpc(cluster: &str) -> Option<GrpcService> {
    Some(GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: cluster.to_owned(),
            ..EnvoyGrpc::default()
        })),
        ..GrpcService::default()
    })
}

/// A port on all addresses.
pub(super) fn listening(families: Families, port: u16) -> Option<Address> {
    Some(Address {
        address: Some(Kind::SocketAddress(SocketAddress {
            address: families.any().to_string(),
            ipv4_compat: families.ipv4_compat(),
            port_specifier: Some(PortSpecifier::PortValue(port.into())),
            ..SocketAddress::default()
        })),
    })
}

/// From the one stream that everything comes by.
pub(super) fn by_ads() -> Option<ConfigSource> {
    Some(ConfigSource {
        resource_api_version: ApiVersion::V3 as i32,
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..ConfigSource::default()
    })
}

//! A whole snapshot as the static resources of one bootstrap: `envoy --mode validate` reads nothing that comes by xDS.

use std::net::IpAddr;
use std::path::Path;

use envoy_types::pb::envoy::config::bootstrap::v3::bootstrap::StaticResources;
use envoy_types::pb::envoy::config::bootstrap::v3::{Admin, Bootstrap};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, Pipe, TypedExtensionConfig};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::{Filter, Listener, filter};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::bootstrap::internal_listener::v3::InternalListener;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use prost::{DecodeError, Message, Name};

use super::bootstrap::INTERNAL_LISTENER;
use super::snapshot::{Resource, Snapshot};
use super::wrap::any;
use super::{clusters, names};

/// What differs from a router's Envoy, where several run on one machine.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The address that the listeners listen on.
    pub address: IpAddr,
    /// The port of the entry from outside.
    pub edge: u16,
    /// The Unix socket of the admin interface.
    pub admin: &'a Path,
    /// The Unix socket of the link, where the log of requests goes; there need be none.
    pub link: &'a Path,
}

/// The bootstrap, encoded: a file of it must end with `.pb`.
///
/// # Errors
///
/// If a resource cannot be decoded: the snapshot was not made by [`super::snapshot()`].
pub fn fixed(snapshot: &Snapshot, place: &Place<'_>) -> Result<Vec<u8>, DecodeError> {
    let listeners = snapshot
        .listeners
        .iter()
        .map(|(name, resource)| listener(name, resource, snapshot, place));
    let clusters = snapshot
        .clusters
        .iter()
        .map(|(name, resource)| cluster(name, resource, snapshot))
        .chain([Ok(clusters::link(place.link))]);
    let bootstrap = Bootstrap {
        static_resources: Some(StaticResources {
            listeners: listeners.collect::<Result<_, _>>()?,
            clusters: clusters.collect::<Result<_, _>>()?,
            ..StaticResources::default()
        }),
        admin: Some(Admin {
            address: Some(Address {
                address: Some(Kind::Pipe(Pipe {
                    path: place.admin.to_string_lossy().into_owned(),
                    ..Pipe::default()
                })),
            }),
            ..Admin::default()
        }),
        bootstrap_extensions: vec![TypedExtensionConfig {
            name: INTERNAL_LISTENER.to_owned(),
            typed_config: Some(any(&InternalListener::default())),
        }],
        ..Bootstrap::default()
    };
    Ok(bootstrap.encode_to_vec())
}

fn listener(
    name: &str,
    resource: &Resource,
    snapshot: &Snapshot,
    place: &Place<'_>,
) -> Result<Listener, DecodeError> {
    let mut listener: Listener = decoded(resource)?;
    let address = listener.address.as_mut().and_then(|it| it.address.as_mut());
    if let Some(Kind::SocketAddress(socket)) = address {
        socket.address = place.address.to_string();
        socket.ipv4_compat &= place.address.is_ipv6();
        if name == names::EDGE {
            socket.port_specifier = Some(PortSpecifier::PortValue(place.edge.into()));
        }
    }
    let Some(routes) = snapshot.routes.get(name) else {
        return Ok(listener);
    };
    let routes: RouteConfiguration = decoded(routes)?;
    for filter in listener
        .filter_chains
        .iter_mut()
        .flat_map(|chain| &mut chain.filters)
    {
        with_routes(filter, &routes)?;
    }
    Ok(listener)
}

fn with_routes(filter: &mut Filter, routes: &RouteConfiguration) -> Result<(), DecodeError> {
    if let Some(filter::ConfigType::TypedConfig(config)) = &mut filter.config_type
        && config.type_url == HttpConnectionManager::type_url()
    {
        let mut manager = HttpConnectionManager::decode(config.value.as_slice())?;
        manager.route_specifier = Some(RouteSpecifier::RouteConfig(routes.clone()));
        *config = any(&manager);
    }
    Ok(())
}

fn cluster(name: &str, resource: &Resource, snapshot: &Snapshot) -> Result<Cluster, DecodeError> {
    let endpoints = snapshot.endpoints.get(name);
    let endpoints: Option<ClusterLoadAssignment> =
        endpoints.map(|resource| decoded(resource)).transpose()?;
    let mut cluster: Cluster = decoded(resource)?;
    if cluster.eds_cluster_config.is_none() {
        return Ok(cluster);
    }
    cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Static as i32));
    cluster.eds_cluster_config = None;
    cluster.load_assignment = endpoints;
    Ok(cluster)
}

fn decoded<M: Message + Default>(resource: &Resource) -> Result<M, DecodeError> {
    M::decode(resource.body.value.as_slice())
}

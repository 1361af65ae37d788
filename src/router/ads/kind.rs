//! The four types of resources that the routers use.

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use prost::Name;

use crate::router::envoy::snapshot::{Resources, Snapshot};

/// A type of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Clusters; Envoy asks for all of them.
    Clusters,
    /// The endpoints of clusters, by the cluster's name; Envoy asks by name.
    Endpoints,
    /// Listeners; Envoy asks for all of them.
    Listeners,
    /// Route configurations; Envoy asks by name.
    Routes,
}

impl Kind {
    /// All of them, in the order in which an update is sent.
    pub const ALL: [Self; 4] = [
        Self::Clusters,
        Self::Endpoints,
        Self::Listeners,
        Self::Routes,
    ];

    /// The type's URL in messages.
    pub fn type_url(self) -> String {
        match self {
            Self::Clusters => Cluster::type_url(),
            Self::Endpoints => ClusterLoadAssignment::type_url(),
            Self::Listeners => Listener::type_url(),
            Self::Routes => RouteConfiguration::type_url(),
        }
    }

    /// The type of this URL, if it is one of the four.
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// The resources of this type in a snapshot.
    pub fn of(self, snapshot: &Snapshot) -> &Resources {
        match self {
            Self::Clusters => &snapshot.clusters,
            Self::Endpoints => &snapshot.endpoints,
            Self::Listeners => &snapshot.listeners,
            Self::Routes => &snapshot.routes,
        }
    }

    /// Whether a first request without names asks for everything.
    pub(super) fn is_asked_for_as_a_whole(self) -> bool {
        match self {
            Self::Clusters | Self::Listeners => true,
            Self::Endpoints | Self::Routes => false,
        }
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Clusters => 0,
            Self::Endpoints => 1,
            Self::Listeners => 2,
            Self::Routes => 3,
        }
    }

    /// How people call one of them.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Clusters => "cluster",
            Self::Endpoints => "endpoints",
            Self::Listeners => "listener",
            Self::Routes => "routes",
        }
    }
}

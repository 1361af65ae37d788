//! Everything that one Envoy is sent: resources by type and name.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};
use sha2::{Digest, Sha256};

use crate::router::collector::Collector;

/// One resource as it is sent. Messages with a map of more than one entry are encoded by [`Resource::encoded`]: prost's
/// order of entries differs from run to run, and with it would the version.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Hash of the content: equal content has an equal version, also after a restart.
    pub version: String,
    /// The message with its type URL.
    pub body: Any,
}

impl Resource {
    /// Packs a message.
    pub fn pack<M: Message + Name>(message: &M) -> Self {
        Self::encoded::<M>(message.encode_to_vec())
    }

    /// Takes a message that is encoded already.
    pub fn encoded<M: Name>(value: Vec<u8>) -> Self {
        let digest = Sha256::digest(&value);
        let version = digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            version,
            body: Any {
                type_url: M::type_url(),
                value,
            },
        }
    }
}

/// Resources of one type by name. Shared, so that a copy of a snapshot costs little.
pub type Resources = BTreeMap<String, Arc<Resource>>;

/// Resources by name, of each type that the routers use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// What it is made with.
    pub options: Options,
    /// `envoy.config.cluster.v3.Cluster`
    pub clusters: Resources,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`, by cluster name
    pub endpoints: Resources,
    /// `envoy.config.listener.v3.Listener`
    pub listeners: Resources,
    /// `envoy.config.route.v3.RouteConfiguration`
    pub routes: Resources,
}

/// What all resources of a pod have in common, for as long as it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What its listeners listen on.
    pub families: Families,
    /// Where requests with an environment are reported to.
    pub collector: Option<Collector>,
}

/// The address families that listeners listen on: the same for everything in a pod, as its kernel has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// IPv4 only, where the kernel has no IPv6.
    #[default]
    Ipv4,
    /// Both, by one socket.
    Both,
}

impl Families {
    /// The address that means all of them.
    pub fn any(self) -> IpAddr {
        match self {
            Self::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::Both => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// Whether a socket of [`Families::any`] must be told to take IPv4 as well.
    pub(super) fn ipv4_compat(self) -> bool {
        match self {
            Self::Ipv4 => false,
            Self::Both => true,
        }
    }
}

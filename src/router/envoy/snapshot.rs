//! Everything that one Envoy is sent: resources by type and name.

use std::collections::BTreeMap;

use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};
use sha2::{Digest, Sha256};

/// One resource as it is sent.
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
        let value = message.encode_to_vec();
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

/// Resources by name, of each type that the routers use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// `envoy.config.cluster.v3.Cluster`
    pub clusters: BTreeMap<String, Resource>,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`, by cluster name
    pub endpoints: BTreeMap<String, Resource>,
    /// `envoy.config.listener.v3.Listener`
    pub listeners: BTreeMap<String, Resource>,
    /// `envoy.config.route.v3.RouteConfiguration`
    pub routes: BTreeMap<String, Resource>,
}

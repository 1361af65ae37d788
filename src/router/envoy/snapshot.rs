//! Everything that one Envoy is sent: resources by type and name.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};
use sha2::{Digest, Sha256};

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
    /// `envoy.config.cluster.v3.Cluster`
    pub clusters: Resources,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`, by cluster name
    pub endpoints: Resources,
    /// `envoy.config.listener.v3.Listener`
    pub listeners: Resources,
    /// `envoy.config.route.v3.RouteConfiguration`
    pub routes: Resources,
}

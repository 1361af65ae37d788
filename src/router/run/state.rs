//! What the link knows, for the status server.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::peers::Peer;
use crate::router::envoy::Snapshot;
use crate::router::model::Table;

/// The newest table with its snapshot, and what is wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Whether the table is from the cluster, and not from before a restart.
    pub(super) synced: bool,
    pub(super) table: Arc<Table>,
    pub(super) snapshot: Arc<Snapshot>,
    /// What is left out of the table, and what cannot be read, one line each.
    pub(super) troubles: Vec<String>,
    /// The ready router pods, this one among them.
    pub(super) peers: Vec<Peer>,
    /// Services of the base whose requests reach the routers.
    pub(super) switched: BTreeSet<String>,
}

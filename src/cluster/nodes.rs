//! What the nodes of a cluster say of themselves.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;

use crate::cluster::Cluster;
use crate::error::Result;

/// The nodes.
async fn nodes(cluster: &Cluster) -> Result<Vec<Node>> {
    let api = Api::<Node>::all(cluster.client.clone());
    match api.list(&ListParams::default()).await {
        Ok(nodes) => Ok(nodes.items),
        Err(cause) => Err(cluster.explain("list Nodes", &cause)),
    }
}

/// The names of the images that every node has. Nodes report them some seconds late, and the biggest 50 only.
pub async fn images_of_every_node(cluster: &Cluster) -> Result<HashSet<String>> {
    let mut common: Option<HashSet<String>> = None;
    for node in nodes(cluster).await? {
        let images = node
            .status
            .and_then(|status| status.images)
            .unwrap_or_default();
        let names: HashSet<String> = images
            .into_iter()
            .flat_map(|image| image.names.unwrap_or_default())
            .collect();
        common = Some(match common {
            Some(common) => common.intersection(&names).cloned().collect(),
            None => names,
        });
    }
    Ok(common.unwrap_or_default())
}

/// The architecture of the nodes in Go's words (`amd64`); that of the most of them where they differ, and that of this
/// machine where nodes may not be read.
pub async fn architecture(cluster: &Cluster) -> String {
    let mut counts: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for node in nodes(cluster).await.unwrap_or_default() {
        if let Some(info) = node.status.and_then(|status| status.node_info) {
            *counts.entry(info.architecture).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map_or_else(
        || crate::image::Platform::host().architecture,
        |(name, _)| name,
    )
}

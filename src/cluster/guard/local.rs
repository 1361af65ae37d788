//! Whether a cluster runs on this machine, and what made it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Identity;
use crate::cluster::{Cluster, kubeconfig};
use crate::error::Result;

/// What made a local cluster, with what is needed to load images into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum LocalKind {
    /// kind.
    Kind {
        /// The cluster's name, for `kind load … --name`.
        name: String,
    },
    /// k3d.
    K3d {
        /// The cluster's name, for `k3d image import … -c`.
        name: String,
    },
    /// minikube.
    Minikube {
        /// The profile, for `minikube image load … -p`.
        profile: String,
    },
    /// The cluster that comes with `dev`.
    Bundled {
        /// The program that loads images: `cluster load FILE`. It is the one in the state directory of this machine.
        script: PathBuf,
    },
}

/// Finds out whether a cluster is local.
pub(super) async fn recognise(cluster: &Cluster, identity: &Identity) -> Result<Option<LocalKind>> {
    if let Some(uid) = &identity.uid {
        let own = bundled_directory().and_then(|directory| bundled(&directory, uid));
        if let Some(script) = own.or_else(|| beside(&kubeconfigs(), uid)) {
            return Ok(Some(LocalKind::Bundled { script }));
        }
    }
    if !is_near(&cluster.server).await {
        return Ok(None);
    }
    Ok(of_nodes(&super::nodes(cluster).await?))
}

/// What the nodes say of who made them. Every node has to say the same.
fn of_nodes(nodes: &[Value]) -> Option<LocalKind> {
    let (first, others) = nodes.split_first()?;
    let kind = of_node(first)?;
    others
        .iter()
        .all(|node| of_node(node).as_ref() == Some(&kind))
        .then_some(kind)
}

fn of_node(node: &Value) -> Option<LocalKind> {
    let provider = node["spec"]["providerID"].as_str().unwrap_or_default();
    let label = |key: &str| node["metadata"]["labels"][key].as_str();
    // kind://docker/NAME/NODE
    if let Some(rest) = provider.strip_prefix("kind://") {
        let name = rest.split('/').nth(1)?;
        return Some(LocalKind::Kind {
            name: name.to_owned(),
        });
    }
    // k3s://k3d-NAME-server-0
    if let Some(rest) = provider.strip_prefix("k3s://k3d-") {
        let (name, _) = rest
            .rsplit_once("-server-")
            .or_else(|| rest.rsplit_once("-agent-"))?;
        return Some(LocalKind::K3d {
            name: name.to_owned(),
        });
    }
    label("minikube.k8s.io/name").map(|profile| LocalKind::Minikube {
        profile: profile.to_owned(),
    })
}

/// Whether an API server is on this machine or on a network of its own: a label alone makes no cluster local.
async fn is_near(server: &str) -> bool {
    let Ok(uri) = server.parse::<http::Uri>() else {
        return false;
    };
    let Some(host) = uri.host() else {
        return false;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse::<IpAddr>() {
        return is_private(address);
    }
    match tokio::net::lookup_host((host, uri.port_u16().unwrap_or(443))).await {
        Ok(addresses) => {
            let addresses: Vec<_> = addresses.collect();
            !addresses.is_empty() && addresses.iter().all(|address| is_private(address.ip()))
        }
        Err(_) => false,
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        // 0.0.0.0 and [::], as k3d writes them, reach this machine.
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_unspecified() || v4.is_private() || v4.is_link_local()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}

/// Where bundled clusters of this person keep their state.
fn bundled_directory() -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os("DEV_CLUSTER_DIR").filter(|value| !value.is_empty()) {
        return Some(PathBuf::from(directory));
    }
    let state = match std::env::var_os("XDG_STATE_HOME").filter(|value| !value.is_empty()) {
        Some(state) => PathBuf::from(state),
        None => etcetera::home_dir().ok()?.join(".local").join("state"),
    };
    Some(state.join("dev-cluster"))
}

/// The kubeconfig files that are in use.
fn kubeconfigs() -> Vec<PathBuf> {
    kubeconfig::paths(None, std::env::var_os("KUBECONFIG").as_deref())
}

/// The script of the bundled cluster with this UID that one of these kubeconfig files lies beside, as that of another person or
/// another home does. Whoever uses a kubeconfig trusts its folder: it may name programs to run.
fn beside(kubeconfigs: &[PathBuf], uid: &str) -> Option<PathBuf> {
    let folders = kubeconfigs.iter().filter_map(|file| {
        let file = std::fs::canonicalize(file).ok()?;
        file.parent().map(Path::to_path_buf)
    });
    folders
        .filter(|folder| has_uid(folder, uid))
        .map(script)
        .next()
}

fn has_uid(cluster: &Path, uid: &str) -> bool {
    std::fs::read_to_string(cluster.join("uid")).is_ok_and(|text| text.trim() == uid)
}

fn script(cluster: PathBuf) -> PathBuf {
    cluster.join("bin").join("cluster")
}

/// The script of the bundled cluster with this UID. The proof is a file of this machine, for anybody could write labels and
/// annotations that name any program.
fn bundled(directory: &Path, uid: &str) -> Option<PathBuf> {
    let below = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    std::iter::once(directory.to_owned())
        .chain(below)
        .find(|cluster| has_uid(cluster, uid))
        .map(script)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind_node(name: &str) -> Value {
        json!({"metadata": {"labels": {}}, "spec": {"providerID": format!("kind://docker/{name}/{name}-worker")}})
    }

    #[test]
    fn nodes_say_what_made_them() {
        assert_eq!(
            of_nodes(&[kind_node("dev"), kind_node("dev")]),
            Some(LocalKind::Kind { name: "dev".into() })
        );
        let k3d = json!({"spec": {"providerID": "k3s://k3d-my-shop-server-0"}});
        assert_eq!(
            of_nodes(&[k3d]),
            Some(LocalKind::K3d {
                name: "my-shop".into()
            })
        );
        let minikube = json!({"metadata": {"labels": {"minikube.k8s.io/name": "minikube"}}});
        assert_eq!(
            of_nodes(&[minikube]),
            Some(LocalKind::Minikube {
                profile: "minikube".into()
            })
        );
    }

    #[test]
    fn a_cluster_with_other_nodes_too_is_not_local() {
        let cloud = json!({"spec": {"providerID": "aws:///eu-west-1a/i-1"}});
        assert_eq!(of_nodes(std::slice::from_ref(&cloud)), None);
        assert_eq!(of_nodes(&[kind_node("dev"), cloud]), None);
        assert_eq!(of_nodes(&[]), None);
        let named = json!({"metadata": {"name": "kind-control-plane", "labels": {"dev/bundled-cluster": "true"}}});
        assert_eq!(
            of_nodes(&[named]),
            None,
            "names and this label prove nothing"
        );
    }

    #[tokio::test]
    async fn only_private_addresses_are_near() {
        for (server, near) in [
            ("https://127.0.0.1:6443/", true),
            ("https://192.168.49.2:8443/", true),
            ("https://[::1]:6443/", true),
            ("https://0.0.0.0:6443/", true),
            ("https://[::]:6443/", true),
            ("https://localhost:6443/", true),
            ("https://34.90.1.2/", false),
            ("https://[2a00:1450::1]/", false),
        ] {
            assert_eq!(is_near(server).await, near, "{server}");
        }
    }

    #[test]
    fn a_bundled_cluster_is_proved_by_a_file_of_this_machine() {
        let directory = tempfile::tempdir().unwrap();
        let cluster = directory.path().join("bundled");
        std::fs::create_dir(&cluster).unwrap();
        std::fs::write(cluster.join("uid"), "u-1\n").unwrap();
        assert_eq!(
            bundled(directory.path(), "u-1"),
            Some(cluster.join("bin").join("cluster"))
        );
        assert_eq!(bundled(directory.path(), "u-2"), None);
        // With another home: its kubeconfig lies beside the proof.
        let kubeconfig = cluster.join("kubeconfig");
        std::fs::write(&kubeconfig, "").unwrap();
        let elsewhere = directory.path().join("config");
        std::fs::write(&elsewhere, "").unwrap();
        let found = |file: &Path, uid: &str| beside(&[elsewhere.clone(), file.to_owned()], uid);
        assert!(
            found(&kubeconfig, "u-1").is_some_and(|script| script.ends_with("bundled/bin/cluster"))
        );
        assert_eq!(found(&kubeconfig, "u-2"), None);
        assert_eq!(found(&elsewhere, "u-1"), None);
        assert_eq!(bundled(&directory.path().join("missing"), "u-1"), None);
    }
}

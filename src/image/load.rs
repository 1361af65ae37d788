//! Loading images into clusters on this machine, which need no registry.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::local::{Program, which};

/// A cluster on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalCluster {
    /// A cluster of kind.
    Kind {
        /// `kind get clusters`; the context is `kind-<name>`.
        name: String,
    },
    /// A cluster of k3d.
    K3d {
        /// `k3d cluster list`; the context is `k3d-<name>`.
        name: String,
    },
    /// A cluster of minikube.
    Minikube {
        /// `minikube profile list`; the context has the same name.
        profile: String,
    },
    /// The cluster of `tests/cluster/cluster`.
    Bundled {
        /// That program.
        script: PathBuf,
    },
}

impl LocalCluster {
    /// The command that loads an archive into every node.
    pub fn load(&self, archive: &Path) -> Program {
        match self {
            Self::Kind { name } => Program::new("kind")
                .args(["load", "image-archive", "--name", name])
                .arg(archive),
            Self::K3d { name } => Program::new("k3d")
                .args(["image", "import", "--cluster", name])
                .arg(archive),
            Self::Minikube { profile } => Program::new("minikube")
                .args(["image", "load", "--profile", profile])
                .arg(archive),
            Self::Bundled { script } => Program::new(script).arg("load").arg(archive),
        }
    }

    /// Loads an archive. `state` gets each line that the command prints.
    pub async fn load_archive(&self, archive: &Path, mut state: impl FnMut(&str)) -> Result<()> {
        let program = match self {
            Self::Kind { .. } => "kind".to_owned(),
            Self::K3d { .. } => "k3d".to_owned(),
            Self::Minikube { .. } => "minikube".to_owned(),
            Self::Bundled { script } => script.to_string_lossy().into_owned(),
        };
        if which(&program).is_none() {
            return Err(Error::failed(format!(
                "{program} is not there to load images into {self}"
            ))
            .reason("LoaderMissing")
            .hint(format!(
                "put {program} into PATH, or push images: set `registry:`"
            )));
        }
        self.load(archive).stream(|line| state(line)).await
    }
}

impl std::fmt::Display for LocalCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kind { name } => write!(f, "kind cluster {name}"),
            Self::K3d { name } => write!(f, "k3d cluster {name}"),
            Self::Minikube { profile } => write!(f, "minikube profile {profile}"),
            Self::Bundled { .. } => f.write_str("the bundled cluster"),
        }
    }
}

/// Tells which images the nodes of a local cluster have.
#[async_trait]
pub trait Presence: Sync {
    /// Whether every node has the image of this full reference.
    async fn has(&self, reference: &str) -> Result<bool>;
}

/// The names in the nodes' `status.images`, of every node.
#[async_trait]
impl Presence for HashSet<String> {
    async fn has(&self, reference: &str) -> Result<bool> {
        Ok(self.contains(reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cluster_has_its_command() {
        let archive = Path::new("/tmp/x.tar");
        let name = "a".to_owned();
        for (cluster, expected) in [
            (
                LocalCluster::Kind { name: name.clone() },
                "kind load image-archive --name a /tmp/x.tar",
            ),
            (
                LocalCluster::K3d { name: name.clone() },
                "k3d image import --cluster a /tmp/x.tar",
            ),
            (
                LocalCluster::Minikube { profile: name },
                "minikube image load --profile a /tmp/x.tar",
            ),
            (
                LocalCluster::Bundled {
                    script: "/c/cluster".into(),
                },
                "cluster load /tmp/x.tar",
            ),
        ] {
            assert_eq!(cluster.load(archive).display(), expected);
        }
    }
}

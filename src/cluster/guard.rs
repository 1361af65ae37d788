//! Which clusters may be written to: local ones, and those that the person has admitted once.
//!
//! A cluster is known by the UID of its namespace `kube-system`, never by the context's name. Whether it is local is read from its
//! nodes and its address, or from the state of a bundled cluster on this machine; a name that somebody chose plays no part.
//! A person who may not read `kube-system` knows a cluster by its certificate authority, which the connection is checked against;
//! clusters that share an authority count as one then.

mod local;
mod store;

use http::Request;
use serde_json::Value;

use crate::cluster::{Cluster, Resource, namespace};
use crate::error::{Error, Result};
use crate::image::LocalCluster;
use crate::ui::Ui;

pub use local::LocalKind;
pub use store::{Record, Store};

/// The variable that admits the cluster of this identity, for automation.
pub const UID_VARIABLE: &str = "DEV_CLUSTER_UID";

/// A cluster that may be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterIdentity {
    /// The UID of `kube-system`, or `ca:` and a hash of the certificate authority where that may not be read.
    pub uid: String,
    /// What kind of local cluster it is, if it is one.
    pub local: Option<LocalKind>,
}

/// What the guard goes by.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The record of known clusters.
    pub store: Store,
    /// The only identity that is accepted, where one is named.
    pub expected: Option<String>,
}

impl ClusterIdentity {
    /// How images are loaded into it, if it is a local cluster.
    pub fn local_cluster(&self) -> Option<LocalCluster> {
        Some(match self.local.clone()? {
            LocalKind::Kind { name } => LocalCluster::Kind { name },
            LocalKind::K3d { name } => LocalCluster::K3d { name },
            LocalKind::Minikube { profile } => LocalCluster::Minikube { profile },
            LocalKind::Bundled { script } => LocalCluster::Bundled { script },
        })
    }
}

impl Guard {
    /// The guard of this person on this machine: the record in the state directory, and the variable [`UID_VARIABLE`].
    pub fn from_env() -> Result<Self> {
        let expected = std::env::var(UID_VARIABLE)
            .ok()
            .filter(|uid| !uid.is_empty());
        Ok(Self {
            store: Store::of_this_person()?,
            expected,
        })
    }

    /// Makes sure that a cluster may be written to. One request for a cluster that is known; a list of its nodes more for one that is
    /// not. A question to the person where one can be put.
    ///
    /// # Errors
    /// `Cluster` (access denied) for a cluster that is neither local nor admitted.
    pub async fn ensure_writable(&self, cluster: &Cluster, ui: &Ui) -> Result<ClusterIdentity> {
        let identity = identify(cluster).await?;
        if let Some(expected) = &self.expected {
            if !identity.is(expected) {
                return Err(Error::cluster(format!(
                    "the context \"{}\" is the cluster {identity}, but {UID_VARIABLE} names {expected}",
                    cluster.context
                ))
                .reason("OtherCluster")
                .hint("name the context of the other cluster with --context, or correct the variable"));
            }
            let local = match self.store.read()?.find(&identity) {
                Some(record) => record.local.clone(),
                None => local::recognise(cluster, &identity).await?,
            };
            return Ok(identity.into_public(local));
        }
        let mut known = self.store.read()?;
        let moved = known.other_cluster_of_context(&cluster.context, &identity);
        if let Some(record) = known.find(&identity) {
            let local = record.local.clone();
            return Ok(identity.into_public(local));
        }
        if let Some(before) = &moved {
            ui.note(format!(
                "The context \"{}\" is another cluster than before: {identity} at {}, not {} at {}.",
                cluster.context, cluster.server, before.uid, before.server
            ));
        }
        let local = local::recognise(cluster, &identity).await?;
        if local.is_none() {
            ask(cluster, &identity, ui).await?;
        }
        known.insert(cluster, &identity, local.clone());
        self.store.write(&known)?;
        Ok(identity.into_public(local))
    }

    /// Admits a cluster: asks for nothing, for the command that calls it names the context. Gives its identity.
    pub async fn admit(&self, cluster: &Cluster) -> Result<ClusterIdentity> {
        let identity = identify(cluster).await?;
        let local = local::recognise(cluster, &identity).await?;
        let mut known = self.store.read()?;
        known.insert(cluster, &identity, local.clone());
        self.store.write(&known)?;
        Ok(identity.into_public(local))
    }

    /// Takes an admission back: by identity or by context. Gives what was forgotten.
    pub fn forget(&self, uid_or_context: &str) -> Result<Vec<Record>> {
        let mut known = self.store.read()?;
        let forgotten = known.remove(uid_or_context);
        if !forgotten.is_empty() {
            self.store.write(&known)?;
        }
        Ok(forgotten)
    }
}

/// Makes sure that a cluster may be written to; see [`Guard::ensure_writable`].
pub async fn ensure_writable(cluster: &Cluster, ui: &Ui) -> Result<ClusterIdentity> {
    Guard::from_env()?.ensure_writable(cluster, ui).await
}

/// Admits a cluster; see [`Guard::admit`].
pub async fn admit(cluster: &Cluster) -> Result<ClusterIdentity> {
    Guard::from_env()?.admit(cluster).await
}

/// Takes an admission back; see [`Guard::forget`].
pub fn forget(uid_or_context: &str) -> Result<Vec<Record>> {
    Guard::from_env()?.forget(uid_or_context)
}

/// By what a cluster is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The UID of `kube-system`, where it may be read.
    uid: Option<String>,
    /// The hash of the certificate authority, where the connection is checked against one.
    authority: Option<String>,
}

impl Identity {
    fn is(&self, name: &str) -> bool {
        match (&self.uid, &self.authority) {
            // A UID that can be read decides.
            (Some(uid), _) => uid == name,
            (None, Some(authority)) => authority_name(authority) == name,
            (None, None) => false,
        }
    }

    fn into_public(self, local: Option<LocalKind>) -> ClusterIdentity {
        ClusterIdentity {
            uid: self.to_string(),
            local,
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.uid, &self.authority) {
            (Some(uid), _) => f.write_str(uid),
            (None, Some(authority)) => f.write_str(&authority_name(authority)),
            (None, None) => f.write_str("unknown"),
        }
    }
}

fn authority_name(authority: &str) -> String {
    let short = authority.get(..32).unwrap_or(authority);
    format!("ca:{short}")
}

async fn identify(cluster: &Cluster) -> Result<Identity> {
    let authority = cluster.authority.clone();
    let path = namespace::resource().object(None, "kube-system");
    let attempt = "find out which cluster this is";
    match cluster.try_send::<Value>(Request::get(path).body(Vec::new())).await {
        Ok(found) => match found["metadata"]["uid"].as_str() {
            Some(uid) => Ok(Identity {
                uid: Some(uid.to_owned()),
                authority,
            }),
            None => Err(Error::cluster(format!("cannot {attempt}: kube-system has no UID")).reason("NoIdentity")),
        },
        Err(failure) if failure.is_forbidden() && authority.is_some() => Ok(Identity {
            uid: None,
            authority,
        }),
        Err(failure) if failure.is_forbidden() => Err(cluster
            .explain_failure(attempt, &failure)
            .hint("the kubeconfig names no certificate authority either, by which the cluster could be known")),
        Err(failure) => Err(cluster.explain_failure(attempt, &failure)),
    }
}

async fn ask(cluster: &Cluster, identity: &Identity, ui: &Ui) -> Result<()> {
    let context = &cluster.context;
    let refused = || {
        Error::cluster(format!(
            "the cluster of the context \"{context}\" ({}) is not local and was not admitted: nothing was written",
            cluster.server
        ))
        .reason("ClusterNotAdmitted")
        .hint(format!("to admit it once and for all: `dev admit --context {context}`"))
        .hint(format!("in automation: {UID_VARIABLE}={identity}"))
    };
    if !ui.can_ask() {
        return Err(refused());
    }
    ui.note(format!(
        "The context \"{context}\" is a cluster at {} that dev has not written to before ({identity}).",
        cluster.server
    ));
    let question = format!("Type \"{context}\" to admit it:");
    let asker = ui.clone();
    // Ctrl-C has to be heard while the terminal is read.
    let answer = tokio::task::spawn_blocking(move || asker.ask(&question))
        .await
        .map_err(|_| Error::interrupted())??;
    if answer == *context {
        Ok(())
    } else {
        Err(refused())
    }
}

/// The nodes of a cluster, as far as one page shows them; empty where they may not be listed.
async fn nodes(cluster: &Cluster) -> Result<Vec<Value>> {
    let resource = Resource {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        plural: "nodes".to_owned(),
        namespaced: false,
    };
    let path = format!("{}?limit=50", resource.collection(None));
    match cluster
        .try_send::<Value>(Request::get(path).body(Vec::new()))
        .await
    {
        Ok(mut list) => match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        },
        Err(failure) if failure.is_forbidden() => Ok(Vec::new()),
        Err(failure) => Err(cluster.explain_failure("list the nodes", &failure)),
    }
}

#[cfg(test)]
mod tests;

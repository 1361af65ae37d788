//! `dev admit`

use clap::Args;

use super::Context;
use crate::cluster::guard;
use crate::error::Result;

/// Admit a cluster for writing, once
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev admit                          the cluster of the current context
  dev admit --context staging        another one
  dev admit --context staging --uid 6f0c…   without a question, where nobody can be asked
  dev admit --forget                 take it back
  DEV_CLUSTER_UID=6f0c… dev up       for one command, such as in CI

dev writes only to local clusters (kind, k3d, minikube, the bundled one) and to those that a person admitted. A
cluster is known by the UID of its kube-system namespace, so another cluster behind the same context's name is asked
about again:
  kubectl get namespace kube-system -o jsonpath={.metadata.uid}")]
pub struct Admit {
    /// The UID of the cluster's kube-system namespace, in place of the question
    #[arg(long, value_name = "UID")]
    pub uid: Option<String>,
    /// Take the admission back
    #[arg(long, conflicts_with = "uid")]
    pub forget: bool,
}

impl Admit {
    /// Admits or forgets the cluster.
    pub async fn run(self, context: &Context) -> Result<()> {
        let cluster = context.connect().await?;
        match self.forget {
            true => guard::forget(&cluster, &context.ui).await,
            false => guard::admit(&cluster, self.uid.as_deref(), &context.ui).await.map(|_| ()),
        }
    }
}

//! `dev admit`

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::cluster::guard::{self, LocalKind};
use crate::error::{Error, Result};

/// Admit a cluster for writing, once
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev admit --context staging        the cluster of this context
  dev admit                          that of the current one, after a question
  dev admit --forget --context staging
  DEV_CLUSTER_UID=6f0c… dev up       for one command, such as in CI

dev writes only to local clusters (kind, k3d, minikube, the bundled one) and to those that a person
admitted. A cluster is known by the UID of its kube-system namespace, so another cluster behind the
same context's name is asked about again:
  kubectl get namespace kube-system -o jsonpath={.metadata.uid}")]
pub struct Admit {
    /// Take the admission back
    #[arg(long)]
    pub forget: bool,
}

/// A cluster that was admitted, or is not any more.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    context: String,
    server: String,
    uid: String,
    /// What made it, where it is a local one, which needs no admission.
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<LocalKind>,
}

/// What the command did.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Done {
    Admitted(Cluster),
    Forgotten(Vec<Cluster>),
}

impl Admit {
    /// Admits or forgets the cluster.
    pub async fn run(self, context: &Context) -> Result<()> {
        let ui = &context.ui;
        let cluster = context.connect().await?;
        if self.forget {
            let forgotten = guard::forget(&cluster.context)?;
            for record in &forgotten {
                ui.note(format!("forgotten: {} ({})", record.context, record.uid));
            }
            if forgotten.is_empty() {
                ui.note(format!("{} was not admitted", cluster.context));
            }
            let forgotten = forgotten.into_iter().map(|record| Cluster {
                context: record.context,
                server: record.server,
                uid: record.uid,
                local: record.local,
            });
            return ui.data(&Done::Forgotten(forgotten.collect()), |_| String::new());
        }
        if context.basics.context.is_none() {
            let question = format!(
                "Admit {} at {} for writing? Type its name:",
                cluster.context, cluster.server
            );
            if !ui.can_ask() || ui.ask(&question)? != cluster.context {
                return Err(
                    Error::usage("the cluster was not named, so nothing was admitted").hint(
                        format!("name it: `dev admit --context {}`", cluster.context),
                    ),
                );
            }
        }
        let identity = guard::admit(&cluster).await?;
        ui.note(format!("admitted: {} ({})", cluster.context, identity.uid));
        let admitted = Cluster {
            context: cluster.context,
            server: cluster.server,
            uid: identity.uid,
            local: identity.local,
        };
        ui.data(&Done::Admitted(admitted), |_| String::new())
    }
}

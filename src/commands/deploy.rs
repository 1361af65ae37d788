//! `dev deploy`

use clap::Args;

use super::up::{Apply, apply};
use super::{Context, down};
use crate::environment::Scope;
use crate::error::Result;

/// Make or update the base itself
///
/// The base is the namespace with the shared versions. Where CI, Helm or Argo CD makes it, this command is not needed.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev deploy                     apply every service to the base (`base:` of dev.yaml)
  dev deploy web --dry-run       what would change there
  dev deploy --remove            remove what dev deploy made, and nothing else
  dev deploy --remove --dry-run  what that would be")]
pub struct Deploy {
    /// Services, with what they need [default: all]
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Remove what `dev deploy` made
    #[arg(long, conflicts_with_all = ["services", "recreate", "no_prune", "no_wait"])]
    pub remove: bool,
    /// What applying takes.
    #[command(flatten)]
    pub apply: Apply,
}

impl Deploy {
    /// Applies the services to the base.
    pub async fn run(self, context: &Context) -> Result<()> {
        let settings = context.settings()?;
        let scope = Scope::choose(&settings, &self.services, true)?;
        if self.remove {
            let how = down::How {
                keep_namespace: false,
                dry_run: self.apply.dry_run,
            };
            return down::remove(context, &settings, &scope, how).await;
        }
        let cluster = context.connect().await?;
        apply(context, &cluster, &settings, &scope, &self.apply).await
    }
}

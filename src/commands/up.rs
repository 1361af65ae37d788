//! `dev up`

use clap::Args;

use super::Context;
use crate::environment::{Scope, UpOptions, bring_up, preview};
use crate::error::Result;

/// Make or update an environment: render, build, apply, wait
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev up                        every service of dev.yaml, in <app>-<your name>
  dev up reviews                one service and what it needs
  dev up -e pr-12 -p ci         another environment, with another profile
  dev up --dry-run              what would change, and nothing is written (like dev diff)
  dev up -o json | jq .services

What has not changed is not built, pushed or written again. Ctrl-C is safe at any point: a second `dev up` goes on,
`dev down` removes what is there.")]
pub struct Up {
    /// Services, with what they need [default: all]
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// What applying takes.
    #[command(flatten)]
    pub apply: Apply,
}

/// The flags of commands that apply.
#[derive(Args, Clone, Debug, Default)]
pub struct Apply {
    /// Show what would change, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Delete and make anew objects whose immutable fields change (says which)
    #[arg(long)]
    pub recreate: bool,
    /// Leave objects that dev.yaml no longer has where they are
    #[arg(long)]
    pub no_prune: bool,
    /// Return when everything is applied, without waiting until it is ready
    #[arg(long)]
    pub no_wait: bool,
}

impl Up {
    /// Brings the environment up.
    pub async fn run(self, context: &Context) -> Result<()> {
        let settings = context.settings()?;
        let scope = Scope::choose(&settings, &self.services, false)?;
        apply(context, &settings, &scope, &self.apply).await
    }
}

/// Applies a scope, or shows what that would change.
pub async fn apply(
    context: &Context,
    settings: &crate::settings::Settings,
    scope: &Scope,
    flags: &Apply,
) -> Result<()> {
    let cluster = context.connect().await?;
    let options = UpOptions {
        recreate: flags.recreate,
        prune: !flags.no_prune,
        wait: !flags.no_wait,
        timeout: settings.basics.timeout,
    };
    if flags.dry_run {
        let plan = preview(settings, scope, &cluster, &options, &context.ui).await?;
        return super::diff::show(&plan, &context.ui);
    }
    let report = bring_up(settings, scope, &cluster, &options, &context.ui).await?;
    context.ui.data(&report, crate::environment::Report::table)
}

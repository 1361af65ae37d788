//! `dev up`

use clap::Args;

use super::Context;
use crate::cluster::Cluster;
use crate::environment::overlay::{Extent, choose};
use crate::environment::{Scope, UpOptions, bring_up, preview};
use crate::error::Result;

/// Make or update an environment: render, build, apply, wait
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev up                        every service of dev.yaml, in <app>-<your name>
  dev up reviews                one service; the others are borrowed of a base that has routers
  dev up reviews --full         one service and a copy of all that it needs
  dev up --overlay              update the services that are copied already
  dev up -e pr-12 -p ci         another environment, with another profile
  dev up --dry-run              what would change, and nothing is written (like dev diff)
  dev up -o json | jq .services

A full copy is an application of its own. An overlay copies only the services that are named; every
other Service of the base answers under its own name too, and requests to the base that carry
`baggage: dev-env=NAME` reach the copies. With services named, an overlay is made where dev.yaml
names a base that has routers or admits environments, and the environment is no full copy yet;
--overlay and --full decide otherwise. `dev down SERVICE` gives a copy back.

What has not changed is not built, pushed or written again. Ctrl-C is safe at any point: a second
`dev up` goes on, `dev down` removes what is there.")]
pub struct Up {
    /// Services; in a full copy with what they need [default: all, as a full copy]
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// How much is copied.
    #[command(flatten)]
    pub extent: Extent,
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
        let cluster = context.connect().await?;
        let scope = choose(
            &settings,
            &self.services,
            self.extent,
            &cluster,
            &context.ui,
        )
        .await?;
        apply(context, &cluster, &settings, &scope, &self.apply).await
    }
}

/// Applies a scope, or shows what that would change.
pub async fn apply(
    context: &Context,
    cluster: &Cluster,
    settings: &crate::settings::Settings,
    scope: &Scope,
    flags: &Apply,
) -> Result<()> {
    let options = UpOptions {
        recreate: flags.recreate,
        prune: !flags.no_prune,
        wait: !flags.no_wait,
        timeout: settings.basics.timeout,
    };
    if flags.dry_run {
        let plan = preview(settings, scope, cluster, &options, &context.ui).await?;
        return super::diff::show(&plan, &context.ui);
    }
    let report = bring_up(settings, scope, cluster, &options, &context.ui).await?;
    context
        .ui
        .report(&report, crate::environment::Report::table)?;
    let Some(overlay) = &report.overlay else {
        return Ok(());
    };
    let (base, namespace) = (&overlay.base, &report.namespace);
    let failure = overlay.routing.failure(base, namespace, &report.env);
    match failure.filter(|_| options.wait) {
        Some(failure) => Err(failure),
        None => {
            let remark = overlay.routing.remark(base, namespace);
            remark
                .into_iter()
                .for_each(|remark| context.ui.warn(remark));
            Ok(())
        }
    }
}

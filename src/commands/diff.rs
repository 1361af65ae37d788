//! `dev diff`

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::environment::overlay::{Extent, choose};
use crate::environment::{Scope, UpOptions, preview};
use crate::error::Result;
use crate::plan::{Counts, DiffEntry, Plan, diff_entries, render_diff};
use crate::ui::Ui;

/// Show what `dev up` would change
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev diff                      a unified diff for each object; values of Secrets are masked
  dev diff web --exit-code      for scripts: 1 when there are differences
  dev diff --base-version       what `dev deploy` would change
  dev diff -o json

Nothing is built or written. What `dev up` would refuse is shown, and is an error here too.")]
pub struct Diff {
    /// Services; in a full copy with what they need [default: all, as a full copy]
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// How much is copied.
    #[command(flatten)]
    pub extent: Extent,
    /// Compare the base itself in place of an environment
    #[arg(long, conflicts_with_all = ["overlay", "full"])]
    pub base_version: bool,
    /// Take immutable fields as `dev up --recreate` would
    #[arg(long)]
    pub recreate: bool,
    /// Return 1 when there are differences
    #[arg(long)]
    pub exit_code: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    namespace: String,
    counts: Counts,
    changes: Vec<DiffEntry>,
}

impl Diff {
    /// Shows the plan; the value is the exit code.
    pub async fn run(self, context: &Context) -> Result<u8> {
        let settings = context.settings()?;
        let cluster = context.connect().await?;
        let scope = match self.base_version {
            true => Scope::choose(&settings, &self.services, true)?,
            false => {
                choose(
                    &settings,
                    &self.services,
                    self.extent,
                    &cluster,
                    &context.ui,
                )
                .await?
            }
        };
        let options = UpOptions {
            recreate: self.recreate,
            ..UpOptions::default()
        };
        let plan = preview(&settings, &scope, &cluster, &options, &context.ui).await?;
        show(&plan, &context.ui)?;
        Ok(u8::from(self.exit_code && !plan.is_empty()))
    }
}

/// Prints a plan: data on stdout, the count on stderr.
///
/// # Errors
/// That of what cannot be done, when all of it was printed: what is shown would fail.
pub fn show(plan: &Plan, ui: &Ui) -> Result<()> {
    let shown = Shown {
        namespace: plan.namespace.clone(),
        counts: plan.counts(),
        changes: diff_entries(plan),
    };
    let text = render_diff(plan)?;
    ui.data(&shown, |_| text)?;
    ui.note(format!("{}: {}", plan.namespace, shown.counts));
    plan.check()
}

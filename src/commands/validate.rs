//! `dev validate`

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::environment::{self, Scope, ServiceImages};
use crate::error::Result;

/// Check dev.yaml and everything it names, without a cluster
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev validate                 dev.yaml, templates, manifests, names, references
  dev validate -o json         for editors and CI

It renders every service for your environment and for the base, and writes nothing. Services that
are `live: true` need a cluster and are left out.")]
pub struct Validate {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file: std::path::PathBuf,
    services: usize,
    objects: usize,
    left_out: Vec<String>,
}

impl Validate {
    /// Renders everything and says what was found.
    pub async fn run(self, context: &Context) -> Result<()> {
        let settings = context.settings()?;
        let mut scope = Scope::choose(&settings, &[], false)?;
        let left_out = scope.leave_out_live(&settings);
        let images = ServiceImages::plan(&settings, &scope).await?;
        let render = async |scope: &Scope| {
            environment::render(&settings, scope, &images, None, &context.ui).await
        };
        let rendered = render(&scope).await?;
        if settings.base.is_some() {
            render(&scope.of_base(&settings)?).await?;
        }
        let report = Report {
            file: settings.project.file.clone(),
            services: settings.project.project.services.len(),
            objects: rendered.objects.len(),
            left_out,
        };
        rendered.tell(&context.ui);
        context.ui.report(&report, |report| {
            let mut text = format!(
                "{} is valid: {} services, {} objects",
                report.file.display(),
                report.services,
                report.objects
            );
            if !report.left_out.is_empty() {
                text.push_str(&format!(
                    "\nnot checked, because they are copied from what runs in the base: {}",
                    report.left_out.join(", ")
                ));
            }
            text
        })
    }
}

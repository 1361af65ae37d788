//! `dev render`

use clap::Args;

use super::Context;
use crate::environment::overlay::{Extent, choose};
use crate::environment::{self, Scope, ServiceImages};
use crate::error::Result;
use crate::manifest::{Manifest, yaml};
use crate::settings::Settings;
use crate::ui::Format;

/// Print the manifests as they would be applied
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev render                          every service, for your environment
  dev render web -e pr-12 | less      one service and what it needs
  dev render web --overlay            only that one, and the aliases of an overlay
  dev render --base-version           as `dev deploy` would apply them to the base
  dev render -o json                  a Kubernetes List

Nothing is built and no cluster is asked, except for services that are `live: true` and for
overlays. Without --overlay it renders a full copy, whatever `dev up` would choose.
What was left out is said on stderr; -v says every change.")]
pub struct Render {
    /// Services, with what they need [default: all]
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Only these services, and aliases for all others of the base
    #[arg(long)]
    pub overlay: bool,
    /// Render the base itself in place of an environment
    #[arg(long, conflicts_with = "overlay")]
    pub base_version: bool,
}

impl Render {
    /// Prints the objects.
    pub async fn run(self, context: &Context) -> Result<()> {
        let settings = context.settings()?;
        let objects = match self.overlay {
            true => self.overlay(&settings, context).await?,
            false => self.plain(&settings, context).await?,
        };
        match context.ui.format() {
            Format::Json => {
                let items: Vec<_> = objects.iter().map(|object| &object.value).collect();
                let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
                context.ui.print(format!("{list:#}"))
            }
            Format::Table | Format::Yaml => context.ui.write(yaml::stream(&objects)?.as_bytes()),
        }
    }

    async fn plain(&self, settings: &Settings, context: &Context) -> Result<Vec<Manifest>> {
        let scope = Scope::choose(settings, &self.services, self.base_version)?;
        let images = ServiceImages::plan(settings, &scope).await?;
        let cluster = match scope.has_live(settings) {
            true => Some(context.connect().await?),
            false => None,
        };
        let ui = &context.ui;
        let rendered = environment::render(settings, &scope, &images, cluster.as_ref(), ui).await?;
        rendered.tell(ui);
        Ok(rendered.objects)
    }

    async fn overlay(&self, settings: &Settings, context: &Context) -> Result<Vec<Manifest>> {
        let cluster = context.connect().await?;
        let extent = Extent {
            overlay: true,
            full: false,
        };
        let ui = &context.ui;
        let scope = choose(settings, &self.services, extent, &cluster, ui).await?;
        let images = ServiceImages::plan(settings, &scope).await?;
        let wanted = environment::wanted(settings, &scope, &cluster, &images, ui).await?;
        wanted.said.iter().for_each(|line| ui.note(line));
        Ok(wanted.desired.objects)
    }
}

//! `dev render`

use clap::Args;

use super::Context;
use crate::environment::{self, Scope, ServiceImages};
use crate::error::Result;
use crate::manifest::yaml;
use crate::ui::Format;

/// Print the manifests as they would be applied
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev render                          every service, for your environment
  dev render web -e pr-12 | less      one service and what it needs
  dev render --base-version           as `dev deploy` would apply them to the base
  dev render -o json                  a Kubernetes List

Nothing is built and no cluster is asked, except for services that are `live: true`.
What was left out is said on stderr; -v says every change.")]
pub struct Render {
    /// Services, with what they need [default: all]
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Render the base itself in place of an environment
    #[arg(long)]
    pub base_version: bool,
}

impl Render {
    /// Prints the objects.
    pub async fn run(self, context: &Context) -> Result<()> {
        let settings = context.settings()?;
        let scope = Scope::choose(&settings, &self.services, self.base_version)?;
        let images = ServiceImages::plan(&settings, &scope).await?;
        let live = scope.has_live(&settings);
        let cluster = if live {
            Some(context.connect().await?)
        } else {
            None
        };
        let rendered =
            environment::render(&settings, &scope, &images, cluster.as_ref(), &context.ui).await?;
        rendered.tell(&context.ui);
        match context.ui.format() {
            Format::Json => {
                let items: Vec<_> = rendered
                    .objects
                    .iter()
                    .map(|object| &object.value)
                    .collect();
                let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
                context.ui.print(format!("{list:#}"))
            }
            Format::Table | Format::Yaml => context
                .ui
                .write(yaml::stream(&rendered.objects)?.as_bytes()),
        }
    }
}

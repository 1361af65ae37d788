//! `dev image`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use crate::cluster::{guard, nodes};
use crate::error::{Error, Result};
use crate::image::{Images, Packing, Platform, Registry, image_reference, own_image};
use crate::local::Dirs;

/// The name of the image below a registry.
const NAME: &str = "dev";

/// The image of the in-cluster parts of dev itself
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev image push --registry localhost:5000
  dev image load                      into a local cluster
  dev image save dev.tar              an archive for `ctr images import`, `docker load`, …

On Linux of the cluster's architecture the image is made from the running program. The full reference is printed.")]
pub struct Image {
    /// What to do with it.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the image.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Push it to the registry
    #[command(after_help = "Examples:\n  dev image push --registry localhost:5000")]
    Push {
        /// Of this architecture [default: that of this machine]
        #[arg(long, value_name = "ARCHITECTURE")]
        arch: Option<String>,
    },
    /// Write it to an archive
    #[command(
        after_help = "Examples:\n  dev image save dev.tar && ctr -n k8s.io images import dev.tar"
    )]
    Save {
        /// The archive
        #[arg(value_name = "FILE")]
        path: PathBuf,
        /// Of this architecture [default: that of this machine]
        #[arg(long, value_name = "ARCHITECTURE")]
        arch: Option<String>,
    },
    /// Load it into a local cluster
    #[command(after_help = "Examples:\n  dev image load --context kind-kind")]
    Load,
}

#[derive(Serialize)]
struct Made {
    image: String,
}

impl Image {
    /// Makes the image and brings it to where it should be.
    pub async fn run(self, context: &Context) -> Result<()> {
        // A project is not needed: the registry may be given.
        let registry = registry(context)?;
        let dirs = Dirs::from_env()?;
        let task = context.ui.task("image dev");
        let image = match self.action {
            Action::Push { arch } => {
                let Some(registry) = &registry else {
                    return Err(Error::usage("there is no registry to push to")
                        .reason("NoRegistry")
                        .hint("give --registry HOST/PATH, or set DEV_REGISTRY or `registry:` of dev.yaml"));
                };
                let platform = platform(arch);
                let own = own_image(&platform.architecture)?;
                let reference = image_reference(Some(registry), NAME, &own.tag)?;
                let images = Images::new(Some(registry), &dirs, platform);
                images
                    .push(own.build(Packing::Gzip)?, &reference, &task)
                    .await?;
                reference
            }
            Action::Save { path, arch } => {
                let platform = platform(arch);
                let own = own_image(&platform.architecture)?;
                let reference = image_reference(registry.as_ref(), NAME, &own.tag)?;
                let images = Images::new(registry.as_ref(), &dirs, platform);
                images
                    .write(own.build(Packing::Gzip)?, &reference, &path, &task)
                    .await?;
                reference
            }
            Action::Load => {
                let cluster = context.connect().await?;
                let identity = guard::ensure_writable(&cluster, &context.ui).await?;
                let Some(local) = identity.local_cluster() else {
                    return Err(Error::usage(
                        "this cluster is no local one that images can be loaded into",
                    )
                    .hint("push it: dev image push --registry HOST/PATH"));
                };
                let platform = Platform::linux(&nodes::architecture(&cluster).await);
                let own = own_image(&platform.architecture)?;
                let reference = image_reference(None, NAME, &own.tag)?;
                let images = Images::new(None, &dirs, platform);
                images
                    .load(own.build(Packing::Plain)?, &reference, &local, &task)
                    .await?;
                reference
            }
        };
        task.done("done");
        context.ui.data(&Made { image }, |made| made.image.clone())
    }
}

fn platform(arch: Option<String>) -> Platform {
    arch.map_or_else(Platform::host, |arch| Platform::linux(&arch))
}

/// The registry of flag, variable or project; a missing project is fine here.
fn registry(context: &Context) -> Result<Option<Registry>> {
    let given = context.globals.registry.clone().or_else(|| {
        std::env::var("DEV_REGISTRY")
            .ok()
            .filter(|text| !text.is_empty())
    });
    let text = match given {
        Some(text) => Some(text),
        None => match context.project()? {
            Some(loaded) => loaded.project.registry,
            None => None,
        },
    };
    text.map(|text| Registry::parse(&text)).transpose()
}

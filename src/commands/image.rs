//! `dev image`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use crate::cluster::{guard, nodes};
use crate::error::{Error, Result};
use crate::image::{
    BuiltImage, DEFAULT_ENVOY_IMAGE, EnvoySource, Images, OwnImage, Packing, Platform, Registries,
    Registry, RouterImage, image_reference, own_image, router_image,
};
use crate::local::Dirs;
use crate::ui::Task;

/// The name of the image below a registry.
const NAME: &str = "dev";
/// The name of the image of router and control.
pub const ROUTER: &str = "dev-router";

/// The image of the in-cluster parts of dev itself
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev image push --registry localhost:5000
  dev image load                      into a local cluster
  dev image save dev.tar              an archive for `ctr images import`, `docker load`, …
  dev image push --router             the image of router and control, with Envoy in it

On Linux of the cluster's architecture the image is made from the running program. The full
reference is printed.")]
pub struct Image {
    /// What to do with it.
    #[command(subcommand)]
    pub action: Action,
}

/// Which image is made.
#[derive(Args, Clone, Debug, Default)]
pub struct Which {
    /// The image of router and control: `dev` and Envoy
    #[arg(long)]
    pub router: bool,
    /// Where Envoy comes from.
    #[command(flatten)]
    pub envoy: EnvoyArgs,
}

/// Where Envoy comes from, for the image of router and control.
#[derive(Args, Clone, Debug, Default)]
pub struct EnvoyArgs {
    /// An image that holds /usr/local/bin/envoy, or an archive of one as ./FILE [default: DEV_ENVOY_IMAGE, else
    /// docker.io/envoyproxy/envoy:distroless-v1.40.0]
    #[arg(long, value_name = "REFERENCE", conflicts_with = "envoy")]
    pub envoy_image: Option<String>,
    /// Envoy's program on this machine, which brings its libraries [default: DEV_ENVOY]
    #[arg(long, value_name = "FILE")]
    pub envoy: Option<PathBuf>,
}

impl EnvoyArgs {
    /// What was named: by a flag, else by a variable; else the image of the Envoy project.
    pub fn source(&self) -> EnvoySource {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(file) = &self.envoy {
            return EnvoySource::File(file.clone());
        }
        if let Some(reference) = &self.envoy_image {
            return EnvoySource::Image(reference.clone());
        }
        if let Some(file) = variable("DEV_ENVOY") {
            return EnvoySource::File(file.into());
        }
        let named = variable("DEV_ENVOY_IMAGE").and_then(|text| text.into_string().ok());
        EnvoySource::Image(named.unwrap_or_else(|| DEFAULT_ENVOY_IMAGE.to_owned()))
    }
}

/// What to do with the image.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Push it to the registry
    #[command(after_help = "Examples:\n  dev image push --registry localhost:5000")]
    Push {
        /// Which image.
        #[command(flatten)]
        which: Which,
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
        /// Which image.
        #[command(flatten)]
        which: Which,
        /// Of this architecture [default: that of this machine]
        #[arg(long, value_name = "ARCHITECTURE")]
        arch: Option<String>,
    },
    /// Load it into a local cluster
    #[command(
        after_help = "Examples:\n  dev image load --context kind-kind\n  dev image load --router --envoy ./envoy"
    )]
    Load {
        /// Which image.
        #[command(flatten)]
        which: Which,
    },
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
        let task = context.ui.task("image");
        let image = match self.action {
            Action::Push { which, arch } => {
                let Some(registry) = &registry else {
                    return Err(Error::usage("there is no registry to push to")
                        .reason("NoRegistry")
                        .hint("give --registry HOST/PATH, or set DEV_REGISTRY or `registry:` of dev.yaml"));
                };
                let platform = platform(arch);
                let found = Found::of(&which, &platform, &task)?;
                let reference = found.reference(Some(registry))?;
                let images = Images::new(Some(registry), &dirs, platform);
                let built = found
                    .build(Packing::Gzip, images.registries(), &task)
                    .await?;
                images.push(built, &reference, &task).await?;
                reference
            }
            Action::Save { path, which, arch } => {
                let platform = platform(arch);
                let found = Found::of(&which, &platform, &task)?;
                let reference = found.reference(registry.as_ref())?;
                let images = Images::new(registry.as_ref(), &dirs, platform);
                let built = found
                    .build(Packing::Gzip, images.registries(), &task)
                    .await?;
                images.write(built, &reference, &path, &task).await?;
                reference
            }
            Action::Load { which } => {
                let cluster = context.connect().await?;
                let identity = guard::ensure_writable(&cluster, &context.ui).await?;
                let Some(local) = identity.local_cluster() else {
                    return Err(Error::usage(
                        "this cluster is no local one that images can be loaded into",
                    )
                    .hint("push it: `dev image push --registry HOST/PATH`"));
                };
                let platform = Platform::linux(&nodes::architecture(&cluster).await);
                let found = Found::of(&which, &platform, &task)?;
                let reference = found.reference(None)?;
                let images = Images::new(None, &dirs, platform);
                let built = found
                    .build(Packing::Plain, images.registries(), &task)
                    .await?;
                images.load(built, &reference, &local, &task).await?;
                reference
            }
        };
        task.done("done");
        context.ui.data(&Made { image }, |made| made.image.clone())
    }
}

/// An image whose files were found.
enum Found {
    Own(OwnImage),
    Router(RouterImage),
}

impl Found {
    fn of(which: &Which, platform: &Platform, task: &Task) -> Result<Self> {
        task.state("reading programs");
        Ok(match which.router {
            true => Self::Router(router_image(&platform.architecture, &which.envoy.source())?),
            false => Self::Own(own_image(&platform.architecture)?),
        })
    }

    fn reference(&self, registry: Option<&Registry>) -> Result<String> {
        match self {
            Self::Own(own) => image_reference(registry, NAME, &own.tag),
            Self::Router(router) => image_reference(registry, ROUTER, &router.tag),
        }
    }

    async fn build(
        &self,
        packing: Packing,
        registries: &Registries,
        task: &Task,
    ) -> Result<BuiltImage> {
        task.state("making layers");
        match self {
            Self::Own(own) => own.build(packing),
            Self::Router(router) => router.build(packing, registries).await,
        }
    }
}

fn platform(arch: Option<String>) -> Platform {
    arch.map_or_else(Platform::host, |arch| Platform::linux(&arch))
}

/// The registry of flag, variable or project; a missing project is fine here.
pub(super) fn registry(context: &Context) -> Result<Option<Registry>> {
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

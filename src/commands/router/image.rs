//! The image of router and control: which one, and making it exist where the cluster finds it.

use std::collections::HashSet;

use crate::cluster::{Cluster, ClusterIdentity, nodes};
use crate::commands::Context;
use crate::commands::image::{EnvoyArgs, ROUTER, registry};
use crate::error::{Error, Result};
use crate::image::{
    ImagePlan, Images, Platform, Recipe, Registry, Target, image_reference, published_image,
    router_image,
};
use crate::local::Dirs;

/// The image of an installation.
pub struct RouterImage {
    /// How it is made, if it is ours to make.
    pub plan: ImagePlan,
    registry: Option<Registry>,
}

/// Finds out which image runs: the one that was named, else one made of this program and Envoy.
pub async fn choose(
    named: Option<String>,
    envoy: &EnvoyArgs,
    cluster: &Cluster,
    context: &Context,
) -> Result<RouterImage> {
    let given = |reference: String| RouterImage {
        plan: ImagePlan {
            service: ROUTER.to_owned(),
            reference,
            tag: None,
            recipe: Recipe::Given,
        },
        registry: None,
    };
    if let Some(reference) = named {
        return Ok(given(reference));
    }
    let registry = registry(context)?;
    let architecture = nodes::architecture(cluster).await;
    let source = envoy.source();
    // Both programs are read as a whole.
    let found = tokio::task::spawn_blocking(move || router_image(&architecture, &source))
        .await
        .map_err(|cause| Error::failed("reading programs was cut short").caused_by(&cause))?;
    let files = match (found, published_image()) {
        (Ok(files), _) => files,
        (Err(_), Some(reference)) if registry.is_none() => return Ok(given(reference.to_owned())),
        (Err(error), _) => {
            return Err(error.hint("or name an image that is there already: --image REFERENCE"));
        }
    };
    Ok(RouterImage {
        plan: ImagePlan {
            service: ROUTER.to_owned(),
            reference: image_reference(registry.as_ref(), ROUTER, &files.tag)?,
            tag: Some(files.tag.clone()),
            recipe: Recipe::Router(Box::new(files)),
        },
        registry,
    })
}

impl RouterImage {
    /// Makes it exist: in the registry, or in the nodes of a local cluster.
    pub async fn ensure(
        &self,
        cluster: &Cluster,
        identity: &ClusterIdentity,
        context: &Context,
    ) -> Result<()> {
        if self.plan.recipe.is_given() {
            return Ok(());
        }
        let target = match (&self.registry, identity.local_cluster()) {
            (Some(_), _) => Target::Registry,
            (None, Some(local)) => Target::Local(local),
            (None, None) => {
                return Err(Error::usage("there is no registry to push the image of the routers to, and this cluster is no local one that it could be loaded into")
                    .reason("NoRegistry")
                    .hint("give --registry HOST/PATH, DEV_REGISTRY, `registry:` of dev.yaml, or --image REFERENCE"));
            }
        };
        let present = match &target {
            Target::Local(_) => nodes::images_of_every_node(cluster).await?,
            Target::Registry => HashSet::new(),
        };
        let platform = Platform::linux(&nodes::architecture(cluster).await);
        let images = Images::new(self.registry.as_ref(), &Dirs::from_env()?, platform);
        let task = context.ui.task("image dev-router");
        task.state("looking for it");
        match images.ensure(&self.plan, &target, &present, &task).await {
            Ok(_) => {
                task.done(&self.plan.reference);
                Ok(())
            }
            Err(error) => {
                task.failed(error.message());
                Err(error)
            }
        }
    }
}

//! The images of an environment: which they are, and making those exist that will run.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use super::Scope;
use crate::cluster::{Cluster, ClusterIdentity, nodes};
use crate::error::{Error, Result};
use crate::image::{self, ImagePlan, Images, Outcome, Platform, Recipe, Registry, Target};
use crate::local::Dirs;
use crate::settings::Settings;
use crate::ui::{Ui, took};

/// How many images are made at once: builds want all cores for themselves, pushes wait.
const AT_ONCE: usize = 3;

/// The images of the services of an environment, by service.
#[derive(Clone, Debug, Default)]
pub struct ServiceImages {
    plans: BTreeMap<String, ImagePlan>,
    registry: Option<Registry>,
}

/// What was done for the image of a service.
#[derive(Clone, Debug, Serialize)]
pub struct ImageReport {
    /// The service.
    pub service: String,
    /// The full reference.
    pub image: String,
    /// What was done.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl ServiceImages {
    /// Finds the images of every service in the project: templates may name each other's. From files alone.
    pub async fn plan(settings: &Settings, scope: &Scope) -> Result<Self> {
        let registry = match &settings.registry {
            Some(registry) => Some(Registry::parse(&registry.value)?),
            None => None,
        };
        let services = &settings.project.project.services;
        let tasks = services.iter().filter_map(|(name, service)| {
            let (service, image) = (name.clone(), service.image.clone()?);
            let place = settings.project.place(&["services", name, "image"]);
            let (root, registry) = (settings.root().to_path_buf(), registry.clone());
            let task = tokio::task::spawn_blocking(move || {
                image::plan(&service, &image, &root, registry.as_ref()).map_err(|error| match error
                    .place()
                {
                    None => error.at(place),
                    Some(_) => error,
                })
            });
            Some((name, task))
        });
        let mut plans = BTreeMap::new();
        for (name, task) in tasks.collect::<Vec<_>>() {
            let planned = task.await.map_err(|cause| {
                Error::failed("reading an image's context was cut short").caused_by(&cause)
            })?;
            match planned {
                Ok(plan) => {
                    plans.insert(plan.service.clone(), plan);
                }
                Err(error) if scope.services.contains(name) => return Err(error),
                // A service that nobody asked for: a template that names its image all the same gets an error with its place.
                Err(error) => tracing::debug!(%error, service = %name, "its image is not known"),
            }
        }
        Ok(Self { plans, registry })
    }

    /// The full references, by service.
    pub fn references(&self) -> BTreeMap<String, String> {
        self.plans
            .iter()
            .map(|(service, plan)| (service.clone(), plan.reference.clone()))
            .collect()
    }

    /// Makes those images exist that `wanted` says will run, where the cluster finds them.
    pub async fn ensure(
        &self,
        wanted: impl Fn(&str) -> bool,
        cluster: &Cluster,
        identity: &ClusterIdentity,
        ui: &Ui,
    ) -> Result<Vec<ImageReport>> {
        let plans: Vec<&ImagePlan> = self
            .plans
            .values()
            .filter(|plan| !matches!(plan.recipe, Recipe::Given) && wanted(&plan.reference))
            .collect();
        if plans.is_empty() {
            return Ok(Vec::new());
        }
        let target = self.target(identity)?;
        let present = match &target {
            Target::Local(_) => nodes::images_of_every_node(cluster).await?,
            Target::Registry => std::collections::HashSet::new(),
        };
        let platform = Platform::linux(&nodes::architecture(cluster).await);
        let images = Images::new(self.registry.as_ref(), &Dirs::from_env()?, platform);
        stream::iter(plans)
            .map(|plan| {
                let (images, target, present) = (&images, &target, &present);
                async move {
                    let task = ui.task(format!("image {}", plan.service));
                    task.state("looking for it");
                    let outcome = images.ensure(plan, target, present, &task).await;
                    match &outcome {
                        Ok(Outcome::Built { took: time, .. }) => {
                            task.done(format!("{} in {}", plan.reference, took(*time)));
                        }
                        Ok(Outcome::Given | Outcome::Present) => task.done("is there"),
                        Err(error) => task.failed(error.message()),
                    }
                    outcome.map(|outcome| ImageReport {
                        service: plan.service.clone(),
                        image: plan.reference.clone(),
                        outcome,
                    })
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    fn target(&self, identity: &ClusterIdentity) -> Result<Target> {
        if self.registry.is_some() {
            return Ok(Target::Registry);
        }
        match identity.local_cluster() {
            Some(local) => Ok(Target::Local(local)),
            None => Err(Error::usage("there is no registry to push images to, and this cluster is no local one that they could be loaded into")
                .reason("NoRegistry")
                .hint("set `registry:` in dev.yaml, or --registry HOST/PATH, or DEV_REGISTRY")),
        }
    }
}

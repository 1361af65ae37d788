//! The whole step: the image is where the cluster finds it, and nothing is done again that was done.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci_client::Reference;
use serde::Serialize;

use super::archive::{compress_layers, read_archive, write_archive};
use super::blob::BuiltImage;
use super::build::find_engine;
use super::command::{Made, run_command};
use super::layers::{Packing, Platform, build_layers};
use super::load::{LocalCluster, Presence};
use super::lock::BuildLock;
use super::plan::{ImagePlan, Recipe};
use super::reference::Registry;
use super::registry::{DockerConfig, Pushed, Registries, megabytes};
use crate::error::{Error, Result};
use crate::local::Dirs;
use crate::project::Engine;
use crate::ui::Task;

/// Where images go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into the registry that their references name.
    Registry,
    /// Into the nodes of a cluster on this machine.
    Local(LocalCluster),
}

/// What was done for an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// It is not ours to make.
    Given,
    /// It was there.
    Present,
    /// It was made and delivered.
    Built {
        /// How it got to the cluster.
        delivery: Delivery,
        /// How long all of it took; serialised as `seconds`.
        #[serde(rename = "seconds", serialize_with = "seconds")]
        took: Duration,
    },
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

/// How an image got to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// We pushed it.
    Pushed,
    /// It was loaded into the nodes.
    Loaded,
    /// The image's own command pushed or loaded it.
    ByItsCommand,
}

/// Makes images exist. One for a command, shared by its services.
#[derive(Clone)]
pub struct Images {
    registries: Registries,
    plain_host: Option<String>,
    state: PathBuf,
    platform: Platform,
}

/// What a builder left behind.
enum Built {
    /// An image in our hands.
    Image(Box<BuiltImage>),
    /// An image in an engine's store.
    Engine(Engine),
    /// The command took care of it.
    Itself,
}

impl Images {
    /// For images that go to this registry (if any), with the credentials of the person who runs this process.
    pub fn new(registry: Option<&Registry>, dirs: &Dirs, platform: Platform) -> Self {
        let plain_host = registry
            .filter(|registry| registry.plain_http())
            .map(|registry| registry.host().to_owned());
        Self {
            registries: Registries::new(registry, DockerConfig::from_env(), dirs.cache.clone()),
            plain_host,
            state: dirs.state.clone(),
            platform,
        }
    }

    /// The same, with another access to registries.
    #[must_use]
    pub fn with_registries(mut self, registries: Registries) -> Self {
        self.registries = registries;
        self
    }

    /// Access to registries.
    pub fn registries(&self) -> &Registries {
        &self.registries
    }

    /// Makes sure that an image is there: builds and delivers it unless it is. `present` tells what local nodes have; a
    /// registry is asked with one question. Two processes that want the same image do it once.
    pub async fn ensure(
        &self,
        plan: &ImagePlan,
        target: &Target,
        present: &dyn Presence,
        task: &Task,
    ) -> Result<Outcome> {
        if matches!(plan.recipe, Recipe::Given) {
            return Ok(Outcome::Given);
        }
        if self.is_there(plan, target, present).await? {
            return Ok(Outcome::Present);
        }
        let begin = Instant::now();
        let mut lock = BuildLock::take(&self.state, &plan.reference, || {
            task.state("waiting for another build of this image");
        })
        .await?;
        // Nodes report what they have some seconds late, so the other process's word counts for them.
        let record = delivery_record(plan, target);
        if lock.waited {
            let told = matches!(target, Target::Local(_)) && lock.last()? == record;
            if told || self.is_there(plan, target, present).await? {
                return Ok(Outcome::Present);
            }
        }
        // Whoever waits must not take the word of an earlier run for that of a failed one.
        lock.record("")?;
        let delivery = self
            .make(plan, target, task)
            .await
            .map_err(|error| error.cause(format!("image of service {}", plan.service)))?;
        lock.record(&record)?;
        Ok(Outcome::Built {
            delivery,
            took: begin.elapsed(),
        })
    }

    /// Builds an image and writes it to an archive, whether or not it is anywhere.
    pub async fn save(&self, plan: &ImagePlan, path: &Path, task: &Task) -> Result<()> {
        let _one_at_a_time = BuildLock::take(&self.state, &plan.reference, || {
            task.state("waiting for another build of this image");
        })
        .await?;
        match self.build(plan, Packing::Gzip, task).await? {
            Built::Image(image) => self.write(*image, &plan.reference, path, task).await,
            Built::Engine(engine) => {
                task.state(format!("saving from {}", engine.program()));
                let save = engine.save(&plan.reference, path);
                save.stream(|line| task.state(line)).await
            }
            Built::Itself => Err(Error::failed(format!(
                "the command of {} wrote no archive to $DEV_IMAGE_TAR",
                plan.service
            ))),
        }
    }

    /// Pushes an image that was made elsewhere, such as that of [`super::own_image`].
    pub async fn push(&self, image: BuiltImage, reference: &str, task: &Task) -> Result<Pushed> {
        let image = off_thread(move || compress_layers(image)).await?;
        let reference = oci_reference(reference)?;
        self.registries
            .push(&image, &reference, |line| task.state(line))
            .await
    }

    /// Loads an image that was made elsewhere into a local cluster.
    pub async fn load(
        &self,
        image: BuiltImage,
        reference: &str,
        cluster: &LocalCluster,
        task: &Task,
    ) -> Result<()> {
        let (_dir, path) = temporary_archive()?;
        self.write(image, reference, &path, task).await?;
        task.state(format!("loading into {cluster}"));
        cluster.load_archive(&path, |line| task.state(line)).await
    }

    /// Writes an image to an archive.
    pub async fn write(
        &self,
        image: BuiltImage,
        reference: &str,
        path: &Path,
        task: &Task,
    ) -> Result<()> {
        let image = self
            .registries
            .localize(image, |line| task.state(line))
            .await?;
        task.state(format!("writing {}", megabytes(image.size())));
        let (reference, path) = (reference.to_owned(), path.to_owned());
        off_thread(move || write_archive(&image, &reference, &path)).await
    }

    async fn is_there(
        &self,
        plan: &ImagePlan,
        target: &Target,
        present: &dyn Presence,
    ) -> Result<bool> {
        match target {
            Target::Registry => {
                let reference = oci_reference(&plan.reference)?;
                Ok(self.registries.exists(&reference).await?.is_some())
            }
            Target::Local(_) => present.has(&plan.reference).await,
        }
    }

    async fn make(&self, plan: &ImagePlan, target: &Target, task: &Task) -> Result<Delivery> {
        let packing = match target {
            Target::Registry => Packing::Gzip,
            Target::Local(_) => Packing::Plain,
        };
        match (self.build(plan, packing, task).await?, target) {
            (Built::Image(image), Target::Registry) => {
                self.push(*image, &plan.reference, task).await?;
                Ok(Delivery::Pushed)
            }
            (Built::Image(image), Target::Local(cluster)) => {
                self.load(*image, &plan.reference, cluster, task).await?;
                Ok(Delivery::Loaded)
            }
            (Built::Engine(engine), Target::Registry) => {
                let plain = self
                    .plain_host
                    .as_ref()
                    .is_some_and(|host| plan.reference.starts_with(&format!("{host}/")));
                task.state(format!("pushing with {}", engine.program()));
                let push = engine.push(&plan.reference, plain);
                push.stream(|line| task.state(line)).await?;
                Ok(Delivery::Pushed)
            }
            (Built::Engine(engine), Target::Local(cluster)) => {
                let (_dir, path) = temporary_archive()?;
                task.state(format!("saving from {}", engine.program()));
                let save = engine.save(&plan.reference, &path);
                save.stream(|line| task.state(line)).await?;
                task.state(format!("loading into {cluster}"));
                cluster.load_archive(&path, |line| task.state(line)).await?;
                Ok(Delivery::Loaded)
            }
            (Built::Itself, Target::Registry) => {
                let reference = oci_reference(&plan.reference)?;
                if self.registries.exists(&reference).await?.is_none() {
                    return Err(Error::failed(format!(
                        "the command ended well, and {} is not in its registry",
                        plan.reference
                    ))
                    .reason("ImageMissing")
                    .hint(
                        "it has to push $DEV_IMAGE, or to write an archive of it to $DEV_IMAGE_TAR",
                    ));
                }
                Ok(Delivery::ByItsCommand)
            }
            // Nodes tell what they have too late to check it here; a pod that cannot find it says so.
            (Built::Itself, Target::Local(_)) => Ok(Delivery::ByItsCommand),
        }
    }

    async fn build(&self, plan: &ImagePlan, packing: Packing, task: &Task) -> Result<Built> {
        match &plan.recipe {
            Recipe::Given => Err(Error::usage(format!(
                "{} is given, not built: there is nothing to make",
                plan.reference
            ))),
            Recipe::Layers(at) => {
                let state = |line: &str| task.state(line);
                let image =
                    build_layers(at, &self.platform, packing, &self.registries, state).await?;
                Ok(Built::Image(Box::new(image)))
            }
            Recipe::Router(files) => {
                task.state("making layers of dev and Envoy");
                let image = files.build(packing, &self.registries).await?;
                Ok(Built::Image(Box::new(image)))
            }
            Recipe::Build(at) => {
                let engine = find_engine(at.spec.engine).await?;
                task.state(format!("building with {}", engine.program()));
                let build = engine.build(at, &plan.reference, &self.platform);
                build.stream(|line| task.state(line)).await?;
                Ok(Built::Engine(engine))
            }
            Recipe::Command(at) => {
                let (dir, path) = temporary_archive()?;
                let state = |line: &str| task.state(line);
                match run_command(at, &plan.reference, &path, &self.platform, state).await? {
                    Made::Itself => Ok(Built::Itself),
                    Made::Archive => {
                        let platform = self.platform.clone();
                        let image = off_thread(move || read_archive(&path, &platform)).await?;
                        Ok(Built::Image(Box::new(image.keeping(dir))))
                    }
                }
            }
        }
    }
}

fn delivery_record(plan: &ImagePlan, target: &Target) -> String {
    match target {
        Target::Registry => format!("{} in its registry", plan.reference),
        Target::Local(cluster) => format!("{} in {cluster}", plan.reference),
    }
}

/// A reference of ours: host, repository and tag are taken apart without guessing.
pub fn oci_reference(text: &str) -> Result<Reference> {
    let parts = text
        .split_once('/')
        .and_then(|(host, rest)| Some((host, rest.rsplit_once(':')?)));
    match parts {
        Some((host, (repository, tag))) => Ok(Reference::with_tag(
            host.to_owned(),
            repository.to_owned(),
            tag.to_owned(),
        )),
        None => Err(Error::usage(format!("\"{text}\" is not HOST/NAME:TAG"))),
    }
}

fn temporary_archive() -> Result<(tempfile::TempDir, PathBuf)> {
    let dir = tempfile::Builder::new()
        .prefix("dev-image-")
        .tempdir()
        .map_err(|cause| Error::io("create", &std::env::temp_dir(), &cause))?;
    let path = dir.path().join("image.tar");
    Ok((dir, path))
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::failed("an image could not be made").caused_by(&cause))?
}

#[cfg(test)]
mod tests;

//! The image of router and control: Envoy, and this program above it in a layer of its own, so that a new `dev` sends no
//! second Envoy.

use std::path::{Path, PathBuf};

use super::programs::Programs;
use super::{PROGRAM, own_program, run_as, tag};
use crate::error::{Error, Result};
use crate::image::blob::BuiltImage;
use crate::image::layers::{
    Base, BaseImage, Packing, Platform, derive_config, empty_config, find_base, write_layer,
};
use crate::image::registry::Registries;
use crate::project::Layers;

/// Where Envoy is in the image; so it is in the images that the Envoy project publishes.
const ENVOY: &str = "usr/local/bin/envoy";

/// The image that Envoy is taken from where nobody names one. A release of `dev` names it by digest.
pub const DEFAULT_ENVOY_IMAGE: &str = "docker.io/envoyproxy/envoy:distroless-v1.40.0";

/// Where Envoy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvoySource {
    /// A program of this machine, which brings the libraries that it needs.
    File(PathBuf),
    /// An image with `/usr/local/bin/envoy`: a reference, or the path of an archive that begins with `/` or `.`.
    Image(String),
}

/// The image of router and control and its tag.
#[derive(Clone, Debug)]
pub struct RouterImage {
    /// `<version>-<12 hex>`
    pub tag: String,
    envoy: Envoy,
    programs: Programs,
    platform: Platform,
}

#[derive(Clone, Debug)]
enum Envoy {
    Programs(Programs),
    Image(String),
}

/// Finds the files of the image of router and control for a cluster of this architecture.
///
/// # Errors
/// This program does not run there; Envoy is no program; or this program needs libraries that would be mixed with those
/// of Envoy's image.
pub fn router_image(architecture: &str, envoy: &EnvoySource) -> Result<RouterImage> {
    let (program, platform) = own_program(architecture)?;
    let mut programs = Programs::default();
    programs.add(PROGRAM, &program)?;
    let (envoy, of_envoy) = match envoy {
        EnvoySource::File(path) => {
            check_file(path)?;
            let mut envoy = Programs::default();
            envoy.add(ENVOY, path)?;
            let hash = envoy.hash()?;
            (Envoy::Programs(envoy), hash)
        }
        EnvoySource::Image(reference) => {
            if programs.is_dynamic() {
                return Err(mixed(reference));
            }
            (Envoy::Image(reference.clone()), reference.clone())
        }
    };
    Ok(RouterImage {
        tag: tag(&[&programs.hash()?, &of_envoy]),
        envoy,
        programs,
        platform,
    })
}

impl RouterImage {
    /// Makes the image. A registry is asked only for an Envoy image that is named by reference.
    pub async fn build(&self, packing: Packing, registries: &Registries) -> Result<BuiltImage> {
        let (base, programs, spec) = match &self.envoy {
            Envoy::Programs(envoy) => {
                let layer = write_layer(&envoy.tree(), packing)?;
                let config = empty_config(&self.platform);
                let config = derive_config(config, &Layers::default(), Some(&layer))?;
                let below = BuiltImage::new(config, vec![layer.blob])?;
                let base = BaseImage {
                    config: below.config_value("Envoy's layer")?,
                    layers: below.layers,
                };
                // One path for both programs: their libraries are the same machine's.
                let mut spec = run_as(&self.programs);
                for (name, value) in envoy.env() {
                    let both = spec.env.get(&name).map_or(value.clone(), |own| {
                        let more = value
                            .split(':')
                            .filter(|dir| !own.split(':').any(|has| has == *dir));
                        more.fold(own.clone(), |all, dir| format!("{all}:{dir}"))
                    });
                    spec.env.insert(name, both);
                }
                (base, self.programs.without(envoy), spec)
            }
            Envoy::Image(reference) => {
                let base = find_base(&Base::parse(reference), &self.platform, registries).await?;
                (base, self.programs.clone(), run_as(&self.programs))
            }
        };
        let layer = write_layer(&programs.tree(), packing)?;
        let config = derive_config(base.config, &spec, Some(&layer))?;
        let mut layers = base.layers;
        layers.push(layer.blob);
        BuiltImage::new(config, layers)
    }
}

fn check_file(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => Err(Error::usage(format!("{} is no file", path.display()))),
        Err(cause) => Err(Error::io("read", path, &cause).hint(
            "name Envoy's program with --envoy, or an image that holds it with --envoy-image",
        )),
    }
}

fn mixed(reference: &str) -> Error {
    Error::failed(format!(
        "this `dev` needs shared libraries, which cannot be put beside those of {reference}"
    ))
    .reason("DynamicProgram")
    .hint(
        "use a release of `dev`, or build it statically: RUSTFLAGS='-C target-feature=+crt-static'",
    )
    .hint("or name Envoy's program on this machine: --envoy FILE")
}

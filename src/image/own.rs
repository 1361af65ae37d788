//! The images of `dev`'s own roles in a cluster: this very program on an empty base, or beside Envoy.

mod elf;
mod programs;
mod router;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::blob::BuiltImage;
use super::layers::{Packing, Platform, derive_config, empty_config, write_layer};
use crate::error::{Error, Result};
use crate::project::Layers;

use programs::Programs;
pub use router::{DEFAULT_ENVOY_IMAGE, EnvoySource, RouterImage, router_image};

/// Where the program is in the image.
const PROGRAM: &str = "usr/local/bin/dev";
/// The user it runs as: no user of any base image.
const USER: &str = "65532:65532";

/// Published images by version, with their digests: for laptops whose own program does not run in a cluster.
const PUBLISHED: &[(&str, &str)] = &[];

/// The image of this program and its tag.
#[derive(Clone, Debug)]
pub struct OwnImage {
    /// `<version>-<12 hex>`
    pub tag: String,
    programs: Programs,
    platform: Platform,
}

/// Finds the files of the image of this program for a cluster of this architecture (`amd64`, `arm64`).
///
/// # Errors
/// This program does not run there, and no published image does.
pub fn own_image(architecture: &str) -> Result<OwnImage> {
    let (program, platform) = own_program(architecture)?;
    let mut programs = Programs::default();
    programs.add(PROGRAM, &program)?;
    Ok(OwnImage {
        tag: tag(&[&programs.hash()?]),
        programs,
        platform,
    })
}

/// The running program, where a node of this architecture can run it.
fn own_program(architecture: &str) -> Result<(PathBuf, Platform)> {
    let host = Platform::host();
    if !cfg!(target_os = "linux") || host.architecture != architecture {
        return Err(elsewhere(architecture, &host));
    }
    let program = std::env::current_exe()
        .map_err(|cause| Error::failed("cannot find the running program").caused_by(&cause))?;
    Ok((program, host))
}

/// `<version>-<12 hex>`, from what the image is made of.
fn tag(parts: &[&str]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("{version}-{}", &programs::digest(parts)[..12])
}

/// How the image is started.
fn run_as(programs: &Programs) -> Layers {
    let mut env = programs.env();
    env.insert("HOME".to_owned(), "/tmp".to_owned());
    Layers {
        entrypoint: Some(vec![format!("/{PROGRAM}")]),
        user: Some(USER.to_owned()),
        env,
        ..Layers::default()
    }
}

/// The image that was published for this version, if one was: its full reference with a digest.
pub fn published_image() -> Option<&'static str> {
    PUBLISHED
        .iter()
        .find(|(version, _)| *version == env!("CARGO_PKG_VERSION"))
        .map(|(_, reference)| *reference)
}

impl OwnImage {
    /// Makes the image.
    pub fn build(&self, packing: Packing) -> Result<BuiltImage> {
        let layer = write_layer(&self.programs.tree(), packing)?;
        let spec = run_as(&self.programs);
        let config = derive_config(empty_config(&self.platform), &spec, Some(&layer))?;
        BuiltImage::new(config, vec![layer.blob])
    }

    /// The files in it, relative to its root.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.programs.tree().nodes.into_keys()
    }
}

fn elsewhere(architecture: &str, host: &Platform) -> Error {
    let what = if cfg!(target_os = "linux") {
        format!("this `dev` is for {host} and the cluster is linux/{architecture}")
    } else {
        format!(
            "this `dev` is a program for {}, which no cluster runs",
            std::env::consts::OS
        )
    };
    let error = Error::failed(what).reason("OwnImageMissing");
    match published_image() {
        Some(reference) => error.hint(format!("use the published image: {reference}")),
        None => error
            .cause(format!("no image of version {} is published", env!("CARGO_PKG_VERSION")))
            .hint(format!(
                "build `dev` on linux/{architecture}, run `dev image push` there, and name the result here"
            )),
    }
}

/// A path relative to the image's root.
fn inside(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_path_buf()
}

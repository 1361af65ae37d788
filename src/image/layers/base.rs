//! What is below the files: nothing, an archive, or an image of a registry.

use std::path::Path;

use oci_client::Reference;
use oci_client::manifest::{ImageIndexEntry, OciManifest};
use serde_json::Value;

use super::{Base, Platform, empty_config};
use crate::error::{Error, Result};
use crate::image::archive::read_archive;
use crate::image::blob::{Blob, Descriptor, Source, media};
use crate::image::reference::parse_reference;
use crate::image::registry::Registries;

/// A base image.
#[derive(Clone, Debug)]
pub struct BaseImage {
    /// Its configuration.
    pub config: Value,
    /// Its layers, lowest first; those of a registry are not fetched.
    pub layers: Vec<Blob>,
}

/// Finds the base image for a platform.
pub async fn find_base(
    base: &Base<'_>,
    platform: &Platform,
    registries: &Registries,
) -> Result<BaseImage> {
    match base {
        Base::Scratch => Ok(BaseImage {
            config: empty_config(platform),
            layers: Vec::new(),
        }),
        Base::Archive(path) => from_archive(path, platform),
        Base::Reference(reference) => from_registry(reference, platform, registries).await,
    }
}

fn from_archive(path: &Path, platform: &Platform) -> Result<BaseImage> {
    let image = read_archive(path, platform)?;
    let what = path.display().to_string();
    let config = image.config_value(&what)?;
    check_platform(&config, platform, &what)?;
    Ok(BaseImage {
        config,
        layers: image.layers,
    })
}

async fn from_registry(
    text: &str,
    platform: &Platform,
    registries: &Registries,
) -> Result<BaseImage> {
    let reference = parse_reference(text)?;
    let manifest = match registries.manifest(&reference).await? {
        OciManifest::Image(manifest) => manifest,
        OciManifest::ImageIndex(index) => {
            let digest = choose(&index.manifests, platform).ok_or_else(|| {
                let found = index
                    .manifests
                    .iter()
                    .filter_map(|entry| entry.platform.as_ref());
                let found: Vec<String> = found
                    .map(|found| format!("{}/{}", found.os, found.architecture))
                    .filter(|found| !found.contains("unknown"))
                    .collect();
                Error::failed(format!("base image {text} has no {platform} variant"))
                    .cause(format!("it has {}", found.join(", ")))
            })?;
            match registries
                .manifest(&reference.clone_with_digest(digest))
                .await?
            {
                OciManifest::Image(manifest) => manifest,
                OciManifest::ImageIndex(_) => {
                    return Err(Error::failed(format!(
                        "base image {text}: an index within an index"
                    )));
                }
            }
        }
    };
    let config = registries.blob(&reference, &manifest.config).await?;
    let config: Value = serde_json::from_slice(&config).map_err(|cause| {
        Error::failed(format!("base image {text} has a broken configuration")).caused_by(&cause)
    })?;
    check_platform(&config, platform, text)?;
    let layers = manifest
        .layers
        .iter()
        .map(|layer| base_layer(&reference, layer))
        .collect::<Result<_>>()?;
    Ok(BaseImage { config, layers })
}

fn base_layer(reference: &Reference, layer: &oci_client::manifest::OciDescriptor) -> Result<Blob> {
    Ok(Blob {
        descriptor: Descriptor {
            media_type: media::oci_layer(&layer.media_type).to_owned(),
            digest: layer.digest.clone(),
            size: u64::try_from(layer.size).map_err(|_| {
                Error::failed(format!("base image {reference}: a layer of negative size"))
            })?,
        },
        source: Source::Registry(Box::new(reference.clone())),
    })
}

/// The entry of an index for a platform. The first one wins: variants (`v8`) are listed best first.
fn choose(entries: &[ImageIndexEntry], platform: &Platform) -> Option<String> {
    entries
        .iter()
        .find(|entry| {
            entry.platform.as_ref().is_some_and(|found| {
                found.os.to_string() == platform.os
                    && found.architecture.to_string() == platform.architecture
            })
        })
        .map(|entry| entry.digest.clone())
}

fn check_platform(config: &Value, platform: &Platform, what: &str) -> Result<()> {
    let field = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
    let found = Platform {
        os: field("os").to_owned(),
        architecture: field("architecture").to_owned(),
    };
    if found == *platform {
        return Ok(());
    }
    Err(Error::failed(format!(
        "base image {what} is for {found}, and {platform} is wanted"
    )))
}

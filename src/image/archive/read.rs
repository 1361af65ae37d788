//! Reading archives that others made.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::index::{Span, TarIndex};
use crate::error::{Error, Result};
use crate::image::blob::{Blob, BuiltImage, Descriptor, Source, digest, hex, media};
use crate::image::layers::Platform;

#[derive(Deserialize)]
struct Index {
    manifests: Vec<IndexEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry {
    #[serde(default)]
    media_type: String,
    digest: String,
    platform: Option<IndexPlatform>,
}

#[derive(Deserialize)]
struct IndexPlatform {
    os: String,
    architecture: String,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    layers: Vec<String>,
}

/// Reads the one image of an archive: OCI layout or `docker save`, also compressed with gzip. Layers stay in the file.
///
/// # Errors
/// The file is no such archive, or holds several images (of a layout with several platforms the wanted one is taken).
pub fn read_archive(path: &Path, platform: &Platform) -> Result<BuiltImage> {
    let tar = TarIndex::open(path)?;
    if tar.span(Path::new("index.json")).is_some() {
        read_layout(&tar, platform)
    } else if tar.span(Path::new("manifest.json")).is_some() {
        read_docker(&tar)
    } else {
        Err(tar.broken("it has neither index.json nor manifest.json"))
    }
}

/// A digest that is equal for archives of equal images, without reading their layers.
pub fn archive_identity(path: &Path) -> Result<String> {
    let tar = TarIndex::open(path)?;
    if tar.span(Path::new("index.json")).is_some() {
        return Ok(digest(&tar.document("index.json")?));
    }
    // The configuration lists the digests of the layers.
    let image = docker_image(&tar)?;
    Ok(digest(&tar.document(&image.config)?))
}

fn read_layout(tar: &TarIndex, platform: &Platform) -> Result<BuiltImage> {
    let mut index: Index = parse(tar, "index.json", &tar.document("index.json")?)?;
    // An index may lie in an index (`docker buildx` writes archives so).
    for _ in 0..3 {
        let entry = choose(tar, &index, platform)?;
        let name = blob_path(&entry.digest);
        let bytes = tar.document(&name)?;
        if entry.media_type == media::INDEX || entry.media_type == media::DOCKER_INDEX {
            index = parse(tar, &name, &bytes)?;
            continue;
        }
        let manifest: Manifest = parse(tar, &name, &bytes)?;
        let config = tar.document(&blob_path(&manifest.config.digest))?;
        let layers = manifest
            .layers
            .iter()
            .map(|layer| layout_layer(tar, layer))
            .collect::<Result<_>>()?;
        return BuiltImage::new(Blob::memory(media::CONFIG, config), layers);
    }
    Err(tar.broken("its indexes lead nowhere"))
}

fn choose<'a>(tar: &TarIndex, index: &'a Index, platform: &Platform) -> Result<&'a IndexEntry> {
    if let [only] = index.manifests.as_slice() {
        return Ok(only);
    }
    let wanted = |entry: &&IndexEntry| {
        entry.platform.as_ref().is_some_and(|found| {
            found.os == platform.os && found.architecture == platform.architecture
        })
    };
    // The same image under several names is one image.
    let mut digests: Vec<&str> = index
        .manifests
        .iter()
        .map(|entry| entry.digest.as_str())
        .collect();
    digests.dedup();
    match index.manifests.iter().find(wanted) {
        Some(entry) => Ok(entry),
        None if digests.len() == 1 => Ok(&index.manifests[0]),
        None => Err(tar.broken(&format!(
            "it holds {} images and none is marked as {platform}",
            digests.len()
        ))),
    }
}

fn layout_layer(tar: &TarIndex, layer: &Descriptor) -> Result<Blob> {
    let name = blob_path(&layer.digest);
    let span = tar
        .span(Path::new(&name))
        .ok_or_else(|| tar.broken(&format!("layer {name} is missing")))?;
    Ok(blob(
        tar,
        span,
        media::oci_layer(&layer.media_type),
        layer.digest.clone(),
    ))
}

fn read_docker(tar: &TarIndex) -> Result<BuiltImage> {
    let image = docker_image(tar)?;
    let config = tar.document(&image.config)?;
    let diff_ids = diff_ids(tar, &image.config, &config)?;
    if diff_ids.len() != image.layers.len() {
        return Err(tar.broken("layers and configuration do not fit together"));
    }
    let layers = image
        .layers
        .iter()
        .zip(&diff_ids)
        .map(|(name, diff_id)| docker_layer(tar, name, diff_id))
        .collect::<Result<_>>()?;
    BuiltImage::new(Blob::memory(media::CONFIG, config), layers)
}

fn docker_image(tar: &TarIndex) -> Result<DockerImage> {
    let images: Vec<DockerImage> = parse(tar, "manifest.json", &tar.document("manifest.json")?)?;
    let count = images.len();
    match <[DockerImage; 1]>::try_from(images) {
        Ok([image]) => Ok(image),
        Err(_) => Err(tar.broken(&format!("it holds {count} images, and one is wanted"))),
    }
}

fn docker_layer(tar: &TarIndex, name: &str, diff_id: &str) -> Result<Blob> {
    let span = tar
        .span(Path::new(name))
        .ok_or_else(|| tar.broken(&format!("layer {name} is missing")))?;
    let failed = |cause: std::io::Error| Error::io("read", &tar.path, &cause);
    let mut magic = Vec::new();
    let reader = tar.reader(span).map_err(failed)?;
    reader.take(4).read_to_end(&mut magic).map_err(failed)?;
    let media_type = if magic.starts_with(&[0x1f, 0x8b]) {
        media::LAYER_GZIP
    } else if magic == [0x28, 0xb5, 0x2f, 0xfd] {
        media::LAYER_ZSTD
    } else {
        // Uncompressed, so its digest is the one that the configuration lists.
        return Ok(blob(tar, span, media::LAYER, diff_id.to_owned()));
    };
    let mut hasher = Sha256::new();
    let mut reader = tar.reader(span).map_err(failed)?;
    let mut buffer = vec![0; 1 << 17];
    loop {
        match reader.read(&mut buffer).map_err(failed)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let digest = format!("sha256:{}", hex(&hasher.finalize()));
    Ok(blob(tar, span, media_type, digest))
}

fn diff_ids(tar: &TarIndex, name: &str, config: &Bytes) -> Result<Vec<String>> {
    let config: Value = parse(tar, name, config)?;
    let ids = config
        .pointer("/rootfs/diff_ids")
        .and_then(Value::as_array)
        .ok_or_else(|| tar.broken(&format!("{name} has no rootfs.diff_ids")))?;
    Ok(ids
        .iter()
        .filter_map(|id| id.as_str().map(str::to_owned))
        .collect())
}

fn blob(tar: &TarIndex, span: Span, media_type: &str, digest: String) -> Blob {
    Blob {
        descriptor: Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size: span.size,
        },
        source: Source::File {
            path: tar.path.clone(),
            offset: span.offset,
            keep: tar.keep.clone(),
        },
    }
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

fn parse<T: for<'de> Deserialize<'de>>(tar: &TarIndex, name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|cause| {
        tar.broken(&format!("{name} is not what it should be"))
            .caused_by(&cause)
    })
}

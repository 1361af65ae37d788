//! Writing archives.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tar::{EntryType, Header};

use crate::error::{Error, Result};
use crate::image::blob::{Blob, BuiltImage, Descriptor, Source, media, to_json};
use crate::image::gzip::Gzip;
use crate::image::layers::Hashing;

/// Writes an image under a reference to a tar file. Equal images make equal bytes.
///
/// # Errors
/// The file cannot be written, or a blob was not fetched (see [`crate::image::Registries::localize`]).
pub fn write_archive(image: &BuiltImage, reference: &str, path: &Path) -> Result<()> {
    let failed = |cause: std::io::Error| Error::io("write", path, &cause);
    let file = File::create(path).map_err(failed)?;
    let mut tar = tar::Builder::new(BufWriter::with_capacity(1 << 20, file));
    document(
        &mut tar,
        "oci-layout",
        &json!({"imageLayoutVersion": "1.0.0"}),
    )?;
    document(&mut tar, "index.json", &index(image, reference))?;
    document(
        &mut tar,
        "manifest.json",
        &docker_manifest(image, reference),
    )?;
    let mut written = BTreeSet::new();
    let blobs = [&image.manifest, &image.config]
        .into_iter()
        .chain(&image.layers);
    for blob in blobs {
        // Two layers may be the same one.
        if written.insert(blob.descriptor.digest.as_str()) {
            append_blob(&mut tar, blob)?;
        }
    }
    tar.into_inner()
        .and_then(|mut out| out.flush())
        .map_err(failed)
}

fn index(image: &BuiltImage, reference: &str) -> serde_json::Value {
    let Descriptor {
        media_type,
        digest,
        size,
    } = &image.manifest.descriptor;
    let tag = reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    json!({
        "schemaVersion": 2,
        "mediaType": media::INDEX,
        "manifests": [{
            "mediaType": media_type,
            "digest": digest,
            "size": size,
            // The first is the standard's and names the tag; containerd takes the name from the second.
            "annotations": {
                "org.opencontainers.image.ref.name": tag,
                "io.containerd.image.name": reference,
            },
        }],
    })
}

fn docker_manifest(image: &BuiltImage, reference: &str) -> serde_json::Value {
    let name = |blob: &Blob| format!("blobs/sha256/{}", blob.hex());
    let layers: Vec<String> = image.layers.iter().map(name).collect();
    json!([{"Config": name(&image.config), "RepoTags": [reference], "Layers": layers}])
}

fn document(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    value: &serde_json::Value,
) -> Result<()> {
    let bytes = to_json(value)?;
    append(tar, name, bytes.len() as u64, bytes.as_slice())
}

fn append_blob(tar: &mut tar::Builder<impl Write>, blob: &Blob) -> Result<()> {
    let name = format!("blobs/sha256/{}", blob.hex());
    append(tar, &name, blob.descriptor.size, open_blob(blob)?)
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    size: u64,
    content: impl Read,
) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    tar.append_data(&mut header, name, content)
        .map_err(|cause| {
            Error::failed(format!("cannot write {name} to the archive")).caused_by(&cause)
        })
}

/// The bytes of a blob that is on this machine.
pub fn open_blob(blob: &Blob) -> Result<Box<dyn Read + Send>> {
    match &blob.source {
        Source::Memory(bytes) => Ok(Box::new(std::io::Cursor::new(bytes.clone()))),
        Source::File { path, offset, .. } => {
            let failed = |cause: std::io::Error| Error::io("read", path, &cause);
            let mut file = File::open(path).map_err(failed)?;
            file.seek(SeekFrom::Start(*offset)).map_err(failed)?;
            let file = BufReader::with_capacity(1 << 17, file);
            Ok(Box::new(file.take(blob.descriptor.size)))
        }
        Source::Registry(reference) => Err(Error::failed(format!(
            "blob {} of {reference} was not fetched",
            blob.descriptor.digest
        ))),
    }
}

/// The image with every uncompressed layer compressed: archives of engines hold them uncompressed, and registries are
/// better off with less. Equal input makes equal bytes.
pub fn compress_layers(image: BuiltImage) -> Result<BuiltImage> {
    if image
        .layers
        .iter()
        .all(|layer| layer.descriptor.media_type != media::LAYER)
    {
        return Ok(image);
    }
    let layers = image
        .layers
        .into_iter()
        .map(compress_layer)
        .collect::<Result<_>>()?;
    BuiltImage::new(image.config, layers)
}

fn compress_layer(layer: Blob) -> Result<Blob> {
    if layer.descriptor.media_type != media::LAYER {
        return Ok(layer);
    }
    let dir = tempfile::Builder::new()
        .prefix("dev-layer-")
        .tempdir()
        .map_err(|cause| Error::io("create", &std::env::temp_dir(), &cause))?;
    let path = dir.path().join("layer");
    let failed = |cause: std::io::Error| Error::io("write", &path, &cause);
    let file = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(failed)?);
    let mut gzip = Gzip::new(Hashing::new(file));
    std::io::copy(&mut open_blob(&layer)?, &mut gzip).map_err(failed)?;
    let out = gzip.finish().map_err(failed)?;
    let (digest, size) = (out.digest(), out.written);
    out.writer
        .into_inner()
        .map_err(|cause| failed(cause.into_error()))?;
    Ok(Blob {
        descriptor: Descriptor {
            media_type: media::LAYER_GZIP.to_owned(),
            digest,
            size,
        },
        source: Source::File {
            path,
            offset: 0,
            keep: Some(Arc::new(dir)),
        },
    })
}

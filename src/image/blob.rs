//! Images as values: content-addressed blobs wherever they are kept, put together by a manifest.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use oci_client::Reference;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Media types of the OCI image specification (and Docker's of the same meaning), as they are written to manifests.
pub mod media {
    /// An image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An index of manifests.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer, compressed with gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer, compressed with zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's list of manifests.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

    /// The OCI name of a layer's media type; the bytes are the same ones.
    pub fn oci_layer(media_type: &str) -> &str {
        match media_type {
            "application/vnd.docker.image.rootfs.diff.tar" => LAYER,
            "application/vnd.docker.image.rootfs.diff.tar.gzip" => LAYER_GZIP,
            other => other,
        }
    }
}

/// What a blob is called in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// See [`media`].
    pub media_type: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// In bytes.
    pub size: u64,
}

/// Where the bytes of a blob are.
#[derive(Clone, Debug)]
pub enum Source {
    /// In memory: configurations and manifests.
    Memory(Bytes),
    /// A part of a file: a layer made here, or a member of an archive.
    File {
        /// The file.
        path: PathBuf,
        /// Where in it the blob begins.
        offset: u64,
        /// Keeps the file's temporary directory.
        keep: Option<Arc<tempfile::TempDir>>,
    },
    /// Not fetched yet.
    Registry(Box<Reference>),
}

/// A blob and where to get it.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its name.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub source: Source,
}

impl Blob {
    /// A blob of bytes in memory.
    pub fn memory(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            descriptor: Descriptor {
                media_type: media_type.to_owned(),
                digest: digest(&bytes),
                size: bytes.len() as u64,
            },
            source: Source::Memory(bytes),
        }
    }

    /// The digest without `sha256:`.
    pub fn hex(&self) -> &str {
        let digest = self.descriptor.digest.as_str();
        digest.split_once(':').map_or(digest, |(_, hex)| hex)
    }
}

/// An image of one platform, ready to be pushed or written to an archive.
#[derive(Clone, Debug)]
pub struct BuiltImage {
    /// The configuration (`application/vnd.oci.image.config.v1+json`).
    pub config: Blob,
    /// The layers, lowest first.
    pub layers: Vec<Blob>,
    /// The manifest that names both; its digest is the image's.
    pub manifest: Blob,
}

impl BuiltImage {
    /// Puts configuration and layers together.
    pub fn new(config: Blob, layers: Vec<Blob>) -> Result<Self> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Manifest<'a> {
            schema_version: u8,
            media_type: &'a str,
            config: &'a Descriptor,
            layers: Vec<&'a Descriptor>,
        }
        let manifest = to_json(&Manifest {
            schema_version: 2,
            media_type: media::MANIFEST,
            config: &config.descriptor,
            layers: layers.iter().map(|layer| &layer.descriptor).collect(),
        })?;
        Ok(Self {
            manifest: Blob::memory(media::MANIFEST, manifest),
            config,
            layers,
        })
    }

    /// The same image, which keeps a temporary directory as long as it lives: its layers lie in it.
    #[must_use]
    pub fn keeping(mut self, dir: tempfile::TempDir) -> Self {
        let dir = Arc::new(dir);
        for layer in &mut self.layers {
            if let Source::File { keep, .. } = &mut layer.source
                && keep.is_none()
            {
                *keep = Some(Arc::clone(&dir));
            }
        }
        self
    }

    /// `sha256:…` of the manifest.
    pub fn digest(&self) -> &str {
        &self.manifest.descriptor.digest
    }

    /// The configuration as JSON. `what` names the image in errors.
    pub fn config_value(&self, what: &str) -> Result<serde_json::Value> {
        let Source::Memory(bytes) = &self.config.source else {
            return Err(Error::failed(format!(
                "the configuration of {what} was not read"
            )));
        };
        serde_json::from_slice(bytes).map_err(|cause| {
            Error::failed(format!("{what} has a broken configuration")).caused_by(&cause)
        })
    }

    /// The bytes of configuration and layers together.
    pub fn size(&self) -> u64 {
        let layers: u64 = self.layers.iter().map(|layer| layer.descriptor.size).sum();
        self.config.descriptor.size + layers
    }
}

/// `sha256:` and the hexadecimal SHA-256 of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    bytes
        .iter()
        .flat_map(|byte| {
            [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]
        })
        .collect()
}

pub(super) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|cause| Error::failed("cannot write JSON").caused_by(&cause))
}

//! Pushing: what the registry has is not sent, what a neighbour repository has is mounted.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::HeaderValue;
use oci_client::client::Client;
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciDescriptor;
use oci_client::{Reference, RegistryOperation};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::Registries;
use crate::error::{Error, Result};
use crate::image::blob::{Blob, BuiltImage, Source};

/// How many blobs are sent at once.
const PARALLEL: usize = 4;
/// How much of a file is read at once.
const CHUNK: usize = 1 << 20;

/// What a push did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Blobs that were sent.
    pub sent: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that the registry took from another repository of its own.
    pub mounted: usize,
    /// Blobs that were there.
    pub present: usize,
}

enum Way {
    Present,
    Mounted,
    Sent,
}

impl Registries {
    /// Pushes an image: layers and configuration four at a time, then the manifest.
    pub async fn push(
        &self,
        image: &BuiltImage,
        reference: &Reference,
        mut state: impl FnMut(&str),
    ) -> Result<Pushed> {
        let (client, auth) = self.access(reference).await?;
        // Later requests would go without a token where this is refused, and hide why.
        if let Err(cause) = client.auth(reference, &auth, RegistryOperation::Push).await {
            return Err(self.explain("push", reference, &cause).await);
        }
        // Owned: futures over references could not be spawned.
        let blobs: Vec<Blob> = image
            .layers
            .iter()
            .chain([&image.config])
            .cloned()
            .collect();
        let (total, size) = (blobs.len(), image.size());
        state(&format!("pushing {}", megabytes(size)));
        let mut pushed = Pushed::default();
        let client = &client;
        let mut sending = futures::stream::iter(blobs)
            .map(|blob| async move {
                let way = self.push_blob(client, reference, &blob).await?;
                Ok::<_, Error>((way, blob.descriptor.size))
            })
            .buffer_unordered(PARALLEL);
        let mut done = 0;
        while let Some((way, bytes)) = sending.try_next().await? {
            match way {
                Way::Present => pushed.present += 1,
                Way::Mounted => pushed.mounted += 1,
                Way::Sent => {
                    pushed.sent += 1;
                    pushed.bytes += bytes;
                }
            }
            done += 1;
            state(&format!(
                "pushing {}: {done} of {total} blobs",
                megabytes(size)
            ));
        }
        drop(sending);
        self.push_manifest(client, reference, &image.manifest)
            .await?;
        Ok(pushed)
    }

    async fn push_manifest(
        &self,
        client: &Client,
        reference: &Reference,
        manifest: &Blob,
    ) -> Result<()> {
        let Source::Memory(bytes) = &manifest.source else {
            return Err(Error::failed(format!("{reference} has no manifest")));
        };
        let media_type = HeaderValue::from_str(&manifest.descriptor.media_type)
            .map_err(|cause| Error::failed("a broken media type").caused_by(&cause))?;
        match client
            .push_manifest_raw(reference, bytes.clone(), media_type)
            .await
        {
            Ok(_) => Ok(()),
            Err(cause) => Err(self.explain("push", reference, &cause).await),
        }
    }

    async fn push_blob(&self, client: &Client, reference: &Reference, blob: &Blob) -> Result<Way> {
        let digest = &blob.descriptor.digest;
        match client.blob_exists(reference, digest).await {
            Ok(true) => return Ok(Way::Present),
            Ok(false) => {}
            Err(cause) => return Err(self.explain("push", reference, &cause).await),
        }
        let sent = match &blob.source {
            Source::Memory(bytes) => {
                let bytes = bytes.clone();
                let stream = futures::stream::once(async { Ok(bytes) });
                self.send(client, reference, blob, stream).await
            }
            Source::File { path, offset, .. } => {
                let failed = |cause: std::io::Error| Error::io("read", path, &cause);
                let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
                file.seek(std::io::SeekFrom::Start(*offset))
                    .await
                    .map_err(failed)?;
                let stream = ReaderStream::with_capacity(file.take(blob.descriptor.size), CHUNK)
                    .map_err(OciDistributionError::from);
                self.send(client, reference, blob, stream).await
            }
            Source::Registry(from) => {
                if from.registry() == reference.registry()
                    && client.mount_blob(reference, from, digest).await.is_ok()
                {
                    return Ok(Way::Mounted);
                }
                self.copy(client, reference, blob, from).await
            }
        };
        sent.map(|()| Way::Sent)
    }

    /// From one registry to the other, without keeping it here.
    async fn copy(
        &self,
        client: &Client,
        reference: &Reference,
        blob: &Blob,
        from: &Reference,
    ) -> Result<()> {
        let (source, _) = self.access(from).await?;
        let layer = OciDescriptor {
            digest: blob.descriptor.digest.clone(),
            ..OciDescriptor::default()
        };
        match source.pull_blob_stream(from, &layer).await {
            Ok(sized) => {
                let stream = sized.stream.map_err(OciDistributionError::from);
                self.send(client, reference, blob, stream).await
            }
            Err(cause) => Err(self.explain("pull", from, &cause).await),
        }
    }

    async fn send(
        &self,
        client: &Client,
        reference: &Reference,
        blob: &Blob,
        stream: impl futures::Stream<Item = Result<Bytes, OciDistributionError>> + Send + 'static,
    ) -> Result<()> {
        let (digest, size) = (&blob.descriptor.digest, blob.descriptor.size);
        match client
            .push_blob_stream(reference, stream, digest, Some(size))
            .await
        {
            Ok(_) => Ok(()),
            Err(cause) => Err(self.explain("push", reference, &cause).await),
        }
    }
}

/// A size for people: `12.3 MB`.
pub fn megabytes(bytes: u64) -> String {
    // Precise to a tenth far beyond any image.
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

//! The client: one for all registries of a command, so that connections and tokens are used again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OciDescriptor, OciManifest};
use oci_client::secrets::RegistryAuth;
use tokio::sync::Mutex;

use super::credentials::{Credentials, DockerConfig};
use super::failure::{is_missing, registry_error};
use crate::error::{Error, Result};
use crate::image::blob::{Blob, BuiltImage, Source};
use crate::image::reference::{Registry, is_loopback};

/// Access to all registries. Clones share connections and tokens.
#[derive(Clone)]
pub struct Registries {
    inner: Arc<Inner>,
}

struct Inner {
    /// The project's registry, which says itself whether it has TLS.
    own: Option<Registry>,
    docker: DockerConfig,
    /// Blobs of base images, by digest.
    cache: PathBuf,
    clients: [OnceLock<Client>; 3],
    /// Asked once for each host: a helper program may prompt.
    credentials: Mutex<HashMap<String, Credentials>>,
}

/// How a host is spoken to.
#[derive(Clone, Copy)]
enum Way {
    Tls,
    Plain,
    /// Without TLS and past every proxy.
    Loopback,
}

impl Registries {
    /// `own` is the project's registry, which says whether it has TLS; of all others those on loopback have none. Fetched
    /// base layers are kept below `cache`.
    pub fn new(own: Option<&Registry>, docker: DockerConfig, cache: PathBuf) -> Self {
        Self {
            inner: Arc::new(Inner {
                own: own.cloned(),
                docker,
                cache,
                clients: [const { OnceLock::new() }; 3],
                credentials: Mutex::default(),
            }),
        }
    }

    /// The digest of an image, or `None` where the registry has no such image.
    ///
    /// # Errors
    /// The registry cannot be reached, or refuses.
    pub async fn exists(&self, reference: &Reference) -> Result<Option<String>> {
        let (client, auth) = self.access(reference).await?;
        match client.fetch_manifest_digest(reference, &auth).await {
            Ok(digest) => Ok(Some(digest)),
            Err(cause) if is_missing(&cause) => Ok(None),
            Err(cause) => Err(self.explain("ask for", reference, &cause).await),
        }
    }

    /// The manifest or index of a reference.
    pub async fn manifest(&self, reference: &Reference) -> Result<OciManifest> {
        let (client, auth) = self.access(reference).await?;
        match client.pull_manifest(reference, &auth).await {
            Ok((manifest, _)) => Ok(manifest),
            Err(cause) if is_missing(&cause) => Err(Error::failed(format!(
                "{} has no image {reference}",
                reference.registry()
            ))
            .reason("ImageMissing")
            .hint("check its name and tag")),
            Err(cause) => Err(self.explain("pull", reference, &cause).await),
        }
    }

    /// A small blob of an image, verified.
    pub async fn blob(&self, reference: &Reference, blob: &OciDescriptor) -> Result<Bytes> {
        let (client, _) = self.access(reference).await?;
        let mut bytes = Vec::new();
        match client.pull_blob(reference, blob, &mut bytes).await {
            Ok(()) => Ok(bytes.into()),
            Err(cause) => Err(self.explain("pull", reference, &cause).await),
        }
    }

    /// The image with every blob on this machine: those of registries are fetched into the cache, four at a time.
    pub async fn localize(
        &self,
        image: BuiltImage,
        mut state: impl FnMut(&str),
    ) -> Result<BuiltImage> {
        use futures::{StreamExt, TryStreamExt};
        let remote = image
            .layers
            .iter()
            .filter(|layer| matches!(layer.source, Source::Registry(_)))
            .count();
        if remote > 0 {
            state(&format!("fetching {remote} layers of the base image"));
        }
        let layers = futures::stream::iter(image.layers.into_iter().map(|layer| self.fetch(layer)))
            .buffered(4)
            .try_collect()
            .await?;
        BuiltImage::new(image.config, layers)
    }

    async fn fetch(&self, mut blob: Blob) -> Result<Blob> {
        let Source::Registry(reference) = &blob.source else {
            return Ok(blob);
        };
        let dir = self.inner.cache.join("blobs");
        let path = dir.join(blob.descriptor.digest.replacen(':', "-", 1));
        let there = std::fs::metadata(&path).is_ok_and(|meta| meta.len() == blob.descriptor.size);
        if !there {
            crate::local::create_dir(&dir)?;
            let failed = |cause: std::io::Error| Error::io("write", &path, &cause);
            let file = tempfile::NamedTempFile::new_in(&dir).map_err(failed)?;
            let out = tokio::fs::File::from_std(file.reopen().map_err(failed)?);
            let layer = OciDescriptor {
                digest: blob.descriptor.digest.clone(),
                ..OciDescriptor::default()
            };
            let (client, _) = self.access(reference).await?;
            if let Err(cause) = client.pull_blob(reference, &layer, out).await {
                return Err(self.explain("pull", reference, &cause).await);
            }
            file.persist(&path).map_err(|cause| failed(cause.error))?;
        }
        blob.source = Source::File {
            path,
            offset: 0,
            keep: None,
        };
        Ok(blob)
    }

    /// The client for a reference's host, which knows the credentials by then.
    pub(super) async fn access(&self, reference: &Reference) -> Result<(Client, RegistryAuth)> {
        let client = self.client(reference.resolve_registry())?;
        let auth = self.credentials(reference).await?.auth;
        client
            .store_auth_if_needed(reference.resolve_registry(), &auth)
            .await;
        Ok((client, auth))
    }

    /// The credentials for a reference's host.
    pub(super) async fn credentials(&self, reference: &Reference) -> Result<Credentials> {
        let host = reference.registry();
        let mut known = self.inner.credentials.lock().await;
        if let Some(found) = known.get(host) {
            return Ok(found.clone());
        }
        let found = self.inner.docker.find(host, reference.repository()).await?;
        known.insert(host.to_owned(), found.clone());
        Ok(found)
    }

    /// The error for a person, which says as whom the registry was asked.
    pub(super) async fn explain(
        &self,
        verb: &str,
        reference: &Reference,
        cause: &OciDistributionError,
    ) -> Error {
        let host = reference.registry().to_owned();
        let known = self.inner.credentials.lock().await;
        let origin = known.get(&host).map(|found| found.origin.clone());
        registry_error(verb, reference, cause, origin.as_deref())
    }

    fn client(&self, host: &str) -> Result<Client> {
        let own = self.inner.own.as_ref().filter(|own| own.host() == host);
        let plain = own.map_or_else(|| is_loopback(host), Registry::plain_http);
        let way = match (plain, is_loopback(host)) {
            (true, true) => Way::Loopback,
            (true, false) => Way::Plain,
            (false, _) => Way::Tls,
        };
        let slot = &self.inner.clients[way as usize];
        if let Some(client) = slot.get() {
            return Ok(client.clone());
        }
        let client = Client::try_from(config(way))
            .map_err(|cause| Error::failed("cannot set up HTTP").caused_by(&cause))?;
        Ok(slot.get_or_init(|| client).clone())
    }
}

fn config(way: Way) -> ClientConfig {
    let config = ClientConfig {
        protocol: match way {
            Way::Tls => ClientProtocol::Https,
            Way::Plain | Way::Loopback => ClientProtocol::Http,
        },
        // Some registries (Google's) take no chunks.
        use_monolithic_push: true,
        connect_timeout: Some(Duration::from_secs(10)),
        read_timeout: Some(Duration::from_secs(120)),
        user_agent: concat!("dev/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    };
    match way {
        Way::Tls | Way::Plain => config,
        // A proxy of HTTP_PROXY could not reach this machine's loopback. Naming one turns the environment's off, and
        // `*` keeps every request from it.
        Way::Loopback => ClientConfig {
            http_proxy: Some("http://127.0.0.1:9".to_owned()),
            no_proxy: Some("*".to_owned()),
            ..config
        },
    }
}

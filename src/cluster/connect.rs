//! The connection to one cluster.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use kube::client::ClientBuilder;
use sha2::{Digest, Sha256};
use tower::ServiceBuilder;
use tower::buffer::BufferLayer;
use tower::filter::AsyncFilterLayer;
use tower::retry::RetryLayer;

use crate::cluster::kinds::Discovered;
use crate::cluster::login::{self, Bearer};
use crate::cluster::retry::RetryPolicy;
use crate::cluster::{address, errors, kubeconfig};
use crate::error::{Error, Result};

/// How long a connection may take to be made. With the retries of a connection that was refused, an unreachable cluster is told
/// within 10 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a person may take to log in.
const LOGIN_LIMIT: Duration = Duration::from_secs(300);

/// Requests in flight that one handle queues.
const QUEUE: usize = 1024;

/// Which cluster to talk to.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// A context of the kubeconfig; `None`: the current one.
    pub context: Option<String>,
    /// The kubeconfig; `None`: `$KUBECONFIG`, `~/.kube/config`, then the service account of the pod this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// In whose name requests are made; `None`: whoever the kubeconfig says.
    pub impersonate: Option<String>,
    /// How long reading it may take, and a credential plug-in; `None`: five minutes.
    pub limit: Option<Duration>,
}

/// A cluster that requests can be sent to. Clones share connections.
#[derive(Clone)]
pub struct Cluster {
    /// The client, for what this module does not wrap.
    pub client: Client,
    /// The name of the context; `in-cluster` inside a pod.
    pub context: String,
    /// The address of the API server, without a user and a password.
    pub server: String,
    /// The address of the proxy in front of it, in the same form.
    pub(super) proxy: Option<String>,
    /// The namespace of the context.
    pub default_namespace: String,
    /// SHA-256 (hexadecimal) of the certificate authority that the connection is checked against, where the kubeconfig names one.
    pub(super) authority: Option<String>,
    /// Kinds that were looked up in this process.
    pub(super) discovered: Arc<Mutex<Discovered>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("context", &self.context)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Reads the kubeconfig and prepares the connection; credential plug-ins run here. No request is sent: an unreachable cluster
    /// shows at the first one.
    ///
    /// # Errors
    /// `Usage` for a kubeconfig that is missing or broken and for an unknown context; `Cluster` for credentials that cannot be had.
    pub async fn connect(options: &ConnectOptions) -> Result<Self> {
        let variable = std::env::var_os("KUBECONFIG");
        let paths = kubeconfig::paths(options.kubeconfig.as_deref(), variable.as_deref());
        let context = options.context.clone();
        let anywhere = context.is_none() && options.kubeconfig.is_none();
        let limit = options.limit.unwrap_or(LOGIN_LIMIT);
        // A kubeconfig may be a pipe, so may the files that it names.
        let loaded = in_time(limit, move || match kubeconfig::read(&paths)? {
            Some(found) => kubeconfig::load(found, context.as_deref(), &paths),
            None if anywhere => match kube::Config::incluster() {
                Ok(config) => Ok(kubeconfig::Loaded {
                    config,
                    context: "in-cluster".to_owned(),
                }),
                Err(_) => Err(kubeconfig::missing(&paths)),
            },
            None => Err(kubeconfig::missing(&paths)),
        })
        .await?;
        let mut config = loaded.config;
        if let Some(user) = &options.impersonate {
            config.auth_info.impersonate = Some(user.clone());
        }
        Self::log_in(config, loaded.context, limit).await
    }

    /// A connection with this configuration; `context` is how people call the cluster.
    ///
    /// # Errors
    /// As for [`Cluster::connect`].
    pub async fn from_config(config: kube::Config, context: String) -> Result<Self> {
        Self::log_in(config, context, LOGIN_LIMIT).await
    }

    async fn log_in(mut config: kube::Config, context: String, limit: Duration) -> Result<Self> {
        let bearer = login::log_in(&mut config, &context, limit).await?;
        in_time(limit, move || Self::with_login(config, context, bearer)).await
    }

    fn with_login(
        mut config: kube::Config,
        context: String,
        bearer: Option<Bearer>,
    ) -> Result<Self> {
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // The crate's own retries last for minutes and leave lost connections out.
        config.default_retry = false;
        // So that audit logs tell these requests from kubectl's.
        config.headers.push((
            http::header::USER_AGENT,
            http::HeaderValue::from_static(concat!("dev/", env!("CARGO_PKG_VERSION"))),
        ));
        let server = config.cluster_url.to_string();
        let proxy = config.proxy_url.as_ref();
        let proxy = proxy.map(|proxy| address::without_user(proxy).to_string());
        let default_namespace = config.default_namespace.clone();
        let authority = (!config.accept_invalid_certs)
            .then(|| config.root_cert.as_deref().map(fingerprint))
            .flatten();
        let builder = ClientBuilder::try_from(config)
            .map_err(|cause| errors::credentials(&context, &cause))?;
        let layer = ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::default()))
            .option_layer(bearer.map(AsyncFilterLayer::new))
            .layer(BufferLayer::new(QUEUE))
            .into_inner();
        let client = builder.with_layer(&layer).build();
        Ok(Self {
            client,
            context,
            server,
            proxy,
            default_namespace,
            authority,
            discovered: Arc::default(),
        })
    }

    /// A handle around a client that was made elsewhere, such as a fake API server in tests.
    pub fn from_client(client: Client, context: &str) -> Self {
        Self {
            default_namespace: client.default_namespace().to_owned(),
            client,
            context: context.to_owned(),
            server: "http://fake".to_owned(),
            proxy: None,
            authority: None,
            discovered: Arc::default(),
        }
    }

    /// What went wrong with a request, for people. `attempt` completes "cannot …": `list Pods in shop-a`.
    pub fn explain(&self, attempt: impl fmt::Display, cause: &kube::Error) -> Error {
        let route = errors::Route {
            server: &self.server,
            proxy: self.proxy.as_deref(),
        };
        errors::explain(route, attempt, cause)
    }
}

/// Does blocking work, and gives it up after a while.
async fn in_time<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::time::timeout(limit, tokio::task::spawn_blocking(work)).await {
        Ok(done) => done.map_err(|cause| {
            Error::failed("reading the kubeconfig was cut short").caused_by(&cause)
        })?,
        Err(_) => Err(Error::usage(format!(
            "the kubeconfig and the files that it names could not be read within {}",
            humantime::format_duration(limit)
        ))
        .reason("UnreadableKubeconfig")
        .hint("is one of them a pipe that nobody writes to?")),
    }
}

fn fingerprint(certificates: &[Vec<u8>]) -> String {
    let mut hasher = Sha256::new();
    for certificate in certificates {
        hasher.update(certificate);
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

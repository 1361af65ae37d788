//! `dev url`

use clap::Args;
use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use tokio::net::TcpListener;

use super::Context;
use crate::cluster::base::ROUTER;
use crate::cluster::forward::{self, Event};
use crate::cluster::pods::{PodSet, service_object};
use crate::cluster::url::Entry;
use crate::cluster::{Cluster, exposed, url};
use crate::environment::exactly;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// Show where a service is reached
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev url                        every service
  dev url web                    one address, alone on stdout: curl $(dev url web)
  dev url web --forward          make it reachable on this machine, until Ctrl-C
  dev url web --forward 8080     on this port
  dev url redis --forward 6379 --port redis

An overlay is reached by the entry of its base (dev router install --edge-service): its URL is told
for the service that requests from outside go to, and --forward of that service leads to the
routers, so that the environment's versions answer.")]
pub struct Url {
    /// The service [default: all]
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Forward a local port to the service, until Ctrl-C; 0 takes a free one
    #[arg(long, value_name = "LOCAL", num_args = 0..=1, default_missing_value = "0", requires = "service")]
    pub forward: Option<u16>,
    /// The service's port, by name or number [default: one that speaks HTTP, else the first]
    #[arg(long, value_name = "PORT", requires = "forward")]
    pub port: Option<String>,
}

#[derive(Serialize)]
struct Reached {
    service: String,
    urls: Vec<url::Url>,
}

impl Url {
    /// Prints the addresses, or forwards.
    pub async fn run(self, context: &Context) -> Result<()> {
        let settings = context.settings()?;
        let known = &settings.project.project.services;
        let asked: Vec<String> = self.service.iter().cloned().collect();
        exactly(known, &asked)?;
        if let (Some(service), Some(local)) = (&self.service, self.forward) {
            let cluster = context.connect().await?;
            let entry = match &self.port {
                None => entry(&settings, &cluster, context).await,
                // A port of the service itself.
                Some(_) => None,
            };
            if let Some(entry) = entry.filter(|entry| entry.service == *service) {
                return forward_to_routers(context, &cluster, &entry, local).await;
            }
            return forward(
                context,
                &cluster,
                &settings,
                service,
                local,
                self.port.as_deref(),
            )
            .await;
        }
        let cluster = context.connect().await?;
        let namespace = &settings.namespace.value;
        let (exposed, entry) = futures::join!(
            exposed::read(&cluster.client, namespace),
            entry(&settings, &cluster, context)
        );
        let exposed = exposed?;
        let services = if asked.is_empty() {
            known.keys().cloned().collect()
        } else {
            asked
        };
        let reached: Vec<Reached> = services
            .into_iter()
            .map(|service| {
                let by_entry = match &entry {
                    Some(entry) if entry.service == service => entry.urls(),
                    Some(_) | None => Vec::new(),
                };
                let (inside, mut urls): (Vec<_>, Vec<_>) =
                    by_entry.into_iter().partition(|url| url.inside);
                urls.extend(exposed.urls(&service, &settings.env.value));
                urls.extend(inside);
                Reached { urls, service }
            })
            .filter(|reached| !reached.urls.is_empty() || self.service.is_some())
            .collect();
        let Some(service) = &self.service else {
            return context.ui.data(&reached, |reached| {
                let rows: Vec<Vec<String>> = reached
                    .iter()
                    .flat_map(|one| one.urls.iter().map(move |url| (one, url)))
                    .map(|(one, url)| {
                        vec![one.service.clone(), url.url.clone(), url.via.to_string()]
                    })
                    .collect();
                crate::ui::table(&["SERVICE", "URL", "VIA"], &rows)
            });
        };
        let Some(first) = reached.first().and_then(|one| one.urls.first()) else {
            return Err(Error::failed(format!(
                "{service} has no Service in namespace {namespace}"
            ))
            .reason("NoService")
            .hint("`dev status` shows what runs"));
        };
        context.ui.data(&reached, |_| first.url.clone())?;
        if first.inside {
            context.ui.note(format!(
                "this address works inside the cluster only; from here: dev url {service} --forward"
            ));
        }
        if let url::Via::Routers {
            address: Some(address),
            ..
        } = &first.via
            && !first.inside
        {
            context.ui.note(format!(
                "its name must lead to {address}: {}",
                by_curl(&first.url, address)
            ));
        }
        Ok(())
    }
}

/// How to reach a URL whose name leads elsewhere.
fn by_curl(url: &str, address: &str) -> String {
    let authority = url.split("://").nth(1).unwrap_or(url);
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    format!("curl --connect-to {host}:{port}:{address} {url}")
}

/// The entry of the base, where the environment is one of its overlays. What may not be seen of the base is as if it were not there.
async fn entry(settings: &Settings, cluster: &Cluster, context: &Context) -> Option<Entry> {
    let base = settings.base.as_ref()?;
    match cluster.read_base(&base.value).await {
        Ok(base) => exposed::entry(&cluster.client, &base, &settings.namespace.value).await,
        Err(error) => {
            context
                .ui
                .detail(format!("the entry of the base is not known: {error}"));
            None
        }
    }
}

/// Leads a local port to the routers of the base.
async fn forward_to_routers(
    context: &Context,
    cluster: &Cluster,
    entry: &Entry,
    local: u16,
) -> Result<()> {
    let listener = forward::listen((local != 0).then_some(local)).await?;
    let port = listener
        .local_addr()
        .map_err(|cause| Error::failed("cannot tell the local port").caused_by(&cause))?
        .port();
    let url = format!("http://{}:{port}", entry.host);
    context.ui.print(&url)?;
    context.ui.note(format!(
        "forwards to the routers of {} until Ctrl-C",
        entry.base
    ));
    if !entry.host.ends_with(".localhost") {
        let here = format!("127.0.0.1:{port}");
        context.ui.note(format!(
            "its name must lead to this machine: {}",
            by_curl(&url, &here)
        ));
    }
    let set = PodSet {
        service: format!("the routers of {}", entry.base),
        namespace: entry.base.clone(),
        selector: format!("app.kubernetes.io/name={ROUTER}"),
    };
    let to = ServicePort {
        name: Some("edge".to_owned()),
        port: 80,
        target_port: Some(IntOrString::String("edge".to_owned())),
        ..ServicePort::default()
    };
    serve(context, cluster, set, to, listener).await
}

async fn forward(
    context: &Context,
    cluster: &Cluster,
    settings: &Settings,
    service: &str,
    local: u16,
    port: Option<&str>,
) -> Result<()> {
    let (namespace, env) = (&settings.namespace.value, &settings.env.value);
    let object = service_object(&cluster.client, namespace, service, env).await?;
    let port = forward::port_of(&object, port)?.clone();
    let set = PodSet::find(&cluster.client, namespace, service, env).await?;
    let listener = forward::listen((local != 0).then_some(local)).await?;
    let address = listener
        .local_addr()
        .map_err(|cause| Error::failed("cannot tell the local port").caused_by(&cause))?;
    let scheme = if forward::is_http(&port) {
        "http"
    } else {
        "tcp"
    };
    context.ui.print(format!("{scheme}://{address}"))?;
    context
        .ui
        .note(format!("forwards to {service}:{} until Ctrl-C", port.port));
    serve(context, cluster, set, port, listener).await
}

async fn serve(
    context: &Context,
    cluster: &Cluster,
    set: PodSet,
    port: ServicePort,
    listener: TcpListener,
) -> Result<()> {
    let ui = context.ui.clone();
    forward::serve(
        cluster.client.clone(),
        set,
        port,
        listener,
        move |event| match event {
            Event::Connected { peer, pod } => ui.detail(format!("{peer} → {pod}")),
            Event::Failed { peer, cause } => ui.warn(format!("{peer}: {cause}")),
        },
    )
    .await
}

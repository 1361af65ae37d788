//! `dev url`

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::cluster::forward::{self, Event};
use crate::cluster::pods::{PodSet, service_object};
use crate::cluster::{exposed, url};
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
  dev url redis --forward 6379 --port redis")]
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
            return forward(context, &settings, service, local, self.port.as_deref()).await;
        }
        let cluster = context.connect().await?;
        let namespace = &settings.namespace.value;
        let exposed = exposed::read(&cluster.client, namespace).await?;
        let services = if asked.is_empty() {
            known.keys().cloned().collect()
        } else {
            asked
        };
        let reached: Vec<Reached> = services
            .into_iter()
            .map(|service| Reached {
                urls: exposed.urls(&service, &settings.env.value),
                service,
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
        Ok(())
    }
}

async fn forward(
    context: &Context,
    settings: &Settings,
    service: &str,
    local: u16,
    port: Option<&str>,
) -> Result<()> {
    let cluster = context.connect().await?;
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

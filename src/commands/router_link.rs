//! `dev router-link` (hidden): the link between the cluster and a router's Envoy

use std::path::PathBuf;

use clap::Args;

use super::Context;
use crate::error::{Error, Result};
use crate::router::collector::{Collector, Spans};
use crate::router::run::{LinkOptions, link};
use crate::router::shadow::STATUS_PORT;

/// Where a pod finds its namespace.
const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Keep a router's Envoy in step with the cluster
#[derive(Args, Debug)]
pub struct RouterLink {
    /// Folder for its files, the only one that is written to
    #[arg(long, value_name = "DIR", default_value = "/run/dev")]
    pub state_dir: PathBuf,
    /// Port of the status server
    #[arg(long, value_name = "PORT", default_value_t = STATUS_PORT)]
    pub status_port: u16,
    /// Where requests with an environment are reported to.
    #[command(flatten)]
    pub collector: CollectorArgs,
}

/// A collector of spans.
#[derive(Args, Clone, Debug, Default)]
pub struct CollectorArgs {
    /// Report requests with an environment to this OpenTelemetry collector (gRPC)
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with = "zipkin")]
    pub otlp: Option<String>,
    /// Report requests with an environment to this Zipkin (JSON over HTTP)
    #[arg(long, value_name = "HOST[:PORT]")]
    pub zipkin: Option<String>,
}

impl CollectorArgs {
    /// The collector, where one is named.
    pub fn collector(&self) -> Result<Option<Collector>> {
        let (protocol, text) = match (&self.otlp, &self.zipkin) {
            (Some(text), _) => (Spans::Otlp, text),
            (None, Some(text)) => (Spans::Zipkin, text),
            (None, None) => return Ok(None),
        };
        Collector::parse(protocol, text)
            .map(Some)
            .map_err(|why| Error::usage(format!("{} {why}", protocol.flag())))
    }
}

impl RouterLink {
    /// Runs until it is ended.
    pub async fn run(self, context: &Context) -> Result<()> {
        let options = LinkOptions {
            base: base(context)?,
            pod: pod(),
            state_dir: self.state_dir,
            status_port: self.status_port,
            collector: self.collector.collector()?,
        };
        let ui = context.ui.clone();
        let say = move |line| ui.note(format!("link: {line}"));
        link(options, || context.connect(), say).await
    }
}

/// The base's namespace: `--base`, else that of the pod.
pub(super) fn base(context: &Context) -> Result<String> {
    let given = context.globals.base.clone();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    given
        .or_else(|| variable("DEV_BASE"))
        .or_else(|| variable("POD_NAMESPACE"))
        .or_else(|| Some(std::fs::read_to_string(NAMESPACE).ok()?.trim().to_owned()))
        .filter(|base| !base.is_empty())
        .ok_or_else(|| {
            Error::usage("no base is named")
                .hint("outside of a pod, name the base's namespace with --base")
        })
}

/// The pod's name.
pub(super) fn pod() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    variable("POD_NAME")
        .or_else(|| variable("HOSTNAME"))
        .unwrap_or_else(|| "router".to_owned())
}

//! `dev control`: the process of a base that writes, in the cluster. Hidden: `dev router install` starts it.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use k8s_openapi::jiff::SignedDuration;
use tokio::net::TcpListener;

use super::Context;
use crate::control::decide::Periods;
use crate::control::run::{Options, run};
use crate::control::secrets::account;
use crate::error::{Error, Result};
use crate::router::run::listen;
use crate::settings::duration_flag;

/// The port of the Service `dev-control`.
const STATUS_PORT: u16 = 15091;

/// Put the routers of a base in front of Services that environments override
#[derive(Args, Debug)]
pub struct Control {
    /// Where the status is served [default: port 15091 of all addresses, of both families where there are two]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Port of the routers' status servers
    #[arg(long, value_name = "PORT", default_value_t = 15090)]
    pub router_port: u16,
    /// Name among those that compete for the Lease [default: the pod's, or this process']
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub identity: Option<String>,
    /// How long established connections may go on through the routers after new ones do not
    #[arg(long, value_name = "DURATION", value_parser = duration_flag, default_value = "15m")]
    pub drain: Duration,
    /// How long a Service stays routed that no environment overrides
    #[arg(long, value_name = "DURATION", value_parser = duration_flag, default_value = "24h")]
    pub unused: Duration,
}

impl Control {
    /// Runs until it is stopped.
    pub async fn run(self, context: &Context) -> Result<()> {
        let base = context.globals.base.clone().ok_or_else(|| {
            Error::usage("which base is not known").hint("--base NAMESPACE says it")
        })?;
        let cluster = context.connect().await?;
        let listener = match self.listen {
            Some(address) => TcpListener::bind(address).await,
            None => listen(STATUS_PORT).await,
        };
        let listener = listener.map_err(|cause| {
            let place = self.listen.map_or_else(
                || format!("port {STATUS_PORT}"),
                |address| address.to_string(),
            );
            Error::failed(format!("cannot listen on {place}")).caused_by(&cause)
        })?;
        let host = || std::env::var("HOSTNAME").unwrap_or_else(|_| "local".to_owned());
        let identity = self
            .identity
            .unwrap_or_else(|| format!("{}-{}", host(), std::process::id()));
        let periods = Periods {
            drain: signed(self.drain),
            unused: signed(self.unused),
            ..Periods::default()
        };
        // No request is sent by it: where nothing is shared it is not used.
        let provisioner = match context.connect_as(&account(&base)).await {
            Ok(cluster) => Some(cluster),
            Err(error) => {
                context.ui.warn(format!("Secrets are not given: {error}"));
                None
            }
        };
        let options = Options {
            base,
            provisioner,
            identity,
            router_port: self.router_port,
            periods,
        };
        run(cluster, options, listener, crate::stopped()).await;
        Ok(())
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

//! `dev router-run` (hidden): the first process of a router's pod

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Context;
use super::router_link::{CollectorArgs, base, pod};
use crate::error::{Error, Result};
use crate::router::run::{SuperviseOptions, supervise};
use crate::router::shadow::STATUS_PORT;

/// More threads of Envoy than this bring nothing at the rates of a development cluster, and each costs memory.
const MOST_THREADS: usize = 4;

/// Run Envoy and its link, as the first process of a router's pod
#[derive(Args, Debug)]
pub struct RouterRun {
    /// Folder for its files, the only one that is written to
    #[arg(long, value_name = "DIR", default_value = "/run/dev")]
    pub state_dir: PathBuf,
    /// Envoy's program
    #[arg(long, value_name = "FILE", default_value = "/usr/local/bin/envoy")]
    pub envoy: PathBuf,
    /// How many threads of Envoy serve [default: one for each CPU, up to 4]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<usize>,
    /// The pod's grace period: established connections may go on for nearly so long
    #[arg(
        long,
        value_name = "SECONDS",
        env = "DEV_GRACE_SECONDS",
        default_value_t = 900
    )]
    pub grace: u64,
    /// How long it goes on at least after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub least: u64,
    /// Port of the status server
    #[arg(long, value_name = "PORT", default_value_t = STATUS_PORT)]
    pub status_port: u16,
    /// Where requests with an environment are reported to.
    #[command(flatten)]
    pub collector: CollectorArgs,
}

impl RouterRun {
    /// Runs until it is told to end.
    pub async fn run(self, context: &Context) -> Result<()> {
        let base = base(context)?;
        let own = std::env::current_exe()
            .map_err(|cause| Error::failed("cannot tell this program's path").caused_by(&cause))?;
        let mut link = vec![own.into_os_string()];
        link.extend(["router-link", "--base", &base, "--state-dir"].map(Into::into));
        link.push(self.state_dir.clone().into_os_string());
        link.extend(["--status-port".into(), self.status_port.to_string().into()]);
        if let Some(collector) = self.collector.collector()? {
            link.extend(collector.args().map(Into::into));
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let options = SuperviseOptions {
            base,
            pod: pod(),
            state_dir: self.state_dir,
            envoy: self.envoy,
            concurrency: self.concurrency.unwrap_or(threads.min(MOST_THREADS)).max(1),
            least: Duration::from_secs(self.least),
            grace: Duration::from_secs(self.grace),
            link,
        };
        let ui = context.ui.clone();
        supervise(options, &move |line| ui.note(format!("router: {line}"))).await
    }
}

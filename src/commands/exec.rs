//! `dev exec`

use std::io::IsTerminal;

use clap::Args;

use super::Context;
use crate::cluster::exec::{ExecOptions, exec};
use crate::cluster::pods::PodSet;
use crate::cluster::terminal;
use crate::environment::misspelt;
use crate::error::Result;

/// Run a command in a service's container
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev exec web -- ls /app                  the exit code is that of the command
  dev exec -it details -- python3          with a terminal
  echo 'get x' | dev exec -i redis -- redis-cli
  dev exec web -c sidecar -- env")]
pub struct Exec {
    /// The service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// The container [default: the pod's default one]
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    pub stdin: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl Exec {
    /// Runs the command and returns its exit code.
    pub async fn run(self, context: &Context) -> Result<u8> {
        let settings = context.settings()?;
        let cluster = context.connect().await?;
        let (namespace, env) = (&settings.namespace.value, &settings.env.value);
        let set = PodSet::find(&cluster.client, namespace, &self.service, env)
            .await
            .map_err(|error| misspelt(error, &settings.project.project.services, &self.service))?;
        let tty = self.tty && std::io::stdin().is_terminal();
        if self.tty && !tty {
            context
                .ui
                .warn("standard input is no terminal: -t is left out");
        }
        let options = ExecOptions {
            container: self.container,
            tty,
        };
        let raw = tty.then(terminal::RawMode::enter).transpose()?;
        let streams = terminal::streams(self.stdin || tty, tty);
        let code = exec(&cluster.client, &set, &self.command, &options, streams).await;
        drop(raw);
        // A process killed by a signal is reported as 128 + signal, which fits.
        Ok(u8::try_from(code?).unwrap_or(u8::MAX))
    }
}

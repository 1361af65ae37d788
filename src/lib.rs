//! `dev`: an isolated, real environment for every developer in a shared Kubernetes cluster.
//!
//! The library behind the command-line tool: parse → settings → dispatch → exit code.
//! `docs/architecture.md` says how its parts fit together.

pub mod cli;
pub mod cluster;
pub mod commands;
pub mod control;
pub mod environment;
pub mod error;
pub mod image;
pub mod local;
pub mod manifest;
pub mod plain;
pub mod plan;
pub mod project;
pub mod router;
pub mod settings;
pub mod tunnel;
pub mod ui;

#[cfg(test)]
#[path = "../tests/support/left_out.rs"]
mod left_out;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::Cli;
use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::settings::Basics;
use crate::ui::Ui;

/// How long a command has to end after a signal. What it started has a second each.
const LAST_MOMENT: Duration = Duration::from_secs(10);

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = match Cli::read(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" of clap that go to stdout with code 0.
            let code = if error.use_stderr() {
                Kind::Usage.exit_code()
            } else {
                0
            };
            let _gone = error.print();
            return ExitCode::from(code);
        }
    };
    let variables = |name: &str| std::env::var(name).ok();
    let basics = match Basics::resolve(&cli.globals, &variables) {
        Ok(basics) => basics,
        Err(error) => {
            Ui::new(ui::Level::Quiet, ui::Format::Table, true).error(&error);
            return ExitCode::from(error.kind().exit_code());
        }
    };
    let ui = Ui::new(basics.level, basics.format, basics.no_colour);
    let ui = ui.recalling(cli.globals.recall());
    log_to_stderr(cli.command.takes_signals());
    match start(cli, basics, ui.clone()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            ui.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn start(cli: Cli, basics: Basics, ui: Ui) -> Result<u8> {
    // Exactly one provider, said once: two in the graph make rustls panic.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::failed("cannot start").caused_by(&cause))?;
    let context = Context {
        globals: cli.globals,
        basics,
        ui,
    };
    let when_stopped = cli.command.stopped();
    let (stop_tx, stop_rx) = tokio::sync::oneshot::channel();
    // Not even listened for where the command does it: it would never see the signal then.
    if !cli.command.takes_signals() {
        let ui = context.ui.clone();
        runtime.spawn(async move {
            stopped().await;
            let _ended = stop_tx.send(());
            // The command is being dropped now, which ends what it started. It cannot be while it waits for a file.
            tokio::time::sleep(LAST_MOMENT).await;
            ui.error(&Error::interrupted());
            std::process::exit(i32::from(Kind::Interrupted.exit_code()));
        });
    }
    let result = runtime.block_on(async {
        tokio::select! {
            result = commands::run(cli.command, &context) => result,
            Ok(()) = stop_rx => when_stopped,
        }
    });
    // A blocked thread (a read of the terminal) must not hold the process back.
    runtime.shutdown_background();
    result
}

/// Ends when the process is asked to stop: by Ctrl-C, by SIGTERM, or because its terminal is gone.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) {
            // A handler would undo `nohup`.
            let mut hang_up = (!ignores_hang_up())
                .then(|| signal(SignalKind::hangup()).ok())
                .flatten();
            let hung_up = async {
                match &mut hang_up {
                    Some(hang_up) => hang_up.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hung_up => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // No signal can be received here: never stop on our own account.
        std::future::pending::<()>().await;
    }
}

/// Whether this process was started with SIGHUP ignored. Known on Linux only.
#[cfg(unix)]
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 != 0)
}

/// `DEV_LOG=debug` shows what the libraries do. Processes of the cluster always tell what they change.
fn log_to_stderr(always: bool) {
    let default = always.then(|| "warn,dev=info".to_owned());
    if let Some(filter) = std::env::var("DEV_LOG").ok().or(default) {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
    }
}

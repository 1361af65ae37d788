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
pub mod plan;
pub mod project;
pub mod router;
pub mod settings;
pub mod ui;

#[cfg(test)]
#[path = "../tests/support/left_out.rs"]
mod left_out;

use std::io::IsTerminal;
use std::process::ExitCode;

use crate::cli::Cli;
use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::settings::Basics;
use crate::ui::Ui;

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
    let takes_signals = cli.command.takes_signals();
    let when_stopped = cli.command.stopped();
    let result = runtime.block_on(async {
        tokio::select! {
            result = commands::run(cli.command, &context) => result,
            // Not even listened for: the command would never see the signal then.
            () = stopped(), if !takes_signals => when_stopped,
        }
    });
    // A blocked thread (a read of the terminal) must not hold the process back.
    runtime.shutdown_background();
    result
}

/// Ends when the process is asked to stop.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // No signal can be received here: never stop on our own account.
        std::future::pending::<()>().await;
    }
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

//! `dev`: an isolated, real environment for every developer in a shared Kubernetes cluster.
//!
//! The library behind the command-line tool: `docs/architecture.md` says how its parts fit together.

pub mod cluster;
pub mod error;
pub mod image;
pub mod local;
pub mod manifest;
pub mod plan;
pub mod project;
pub mod ui;

use std::process::ExitCode;

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}

//! `dev down`

use clap::Args;

use super::Context;
use crate::cluster::{guard, remove};
use crate::environment::Scope;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// Remove an environment, exactly what it owns
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev down                      your environment of this application
  dev down -e pr-12             another one
  dev down --keep-namespace     everything but the namespace
  dev down --all-mine           every environment of this application that you made

It removes what the environment's inventory lists and what carries its labels; objects marked `dev/keep: \"true\"`
stay. The namespace goes only if dev made it and nothing else is in it.")]
pub struct Down {
    /// Leave the namespace
    #[arg(long)]
    pub keep_namespace: bool,
    /// Every environment of this application that you made
    #[arg(long)]
    pub all_mine: bool,
}

//! `dev image`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Context;
use crate::error::Result;

/// The image of the in-cluster parts of dev itself
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev image push                      to the registry of dev.yaml
  dev image push --registry localhost:5000
  dev image load                      into a local cluster
  dev image save dev.tar              an archive for `ctr images import`, `docker load`, …

On Linux of the cluster's architecture the image is made from the running program.")]
pub struct Image {
    /// What to do with it.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the image.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Push it to the registry
    Push,
    /// Write it to an archive
    Save {
        /// The archive
        #[arg(value_name = "FILE")]
        path: PathBuf,
        /// Of this architecture [default: that of the running program]
        #[arg(long, value_name = "ARCHITECTURE")]
        arch: Option<String>,
    },
    /// Load it into a local cluster
    Load,
}

impl Image {
    /// Does it.
    pub async fn run(self, _context: &Context) -> Result<()> {
        Ok(())
    }
}

//! `dev man`

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::Context;
use crate::cli::Cli;
use crate::error::{Error, Result};

/// Print or write the manual pages
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev man | man -l -                          read the main page
  dev man --dir ~/.local/share/man/man1       write one page for each command")]
pub struct Man {
    /// Write dev.1, dev-up.1, … into this folder
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

impl Man {
    /// Prints the page of `dev`, or writes all pages.
    pub fn run(self, context: &Context) -> Result<()> {
        let command = Cli::command();
        if let Some(dir) = self.dir {
            std::fs::create_dir_all(&dir).map_err(|cause| Error::io("create", &dir, &cause))?;
            return clap_mangen::generate_to(command, &dir)
                .map_err(|cause| Error::io("write to", &dir, &cause));
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(|cause| Error::failed("cannot make the page").caused_by(&cause))?;
        context.ui.write(&page)
    }
}

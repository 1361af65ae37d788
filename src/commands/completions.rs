//! `dev completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Context;
use crate::cli::Cli;
use crate::error::Result;

/// Print shell completions
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev completions bash > ~/.local/share/bash-completion/completions/dev
  dev completions zsh  > ~/.zfunc/_dev
  dev completions fish > ~/.config/fish/completions/dev.fish")]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

impl Completions {
    /// Prints the completions.
    pub fn run(self, context: &Context) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "dev", &mut script);
        context.ui.write(&script)
    }
}

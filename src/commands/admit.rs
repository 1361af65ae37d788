//! `dev admit`

use clap::Args;

use super::Context;
use crate::error::Result;

/// x
#[derive(Args, Debug)]
pub struct Admit {}

impl Admit {
    /// x
    pub async fn run(self, _context: &Context) -> Result<()> {
        Ok(())
    }
}

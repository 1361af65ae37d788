//! `dev image`

use clap::Args;

use super::Context;
use crate::error::Result;

/// x
#[derive(Args, Debug)]
pub struct Image {}

impl Image {
    /// x
    pub async fn run(self, _context: &Context) -> Result<()> {
        Ok(())
    }
}

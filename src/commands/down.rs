//! `dev down`

use clap::Args;

use super::Context;
use crate::error::Result;

/// x
#[derive(Args, Debug)]
pub struct Down {}

impl Down {
    /// x
    pub async fn run(self, _context: &Context) -> Result<()> {
        Ok(())
    }
}

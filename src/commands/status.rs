//! `dev status`

use clap::Args;

use super::Context;
use crate::error::Result;

/// x
#[derive(Args, Debug)]
pub struct Status {}

impl Status {
    /// x
    pub async fn run(self, _context: &Context) -> Result<()> {
        Ok(())
    }
}

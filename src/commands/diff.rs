//! `dev diff`

use clap::Args;

use super::Context;
use crate::error::Result;

/// x
#[derive(Args, Debug)]
pub struct Diff {}

impl Diff {
    /// x
    pub async fn run(self, _context: &Context) -> Result<u8> {
        Ok(0)
    }
}

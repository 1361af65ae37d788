//! `dev url`

use clap::Args;

use super::Context;
use crate::error::Result;

/// x
#[derive(Args, Debug)]
pub struct Url {}

impl Url {
    /// x
    pub async fn run(self, _context: &Context) -> Result<()> {
        Ok(())
    }
}

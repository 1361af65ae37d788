//! `dev router resume`

use clap::Args;
use serde::Serialize;

use crate::cluster::access::{self, Right};
use crate::cluster::{guard, routers};
use crate::commands::Context;
use crate::error::Result;

/// Route a service again that was left alone after somebody else's write
///
/// When the owner of a routed Service writes to it, dev puts the owner's state back and leaves the Service alone, until told otherwise.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev router status                      says which services are left alone, and why
  dev router resume reviews --base bookshop")]
pub struct Resume {
    /// The Service of the base
    #[arg(value_name = "SERVICE")]
    pub service: String,
}

#[derive(Serialize)]
struct Told<'a> {
    base: &'a str,
    service: &'a str,
    /// Why it was left alone; missing where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Resume {
    /// Takes the mark off.
    pub async fn run(self, context: &Context, base: &str) -> Result<()> {
        let cluster = context.connect().await?;
        guard::ensure_writable(&cluster, &context.ui).await?;
        let right = [Right::core("patch", "services", base)].into();
        let attempt = format!("let {} be routed again", self.service);
        access::require(&cluster, &attempt, &right).await?;
        let reason = routers::resume(&cluster, base, &self.service).await?;
        let told = Told {
            base,
            service: &self.service,
            reason: reason.map(|reason| reason.0),
        };
        context.ui.data(&told, |told| match &told.reason {
            Some(reason) => format!(
                "{} may be routed again; it was left alone because {reason}",
                told.service
            ),
            None => format!("{} was not left alone", told.service),
        })
    }
}

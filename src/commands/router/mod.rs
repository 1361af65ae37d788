//! `dev router`: the routers of a base, made, looked at, removed; and which namespaces are its environments.

mod admit;
mod image;
mod install;
mod resume;
mod status;
mod uninstall;

use clap::{Args, Subcommand};

use super::Context;
use crate::error::{Error, Result};
use crate::project::label::check_label;

pub use admit::{Admit, Revoke};
pub use install::Install;
pub use resume::Resume;
pub use status::Status;
pub use uninstall::Uninstall;

/// The routers of a base, which lead requests to copies (not finished)
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev router install --base bookshop            once for a base, by whoever owns it
  dev router admit bookshop-ann --base bookshop
  dev router status                             the base is that of dev.yaml
  dev router uninstall                          restores every Service, then removes the routers

Requests without an environment's header are answered by the base, with and without routers.
This is being built: do not use it in a base that others use.")]
pub struct Router {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the routers.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make or upgrade the routers of a base
    Install(Box<Install>),
    /// Show routers, environments and how it is with each service
    Status(Status),
    /// Restore every Service, then remove what `install` made
    Uninstall(Uninstall),
    /// Admit a namespace as an environment of the base
    Admit(Admit),
    /// Take the admission of an environment back
    Revoke(Revoke),
    /// Route a service again that was left alone after somebody else's write
    Resume(Resume),
}

impl Router {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<()> {
        let base = base(context)?;
        match self.action {
            Action::Install(install) => install.run(context, &base).await,
            Action::Status(status) => status.run(context, &base).await,
            Action::Uninstall(uninstall) => uninstall.run(context, &base).await,
            Action::Admit(admit) => admit.run(context, &base).await,
            Action::Revoke(revoke) => revoke.run(context, &base).await,
            Action::Resume(resume) => resume.run(context, &base).await,
        }
    }
}

/// The base of flag, variable or project; a missing project is fine here.
fn base(context: &Context) -> Result<String> {
    let variable = || {
        std::env::var("DEV_BASE")
            .ok()
            .filter(|text| !text.is_empty())
    };
    let given = match context.globals.base.clone() {
        Some(base) => Some((base, "--base")),
        None => variable().map(|base| (base, "DEV_BASE")),
    };
    let (base, origin) = match given {
        Some(given) => given,
        None => match context.project()?.and_then(|loaded| loaded.project.base) {
            Some(base) => (base, "`base` of dev.yaml"),
            None => {
                return Err(Error::usage("no base is named").reason("NoBase").hint(
                    "name its namespace: --base NAMESPACE, DEV_BASE, or `base:` of dev.yaml",
                ));
            }
        },
    };
    check_label(&base).map_err(|why| {
        Error::usage(format!("the base \"{base}\" {why}")).hint(format!("it was given by {origin}"))
    })?;
    Ok(base)
}

//! Builds by any command.

use std::path::Path;

use super::layers::Platform;
use super::plan::At;
use crate::error::{Error, Result};
use crate::local::Program;
use crate::project::BuildCommand;

/// What a command made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It wrote an archive to the path it was given.
    Archive,
    /// It wrote none, so it has pushed or loaded the image itself.
    Itself,
}

/// Runs the command in its context, with `DEV_IMAGE` (the reference to make), `DEV_IMAGE_TAR` (where it may write an
/// archive), `DEV_CONTEXT` and `DEV_PLATFORM` (such as `linux/amd64`).
pub async fn run_command(
    at: &At<BuildCommand>,
    reference: &str,
    archive: &Path,
    platform: &Platform,
    mut state: impl FnMut(&str),
) -> Result<Made> {
    state(&at.spec.run);
    Program::shell(&at.spec.run)
        .dir(&at.context)
        .env("DEV_IMAGE", reference)
        .env("DEV_IMAGE_TAR", archive)
        .env("DEV_CONTEXT", &at.context)
        .env("DEV_PLATFORM", platform.to_string())
        .stream(|line| state(line))
        .await?;
    match std::fs::metadata(archive) {
        Ok(_) => Ok(Made::Archive),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Made::Itself),
        Err(cause) => Err(Error::io("read", archive, &cause)),
    }
}

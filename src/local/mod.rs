//! The laptop: git, processes, paths.

mod git;
mod paths;
mod process;

pub use git::*;
pub use paths::*;
pub use process::*;

#[cfg(test)]
pub(crate) use process::tests;

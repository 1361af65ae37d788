//! The built-in builder: a base image and files, without an engine. Equal input makes equal bytes.

mod base;
mod check;
mod collect;
mod config;
mod make;
mod spec;
mod tarball;

pub use base::*;
pub use check::*;
pub use collect::*;
pub use config::*;
pub use make::*;
pub use spec::*;
pub use tarball::*;

#[cfg(test)]
mod tests;

//! `live: true`: from the objects of the base's namespace to manifests of one service. Pure.

mod clean;
mod closure;

pub use clean::{clean, is_generated};
pub use closure::closure;

#[cfg(test)]
mod tests;

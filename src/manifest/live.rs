//! `live: true`: from the objects of the base's namespace to manifests of one service. Pure.

mod clean;
mod closure;
mod repeats;
mod unrouted;

pub use clean::{clean, is_generated};
pub use closure::closure;
pub use repeats::without_repeats;
pub use unrouted::unrouted;

#[cfg(test)]
mod tests;

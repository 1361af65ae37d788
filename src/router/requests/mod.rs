//! Which requests of an environment came through, with what answer. Envoy tells the link of each request with an environment when it has
//! ended, and of no other; the link keeps the newest of them in memory, and tells who asks.
//!
//! What comes after `?` in a path is not kept: it is where people put what nobody else should read.

mod cursor;
mod entry;
mod log;
mod store;

pub use cursor::Cursor;
pub use entry::Request;
pub use log::Log;
pub use store::{Asked, Page, Store};

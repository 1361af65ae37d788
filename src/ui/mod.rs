//! The only writer to the terminal: status, progress, tables, errors, JSON.
//! Data goes to stdout; everything else to stderr.

mod output;
mod progress;
mod table;

pub use output::*;
pub use progress::*;
pub use table::*;

//! The only writer to the terminal: status, progress, tables, errors, JSON.
//! Data goes to stdout; everything else to stderr.

mod closed;
mod output;
mod progress;
mod recall;
mod table;

pub use closed::*;
pub use output::*;
pub use progress::*;
pub use recall::*;
pub use table::*;

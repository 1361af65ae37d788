//! `dev logs`: lines of many containers as one stream, without repeated or lost lines when a connection breaks.

mod line;
mod resume;
mod run;
mod stream;

#[cfg(test)]
mod tests;

pub use line::{Form, Line, render};
pub use run::last_lines;
pub use stream::{LogOptions, read, stream};

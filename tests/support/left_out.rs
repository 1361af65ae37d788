//! Saying what a run of the tests leaves out. Shared by the tests of the library and those of the program.

use std::io::Write;

/// Says what is left out, and why. Not by `eprintln!`: the test harness would keep it to itself.
pub fn left_out(what: &str) {
    let line = format!("left out: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

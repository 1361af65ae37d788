//! Running `helm`, `kustomize` and `kubectl`.

use std::ffi::OsStr;
use std::path::Path;

use crate::error::{Error, Result};
use crate::local::{Program, which};
use crate::plain::one_line;

/// Characters of a line of its messages that an error shows.
const LONGEST_LINE: usize = 1_000;

/// How a program ended that could be started.
pub(super) struct Ended {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs a program in a directory, and ends it when the caller gives up. `None` when it is not installed.
///
/// # Errors
/// The program failed; the last lines that it wrote to stderr are the causes.
pub(super) async fn run<S: AsRef<OsStr>>(
    program: &str,
    args: &[S],
    dir: &Path,
) -> Result<Option<Ended>> {
    if which(program).is_none() {
        return Ok(None);
    }
    let (status, output) = Program::new(program)
        .args(args)
        .dir(dir)
        .run_to_end()
        .await?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if !status.success() {
        let verb = args.first().map_or_else(String::new, |verb| {
            format!(" {}", verb.as_ref().to_string_lossy())
        });
        let mut error = Error::usage(format!("{program}{verb} failed: {status}"));
        let lines: Vec<&str> = stderr
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        for line in &lines[lines.len().saturating_sub(8)..] {
            error = error.cause(one_line(line, LONGEST_LINE));
        }
        return Err(error);
    }
    let stdout = String::from_utf8(output.stdout)
        .map_err(|_| Error::failed(format!("{program} printed something that is no UTF-8 text")))?;
    Ok(Some(Ended { stdout, stderr }))
}

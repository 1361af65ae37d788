//! Running `helm`, `kustomize` and `kubectl`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::error::{Error, Result};

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
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output = match output {
        Ok(output) => output,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => {
            return Err(Error::failed(format!("cannot run {program}")).caused_by(&cause));
        }
    };
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        let verb = args.first().map_or_else(String::new, |verb| {
            format!(" {}", verb.as_ref().to_string_lossy())
        });
        let mut error = Error::usage(format!("{program}{verb} failed: {}", output.status));
        let lines: Vec<&str> = stderr
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        for line in &lines[lines.len().saturating_sub(8)..] {
            error = error.cause((*line).to_owned());
        }
        return Err(error);
    }
    let stdout = String::from_utf8(output.stdout)
        .map_err(|_| Error::failed(format!("{program} printed something that is no UTF-8 text")))?;
    Ok(Some(Ended { stdout, stderr }))
}

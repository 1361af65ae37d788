//! `dev exec`: a command in a container of a ready pod, with its exit code.

use std::pin::Pin;

use futures::SinkExt;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, AttachedProcess, TerminalSize};
use kube::{Api, Client};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::cluster::pods::{self, PodSet};
use crate::error::{Error, Result};

/// Bytes on their way in each direction.
const BUFFER: usize = 64 * 1024;

/// How to run the command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// The container; the pod's default one where none is named.
    pub container: Option<String>,
    /// The command has a terminal of its own.
    pub tty: bool,
}

/// What the command is connected to.
pub struct Streams {
    /// What it reads. `None`: it has no standard input, and nobody's input is taken.
    pub stdin: Option<Pin<Box<dyn AsyncRead + Send>>>,
    /// What it writes; with a terminal, all that it writes.
    pub stdout: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes to standard error.
    pub stderr: Pin<Box<dyn AsyncWrite + Send>>,
    /// Sizes of the terminal (columns, rows), the present one first.
    pub sizes: Option<mpsc::Receiver<(u16, u16)>>,
}

/// Runs a command in a ready pod of the service, and returns its exit code.
pub async fn exec(
    client: &Client,
    set: &PodSet,
    command: &[String],
    options: &ExecOptions,
    streams: Streams,
) -> Result<i32> {
    let found = set.list(client).await?;
    let (pod, container) = choose(set, &found, options.container.as_deref())?;
    let pod_name = pods::name(pod);
    let params = AttachParams {
        container: Some(container.to_owned()),
        stdin: streams.stdin.is_some(),
        stdout: true,
        // A terminal has one stream for both.
        stderr: !options.tty,
        tty: options.tty,
        max_stdin_buf_size: Some(BUFFER),
        max_stdout_buf_size: Some(BUFFER),
        max_stderr_buf_size: Some(BUFFER),
    };
    let api = Api::<Pod>::namespaced(client.clone(), &set.namespace);
    let attached = api.exec(pod_name, command, &params).await;
    let attached = attached.map_err(|error| {
        Error::cluster(format!("cannot run a command in pod {pod_name}"))
            .reason("ExecRefused")
            .caused_by(&error)
            .hint("it takes the right `create` on `pods/exec`")
    })?;
    let target = Target {
        service: &set.service,
        pod: pod_name,
        container,
    };
    connect(attached, streams, &target, command).await
}

/// The pod and the container that the command runs in.
fn choose<'a>(
    set: &PodSet,
    found: &'a [Pod],
    container: Option<&'a str>,
) -> Result<(&'a Pod, &'a str)> {
    if found.is_empty() {
        return Err(set.no_pods());
    }
    let Some(pod) = pods::pick(found) else {
        let states: Vec<_> = found
            .iter()
            .map(|pod| format!("{} is {}", pods::name(pod), pods::phase(pod)))
            .collect();
        return Err(Error::failed(format!("{} has no running pod", set.service))
            .reason("NoPods")
            .cause(states.join(", "))
            .hint("`dev status` says why"));
    };
    let names = pods::containers(pod);
    let container = match container {
        Some(name) if names.contains(&name) => name,
        Some(name) => return Err(pods::no_container(&set.service, name, &names)),
        None => pods::default_container(pod).unwrap_or_default(),
    };
    Ok((pod, container))
}

struct Target<'a> {
    service: &'a str,
    pod: &'a str,
    container: &'a str,
}

async fn connect(
    mut attached: AttachedProcess,
    streams: Streams,
    target: &Target<'_>,
    command: &[String],
) -> Result<i32> {
    let Streams {
        stdin,
        mut stdout,
        mut stderr,
        sizes,
    } = streams;
    let status = attached.take_status();
    let (mut remote_in, remote_out, remote_err) =
        (attached.stdin(), attached.stdout(), attached.stderr());
    let mut resize = attached.terminal_size();
    let input = async move {
        if let (Some(mut local), Some(remote)) = (stdin, &mut remote_in) {
            // The command may end without reading all of it.
            let _unread = tokio::io::copy(&mut local, remote).await;
            let _closed = remote.shutdown().await;
        }
        // Dropping the writer would end the command's input; this future is dropped when the command ended.
        std::future::pending::<()>().await;
    };
    let resizes = async move {
        if let (Some(mut sizes), Some(resize)) = (sizes, &mut resize) {
            while let Some((width, height)) = sizes.recv().await {
                if resize.send(TerminalSize { width, height }).await.is_err() {
                    break;
                }
            }
        }
        std::future::pending::<()>().await;
    };
    let output = async {
        let out = async {
            match remote_out {
                Some(mut remote) => copy(&mut remote, &mut stdout).await,
                None => Ok(()),
            }
        };
        let err = async {
            match remote_err {
                Some(mut remote) => copy(&mut remote, &mut stderr).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(out, err)
    };
    // The streams end when the command does; a broken connection ends the status but not the streams.
    let ended = async {
        match status {
            Some(status) => status.await,
            None => None,
        }
    };
    tokio::pin!(output, ended, input, resizes);
    let mut status = None;
    let mut copied = false;
    loop {
        tokio::select! {
            done = &mut output, if !copied => {
                match done {
                    Ok(((), ())) => copied = true,
                    // Whoever read has enough, as with any command in a pipe.
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(0),
                    Err(error) => {
                        return Err(Error::failed("cannot pass on what the command writes").caused_by(&error));
                    }
                }
            }
            end = &mut ended, if status.is_none() => match end {
                Some(end) => status = Some(end),
                None => break,
            },
            () = &mut input => {}
            () = &mut resizes => {}
        }
        if copied && let Some(status) = &status {
            return exit_code(status, target, command);
        }
    }
    let lost = Error::cluster(format!(
        "the connection to pod {} broke before the command ended",
        target.pod
    ));
    Err(match attached.join().await {
        Ok(()) => lost,
        Err(error) => lost.caused_by(&error),
    })
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut Pin<Box<dyn AsyncWrite + Send>>,
) -> std::io::Result<()> {
    tokio::io::copy(from, to).await?;
    to.flush().await
}

/// The exit code that the API server reports, or why the command could not be started.
fn exit_code(status: &Status, target: &Target<'_>, command: &[String]) -> Result<i32> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status
        .details
        .as_ref()
        .and_then(|details| details.causes.as_ref());
    let code = causes
        .into_iter()
        .flatten()
        .find(|cause| cause.reason.as_deref() == Some("ExitCode"))
        .and_then(|cause| cause.message.as_deref()?.parse().ok());
    if let Some(code) = code {
        return Ok(code);
    }
    let said = status.message.as_deref().unwrap_or_default();
    let program = command.first().map_or("", String::as_str);
    let error = Error::failed(format!(
        "cannot start {program} in {}/{}",
        target.pod, target.container
    ))
    .reason("ExecFailed")
    .cause(said.to_owned());
    let absent = said.contains("executable file not found") || said.contains("no such file");
    Err(if absent && is_shell(program) {
        error
            .hint("the image has no shell: name one of its own programs")
            .hint(format!(
                "or bring a shell along: `kubectl debug -it {} --image=busybox --target={}`",
                target.pod, target.container
            ))
    } else if absent {
        error.hint(format!(
            "the program is not in the image of {}, or not on its PATH: give its full path",
            target.service
        ))
    } else {
        error
    })
}

fn is_shell(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    matches!(name, "sh" | "bash" | "ash" | "dash" | "zsh")
}

#[cfg(test)]
mod tests;

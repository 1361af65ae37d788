//! The first process of a router's pod: starts Envoy and the link, starts again whichever ends, collects orphans, and
//! lets clients leave before it ends itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::admin::Admin;
use super::children::Restarts;
use super::drain::{End, drain};
use super::files::{self, Files};
use crate::error::{Error, Result};
use crate::router::envoy::bootstrap::{Bootstrap, bootstrap};
use crate::router::families;

/// Pauses between restarts grow up to this. Without the link Envoy goes on, without Envoy nothing does.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a child has to end after SIGTERM before it is killed.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Envoy's lines, in the form of other programs in the pod.
const LOG_FORMAT: &str = "envoy: %l: %n: %v";

/// What the first process is told.
#[derive(Clone, Debug)]
pub struct SuperviseOptions {
    /// The base's namespace.
    pub base: String,
    /// The pod's name.
    pub pod: String,
    /// The folder for its files.
    pub state_dir: PathBuf,
    /// Envoy's program.
    pub envoy: PathBuf,
    /// How many threads of Envoy serve.
    pub concurrency: usize,
    /// After SIGTERM it goes on at least this long: until every node knows that the pod is not ready.
    pub least: Duration,
    /// The pod's grace period: established connections may go on for nearly so long.
    pub grace: Duration,
    /// The program of the link, with its arguments.
    pub link: Vec<std::ffi::OsString>,
}

/// Runs until it is told to end by SIGTERM or SIGINT, and until the clients have left; a second signal ends it at once.
///
/// # Errors
/// `Usage`: a program cannot be started at all; `Failed`: the files cannot be written.
pub async fn supervise(options: SuperviseOptions, say: &(dyn Fn(String) + Sync)) -> Result<()> {
    let cannot = |cause: std::io::Error| Error::failed("cannot receive signals").caused_by(&cause);
    let mut ended = signal(SignalKind::child()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let files = Files::new(&options.state_dir);
    write_bootstrap(&options, &files)?;
    let mut family = Family::new(&options, &files);
    family.start_due(say)?;

    // What runs after the first signal.
    let admin = Admin::new(&files.admin());
    let mut draining = None;
    loop {
        let due = family.next_due();
        tokio::select! {
            _ = ended.recv() => family.collect(say),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                // A program that was there once is tried for ever.
                if let Err(error) = family.start_due(say) {
                    say(format!("{error}: {}", error.causes().join(": ")));
                }
            }
            _ = async { tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} } } => {
                if draining.is_some() {
                    say("told to end once more: ending at once".to_owned());
                    break;
                }
                say(format!("told to end: clients have up to {} s to leave", options.grace.as_secs()));
                draining = Some(Box::pin(drain(&admin, options.least, options.grace, say)));
            }
            end = async { match draining.as_mut() { Some(drain) => drain.await, None => std::future::pending().await } } => {
                say(match end {
                    End::NobodyLeft => "all clients have left".to_owned(),
                    End::TimeUp(left) => format!("the time is up; {left} connections are cut"),
                    End::NoEnvoy => "Envoy does not answer any more".to_owned(),
                });
                break;
            }
        }
    }
    drop(draining);
    family.end(&mut ended, say).await;
    Ok(())
}

fn write_bootstrap(options: &SuperviseOptions, files: &Files) -> Result<()> {
    let made = bootstrap(&Bootstrap {
        node: &options.pod,
        base: &options.base,
        ads: &files.ads(),
        admin: &files.admin(),
        families: families::here(),
    });
    let path = files.bootstrap();
    files::write(&path, made.to_string().as_bytes())
        .map_err(|cause| Error::io("write", &path, &cause))
}

/// A program to run.
struct Child {
    name: &'static str,
    program: PathBuf,
    args: Vec<std::ffi::OsString>,
    restarts: Restarts,
}

/// The children.
struct Family {
    /// The link first: Envoy waits for it.
    children: [Child; 2],
}

impl Family {
    fn new(options: &SuperviseOptions, files: &Files) -> Self {
        let now = Instant::now();
        let (program, args) = options
            .link
            .split_first()
            .map(|(program, args)| (PathBuf::from(program), args.to_vec()))
            .unwrap_or_default();
        let link = Child {
            name: "the link",
            program,
            args,
            restarts: Restarts::new(LONGEST_PAUSE, now),
        };
        let envoy = Child {
            name: "Envoy",
            program: options.envoy.clone(),
            args: envoy_args(options, &files.bootstrap()),
            restarts: Restarts::new(LONGEST_PAUSE, now),
        };
        Self {
            children: [link, envoy],
        }
    }

    /// When the next child is to be started.
    fn next_due(&self) -> Option<Instant> {
        self.children
            .iter()
            .filter_map(|child| child.restarts.due())
            .min()
    }

    /// Starts what is due. The error is that of the last one that cannot be started.
    fn start_due(&mut self, say: &(dyn Fn(String) + Sync)) -> Result<()> {
        let mut result = Ok(());
        for child in &mut self.children {
            let now = Instant::now();
            if child.restarts.due().is_none_or(|due| due > now) {
                continue;
            }
            let started = Command::new(&child.program)
                .args(&child.args)
                .stdin(Stdio::null())
                .spawn();
            match started {
                // Its end is seen by its number, as that of any other process here.
                Ok(process) => {
                    let pid = process.id();
                    child.restarts.started(pid, now);
                    say(format!("{} runs as process {pid}", child.name));
                }
                Err(cause) => {
                    child.restarts.ended(now);
                    let what = format!("cannot start {} ({})", child.name, child.program.display());
                    result = Err(Error::usage(what).caused_by(&cause));
                }
            }
        }
        result
    }

    /// Takes note of every process that has ended, orphans of others too.
    fn collect(&mut self, say: &(dyn Fn(String) + Sync)) {
        while let Ok(Some((pid, status))) = waitpid(None, WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get().unsigned_abs();
            let children = &mut self.children;
            let child = children
                .iter_mut()
                .find(|child| child.restarts.pid() == Some(pid));
            if let Some(child) = child {
                let pause = child.restarts.ended(Instant::now());
                let (name, how) = (child.name, describe(status));
                say(format!(
                    "{name} has ended ({how}); started again in {pause:?}"
                ));
            }
        }
    }

    fn is_running(&self) -> bool {
        self.children
            .iter()
            .any(|child| child.restarts.pid().is_some())
    }

    fn tell(&self, signal: Signal) {
        let pids = self
            .children
            .iter()
            .filter_map(|child| child.restarts.pid());
        for pid in pids.filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            // It may have ended this moment.
            let _gone = kill_process(pid, signal);
        }
    }

    /// Ends all children.
    async fn end(
        &mut self,
        ended: &mut tokio::signal::unix::Signal,
        say: &(dyn Fn(String) + Sync),
    ) {
        for signal in [Signal::TERM, Signal::KILL] {
            self.tell(signal);
            let deadline = Instant::now() + LAST_WORDS;
            while self.is_running() {
                tokio::select! {
                    _ = ended.recv() => self.collect(&|_| {}),
                    () = sleep_until(deadline) => break,
                }
            }
        }
        if self.is_running() {
            say("a child does not end".to_owned());
        }
    }
}

fn envoy_args(options: &SuperviseOptions, bootstrap: &Path) -> Vec<std::ffi::OsString> {
    let concurrency = options.concurrency.to_string();
    // Listeners that are removed drain as long as a pod does.
    let drain = options.grace.as_secs().max(1).to_string();
    let mut args: Vec<std::ffi::OsString> = [
        "--disable-hot-restart",
        "--concurrency",
        &concurrency,
        "--drain-time-s",
        &drain,
        "--log-level",
        "warning",
        // It warns of each field that is marked as new, with each listener.
        "--component-log-level",
        "misc:error",
        "--log-format",
        LOG_FORMAT,
        "--config-path",
    ]
    .into_iter()
    .map(Into::into)
    .collect();
    args.push(bootstrap.into());
    args
}

/// `exit code 1`, `signal 9`
fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "stopped".to_owned(),
    }
}

//! Running programs: their output line by line, the last lines kept for errors, no process left behind.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::plain::plain;

/// How many of the last lines an error shows.
const KEPT_LINES: usize = 20;
/// How long a process group has to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// How long to read on after the program ended: something that it left running may hold its output open.
const DRAIN: Duration = Duration::from_millis(200);
/// A longer line is cut, so that a program without line ends cannot fill the memory.
const LONGEST_LINE: u64 = 64 * 1024;
/// Characters of a line that are shown.
const SHOWN_OF_LINE: usize = 400;
/// What is kept of the output of [`Program::output`], in bytes, for the same reason.
const LONGEST_OUTPUT: u64 = 256 << 20;

/// A program to run, in a process group of its own. When the future that runs it is dropped (Ctrl-C), the whole group
/// gets SIGTERM, and SIGKILL a second later.
#[derive(Clone, Debug)]
pub struct Program {
    name: OsString,
    args: Vec<OsString>,
    dir: Option<PathBuf>,
    env: Vec<(OsString, OsString)>,
    input: Input,
    own_group: bool,
}

/// What a program reads from standard input.
#[derive(Clone, Debug)]
enum Input {
    Nothing,
    Bytes(Vec<u8>),
    /// What this process reads; its messages go where those of this process go.
    Shared,
}

/// What a program wrote, when it ended well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its data.
    pub stdout: Vec<u8>,
    /// Its messages.
    pub stderr: Vec<u8>,
}

impl Program {
    /// A program, by path or by name in `PATH`.
    pub fn new(name: impl AsRef<OsStr>) -> Self {
        Self {
            name: name.as_ref().to_owned(),
            args: Vec::new(),
            dir: None,
            env: Vec::new(),
            input: Input::Nothing,
            own_group: true,
        }
    }

    /// A command line for the shell (`sh -c`).
    pub fn shell(command: &str) -> Self {
        Self::new("sh").args(["-c", command])
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// The working directory (default: that of this process).
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Adds an environment variable to those of this process.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What it reads from standard input (default: nothing).
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(input.into());
        self
    }

    /// Shares standard input and stderr with it, so that it can talk to the person. On a terminal it stays in the process group
    /// of this process: from another one it could not read.
    #[must_use]
    pub fn interactive(mut self) -> Self {
        self.input = Input::Shared;
        self.own_group = !std::io::stdin().is_terminal();
        self
    }

    /// Runs it and hands each line of its output, stdout and stderr together, to `line`.
    ///
    /// # Errors
    /// It cannot be started, or ends with another status than 0; the causes are the last lines it wrote.
    pub async fn stream(&self, mut line: impl FnMut(&str)) -> Result<()> {
        let mut group = self.start()?;
        let (line_tx, mut line_rx) = mpsc::channel(64);
        let readers = (
            group
                .child
                .stdout
                .take()
                .map(|pipe| spawn_lines(pipe, line_tx.clone())),
            group
                .child
                .stderr
                .take()
                .map(|pipe| spawn_lines(pipe, line_tx)),
        );
        let mut kept = Kept::default();
        let mut take = |text: String| {
            line(&text);
            kept.push(text);
        };
        let status = loop {
            tokio::select! {
                Some(text) = line_rx.recv() => take(text),
                status = group.child.wait() => break status,
            }
        };
        let status = status.map_err(|cause| self.cannot("wait for", &cause))?;
        group.ended = true;
        // The channel closes when both pipes are read to their ends.
        let rest = async {
            while let Some(text) = line_rx.recv().await {
                take(text);
            }
        };
        // Late output of something left running is not waited for.
        let _late = tokio::time::timeout(DRAIN, rest).await;
        drop(readers);
        if status.success() {
            Ok(())
        } else {
            Err(self.failure(status, kept.0))
        }
    }

    /// Runs it and keeps its output.
    ///
    /// # Errors
    /// As for [`Program::stream`]; the causes are the last lines of stderr.
    pub async fn output(&self) -> Result<Output> {
        let (status, output) = self.run_to_end().await?;
        if status.success() {
            return Ok(output);
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let mut kept = Kept::default();
        for line in text.lines() {
            kept.push(line.to_owned());
        }
        Err(self.failure(status, kept.0))
    }

    /// Runs it and keeps its output, whatever its status. Of what it leaves running nothing is waited for.
    ///
    /// # Errors
    /// It cannot be started, or writes more than 256 MiB.
    pub async fn run_to_end(&self) -> Result<(ExitStatus, Output)> {
        let mut group = self.start()?;
        let mut output = Output::default();
        let (stdout, stderr) = (group.child.stdout.take(), group.child.stderr.take());
        let (ended, read) = {
            let reading = async {
                tokio::try_join!(
                    read_all(stdout, &mut output.stdout),
                    read_all(stderr, &mut output.stderr)
                )
            };
            tokio::pin!(reading);
            let mut read = None;
            let ended = loop {
                tokio::select! {
                    result = &mut reading, if read.is_none() => read = Some(result),
                    ended = group.child.wait() => break ended,
                }
            };
            group.ended = ended.is_ok();
            if read.is_none() {
                read = tokio::time::timeout(DRAIN, reading).await.ok();
            }
            (ended, read)
        };
        let status = ended.map_err(|cause| self.cannot("wait for", &cause))?;
        match read {
            Some(Err(cause)) => Err(self.cannot("read the output of", &cause)),
            Some(Ok(_)) | None => Ok((status, output)),
        }
    }

    /// The command line for messages. The environment and standard input are never part of it.
    pub fn display(&self) -> String {
        let mut text = Path::new(&self.name)
            .file_name()
            .unwrap_or(&self.name)
            .to_string_lossy()
            .into_owned();
        for arg in &self.args {
            text.push(' ');
            let arg = arg.to_string_lossy();
            if arg.is_empty() || arg.contains(|c: char| c.is_whitespace() || c == '\'') {
                text.push_str(&format!("'{}'", arg.replace('\'', r"'\''")));
            } else {
                text.push_str(&arg);
            }
        }
        text
    }

    fn start(&self) -> Result<Group> {
        let mut command = tokio::process::Command::new(&self.name);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(match self.input {
                Input::Nothing => Stdio::null(),
                Input::Bytes(_) => Stdio::piped(),
                Input::Shared => Stdio::inherit(),
            })
            .stdout(Stdio::piped())
            .stderr(match self.input {
                Input::Nothing | Input::Bytes(_) => Stdio::piped(),
                Input::Shared => Stdio::inherit(),
            });
        if self.own_group {
            command.process_group(0);
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let mut child = command.spawn().map_err(|cause| {
            let dir = self.dir.as_deref().filter(|dir| !dir.is_dir());
            match dir {
                Some(dir) => Error::failed(format!("{} is no directory", dir.display()))
                    .cause(format!("working directory of `{}`", self.display())),
                None => self.cannot("start", &cause),
            }
        })?;
        if let (Input::Bytes(input), Some(mut pipe)) = (self.input.clone(), child.stdin.take()) {
            tokio::spawn(async move {
                // A program that reads less than it is given is no error.
                let _closed = pipe.write_all(&input).await;
            });
        }
        Ok(Group {
            child,
            own: self.own_group,
            ended: false,
        })
    }

    fn cannot(&self, verb: &str, cause: &std::io::Error) -> Error {
        Error::failed(format!("cannot {verb} `{}`", self.display())).caused_by(cause)
    }

    fn failure(&self, status: ExitStatus, last: VecDeque<String>) -> Error {
        let error = Error::failed(format!("`{}` failed: {status}", self.display()));
        if last.is_empty() {
            error
        } else {
            error.cause(Vec::from(last).join("\n"))
        }
    }
}

/// The path of a program in `PATH`, or the path given if it is one.
pub fn which(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        let path = PathBuf::from(program);
        return is_executable(&path).then_some(path);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A child and what it started.
struct Group {
    child: Child,
    /// Whether it is a process group of its own; else only the child is ours to end.
    own: bool,
    ended: bool,
}

impl Drop for Group {
    fn drop(&mut self) {
        // After `wait` the process id may belong to somebody else.
        let pid = match self.child.id() {
            Some(pid) if !self.ended => pid,
            Some(_) | None => return,
        };
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return;
        };
        let end = |signal| {
            // It is gone already where these fail.
            let _gone = if self.own {
                kill_process_group(pid, signal)
            } else {
                kill_process(pid, signal)
            };
        };
        end(Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < GRACE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        end(Signal::KILL);
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The last lines.
#[derive(Default)]
struct Kept(VecDeque<String>);

impl Kept {
    fn push(&mut self, line: String) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == KEPT_LINES {
            self.0.pop_front();
        }
        self.0.push_back(plain(&line, SHOWN_OF_LINE).into_owned());
    }
}

/// Reads a pipe to its end.
async fn read_all(pipe: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> std::io::Result<()> {
    let Some(pipe) = pipe else {
        return Ok(());
    };
    let mut pipe = pipe.take(LONGEST_OUTPUT);
    pipe.read_to_end(into).await?;
    if pipe.limit() == 0 {
        return Err(std::io::Error::other("it is longer than 256 MiB"));
    }
    Ok(())
}

fn spawn_lines(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    line_tx: mpsc::Sender<String>,
) -> AbortOnDrop {
    AbortOnDrop(tokio::spawn(lines(pipe, line_tx)))
}

/// Sends each line of a pipe; what follows the last carriage return of a line, since progress bars overwrite.
async fn lines(pipe: impl AsyncRead + Unpin, line_tx: mpsc::Sender<String>) {
    let mut pipe = BufReader::new(pipe);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match (&mut pipe)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut bytes)
            .await
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        let text = text.rsplit('\r').next().unwrap_or_default().trim_end();
        let text = plain(text, bytes.len()).into_owned();
        if line_tx.send(text).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

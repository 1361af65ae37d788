//! This process's terminal, given to a remote command: raw mode, its size, its input.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::fd::AsFd;
use std::pin::Pin;

use rustix::termios::{self, OptionalActions, Termios};
use tokio::io::AsyncRead;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use crate::cluster::exec::Streams;
use crate::error::{Error, Result};

/// Puts the terminal back as it was when it is dropped.
#[must_use]
pub struct RawMode {
    tty: File,
    before: Termios,
}

impl RawMode {
    /// Every key goes to the remote command as it is, Ctrl-C included.
    pub fn enter() -> Result<Self> {
        if !std::io::stdin().is_terminal() {
            return Err(
                Error::usage("-t needs a terminal, and the standard input is none")
                    .hint("leave out -t"),
            );
        }
        let failed = |error: std::io::Error| {
            Error::failed("cannot take over the terminal").caused_by(&error)
        };
        let tty = std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(failed)?;
        let tty = File::from(tty);
        let before = termios::tcgetattr(&tty).map_err(|error| failed(error.into()))?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&tty, OptionalActions::Now, &raw)
            .map_err(|error| failed(error.into()))?;
        Ok(Self { tty, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _gone = termios::tcsetattr(&self.tty, OptionalActions::Now, &self.before);
    }
}

/// The streams of this process. Without `stdin` none of its input is taken; with `tty` the sizes of the terminal are passed on.
pub fn streams(stdin: bool, tty: bool) -> Streams {
    Streams {
        stdin: stdin.then(input),
        stdout: Box::pin(tokio::io::stdout()),
        stderr: Box::pin(tokio::io::stderr()),
        sizes: tty.then(sizes),
    }
}

/// The standard input, read by a thread of its own: unlike tokio's, a read that never returns does not keep the program from
/// ending.
fn input() -> Pin<Box<dyn AsyncRead + Send>> {
    let (bytes_tx, mut bytes_rx) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => Ok(bytes_of(&buffer[..read])),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            if bytes_tx.blocking_send(read).is_err() {
                return;
            }
        }
    });
    let stream = futures::stream::poll_fn(move |context| bytes_rx.poll_recv(context));
    Box::pin(StreamReader::new(stream))
}

fn bytes_of(bytes: &[u8]) -> std::io::Cursor<Vec<u8>> {
    std::io::Cursor::new(bytes.to_vec())
}

/// The terminal's present size, then each new one.
fn sizes() -> mpsc::Receiver<(u16, u16)> {
    let (sizes_tx, sizes_rx) = mpsc::channel(4);
    tokio::spawn(async move {
        let Ok(mut changes) = signal(SignalKind::window_change()) else {
            return;
        };
        loop {
            if let Ok(size) = termios::tcgetwinsize(std::io::stdout())
                && size.ws_col > 0
                && sizes_tx.send((size.ws_col, size.ws_row)).await.is_err()
            {
                return;
            }
            if changes.recv().await.is_none() {
                return;
            }
        }
    });
    sizes_rx
}

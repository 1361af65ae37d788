//! What carriers go through in a test: it can be cut, refuse, and swallow bytes without a word.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// They arrive.
    Up,
    /// Carriers break, and none can be had.
    Down,
    /// Nothing arrives, and nobody is told.
    Silent,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// Carriers of an earlier number are broken.
    since: u64,
    next: u64,
    /// After so many bytes more, either way, everything that is there breaks.
    budget: Option<usize>,
    /// Who waits: which end, and for which direction.
    wakers: HashMap<(u64, bool, bool), Waker>,
}

/// A cable, on which each carrier is a pair of ends.
#[derive(Clone, Debug)]
pub(super) struct Cable(Arc<Mutex<Inner>>);

impl Cable {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            state: State::Up,
            since: 0,
            next: 0,
            budget: None,
            wakers: HashMap::new(),
        })))
    }

    /// From now on.
    pub(super) fn set(&self, state: State) {
        let mut inner = self.0.lock().unwrap();
        inner.state = state;
        if state == State::Down {
            inner.since = inner.next;
        }
        for (_, waker) in inner.wakers.drain() {
            waker.wake();
        }
    }

    /// Everything that is there breaks, once so many bytes more have passed.
    pub(super) fn cut_after(&self, bytes: usize) {
        self.0.lock().unwrap().budget = Some(bytes);
    }

    /// Whether a cut that was asked for has come.
    pub(super) fn is_cut(&self) -> bool {
        self.0.lock().unwrap().budget.is_none()
    }

    /// Two ends.
    pub(super) fn pair(&self) -> io::Result<(Broken, Broken)> {
        let mut inner = self.0.lock().unwrap();
        if inner.state == State::Down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let number = inner.next;
        inner.next += 1;
        let (one, other) = duplex(16 * 1024);
        let end = |near, stream| Broken {
            cable: self.clone(),
            number,
            near,
            stream,
        };
        Ok((end(true, one), end(false, other)))
    }

    /// Whether the carrier works now; waits while it is silent.
    fn check(
        &self,
        number: u64,
        near: bool,
        reads: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock().unwrap();
        if number < inner.since {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let key = (number, near, reads);
        inner.wakers.insert(key, cx.waker().clone());
        match inner.state {
            State::Silent => Poll::Pending,
            State::Up | State::Down => Poll::Ready(Ok(())),
        }
    }

    /// How many of these bytes still pass.
    fn spend(&self, bytes: usize) -> usize {
        let mut inner = self.0.lock().unwrap();
        let Some(budget) = inner.budget else {
            return bytes;
        };
        let passed = bytes.min(budget);
        inner.budget = Some(budget - passed);
        if passed == budget {
            inner.budget = None;
            inner.since = inner.next;
            for (_, waker) in inner.wakers.drain() {
                waker.wake();
            }
        }
        passed
    }
}

/// One end of a carrier.
#[derive(Debug)]
pub(super) struct Broken {
    cable: Cable,
    number: u64,
    near: bool,
    stream: DuplexStream,
}

impl AsyncRead for Broken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        std::task::ready!(self.cable.check(self.number, self.near, true, cx))?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Broken {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        std::task::ready!(self.cable.check(self.number, self.near, false, cx))?;
        let count = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, buffer))?;
        // What did not pass has been taken all the same, as by a socket whose other end is no longer there.
        let _lost = self.cable.spend(count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! One stream: what a TCP connection is at one end of the tunnel and at the other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::lane::Lane;
use super::link::{Inner, Link};
use super::mux::Reset;

/// A stream of bytes both ways. Each direction can end by itself; dropped before both have ended, the stream is reset.
#[derive(Debug)]
pub struct Stream {
    link: Arc<Link>,
    number: u32,
    /// What the other end learns if it is dropped early.
    reset: Reset,
}

impl Stream {
    pub(super) fn new(link: Arc<Link>, number: u32) -> Self {
        Self {
            link,
            number,
            reset: Reset::Cancelled,
        }
    }

    /// Its number in its lane.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The next bytes, at most so many; nothing at the end.
    ///
    /// # Errors
    /// The stream was reset.
    pub fn poll_recv(
        &self,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Reset>> {
        let now = Instant::now();
        self.link.with(|inner| {
            inner
                .mux
                .read(&mut inner.lane, self.number, most, now, cx.waker())
        })
    }

    /// Sends the beginning of the bytes and takes it from them.
    ///
    /// # Errors
    /// The stream was reset.
    pub fn poll_send(&self, bytes: &mut Bytes, cx: &mut Context<'_>) -> Poll<Result<usize, Reset>> {
        let wanted = bytes.len();
        self.write(wanted, cx, |lane, length| lane.push(bytes.split_to(length)))
    }

    fn write(
        &self,
        wanted: usize,
        cx: &mut Context<'_>,
        add: impl FnOnce(&mut Lane, usize),
    ) -> Poll<Result<usize, Reset>> {
        self.link.with(|inner| {
            let Inner { mux, lane, .. } = inner;
            mux.write(lane, self.number, wanted, cx.waker(), add)
        })
    }

    /// Nothing more is sent.
    pub fn finish(&self) {
        self.link
            .with(|inner| inner.mux.finish(&mut inner.lane, self.number));
    }

    /// Ends both directions at once, for this reason.
    pub fn reset(mut self, reset: Reset) {
        self.reset = reset;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.link
            .with(|inner| inner.mux.release(&mut inner.lane, self.number, self.reset));
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let bytes = ready!(self.poll_recv(buffer.remaining(), cx))?;
        if let Some(bytes) = bytes {
            buffer.put_slice(&bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.write(buffer.len(), cx, |lane, length| {
            lane.extend(&buffer[..length]);
        });
        written.map_err(io::Error::from)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The lane sends by itself.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}

//! A TCP connection at this end and its stream: whatever one says, the other hears, ends and resets included.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::future::poll_fn;
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;

use super::mux::Reset;
use super::stream::Stream;

/// The least memory that is taken to read from a connection. It is given back when nothing has come.
const SMALLEST: usize = 2 * 1024;
/// The most.
const BIGGEST: usize = 64 * 1024;

/// How many bytes went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// From the connection into the tunnel.
    pub sent: u64,
    /// From the tunnel to the connection.
    pub received: u64,
}

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// The other end of the tunnel ended it.
    #[error(transparent)]
    Reset(#[from] Reset),
    /// The connection at this end broke.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// Copies both ways until both have ended.
///
/// # Errors
/// One of the two was reset; then the other has been too.
pub async fn splice(mut socket: TcpStream, stream: Stream) -> Result<Moved, Cut> {
    // Small writes are answers that somebody waits for; without it they are merely slower.
    let _slower = socket.set_nodelay(true);
    let mut up = Up::default();
    let mut down = Down::default();
    let done = poll_fn(|cx| {
        // Both, whatever the first says: each has to know whom to wake.
        let up = up.poll(&socket, &stream, cx)?;
        let down = down.poll(&mut socket, &stream, cx)?;
        match (up, down) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            (Poll::Pending, _) | (_, Poll::Pending) => Poll::Pending,
        }
    })
    .await;
    match done {
        Ok(()) => Ok(Moved {
            sent: up.moved,
            received: down.moved,
        }),
        Err(cut) => {
            // A connection that was cut off must not look like one that was finished.
            let _gone_already = socket.set_zero_linger();
            Err(cut)
        }
    }
}

/// Connection → stream.
#[derive(Default)]
struct Up {
    pending: Bytes,
    size: usize,
    moved: u64,
    ended: bool,
}

impl Up {
    fn poll(
        &mut self,
        socket: &TcpStream,
        stream: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Cut>> {
        while !self.ended {
            if !self.pending.is_empty() {
                self.moved += ready!(stream.poll_send(&mut self.pending, cx))? as u64;
                continue;
            }
            ready!(socket.poll_read_ready(cx))?;
            let size = self.size.clamp(SMALLEST, BIGGEST);
            let mut buffer = BytesMut::with_capacity(size);
            match socket.try_read_buf(&mut buffer) {
                Ok(0) => {
                    stream.finish();
                    self.ended = true;
                }
                Ok(count) => {
                    self.size = if count >= size { size * 4 } else { count * 2 };
                    self.pending = buffer.freeze();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Stream → connection.
#[derive(Default)]
struct Down {
    pending: Bytes,
    moved: u64,
    ending: bool,
    ended: bool,
}

impl Down {
    fn poll(
        &mut self,
        socket: &mut TcpStream,
        stream: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Cut>> {
        while !self.ended {
            if !self.pending.is_empty() {
                let count = ready!(Pin::new(&mut *socket).poll_write(cx, &self.pending))?;
                self.pending.advance(count);
                self.moved += count as u64;
            } else if self.ending {
                ready!(Pin::new(&mut *socket).poll_shutdown(cx))?;
                self.ended = true;
            } else {
                match ready!(stream.poll_recv(BIGGEST, cx))? {
                    Some(bytes) => self.pending = bytes,
                    None => self.ending = true,
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

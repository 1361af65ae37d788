//! Moves the bytes of a lane over one carrier, until that ends: the thin loop around `lane` and `mux`.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::io::poll_read_buf;

use super::greet::part;
use super::lane::LaneError;
use super::lane::WAITING;
use super::lane::pulse::{Pulse, Verdict};
use super::link::{Inner, Link, Presence};
use super::mux::{MuxError, Wakes};
use super::wire::hello::{HelloError, Refused, printable};
use super::wire::{Decoder, Frame, WireError, data_head};

/// An acknowledgement that nothing else carries is sent after this time.
const ACK_AFTER: Duration = Duration::from_millis(100);
/// Bytes of a lane in one frame, so that the other end need not hold much to read it.
const FRAME: usize = 64 * 1024;
/// What is handed to the carrier at a time.
const BATCH: usize = 256 * 1024;
/// Reads in a row before writing gets its turn.
const READS: usize = 8;
/// Writes in a row before reading gets its turn.
const WRITES: usize = 16;
/// Pieces handed to the carrier at once.
const PIECES: usize = 32;
/// Pieces up to this length are put together.
const SHORT: usize = 4 * 1024;

/// Anything that carries bytes both ways.
pub trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

/// How a carrier ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The other end closed it without a word.
    #[error("the connection was closed")]
    Closed,
    /// Reading or writing failed.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// Nothing was heard for too long.
    #[error("the other end is silent")]
    Silent,
    /// The other end ends the lane.
    #[error("the other end said: {0}")]
    Goodbye(String),
    /// The agent does not want this client any longer.
    #[error("the agent refused: {}", .0.message)]
    Refused(Refused),
    /// This end ends the lane, and has said so.
    #[error("the lane was ended here")]
    Done,
    /// The other end broke the protocol of the carrier.
    #[error("the other end broke the protocol: {0}")]
    Wire(#[from] WireError),
    /// It broke that of the lane.
    #[error("the other end broke the protocol: {0}")]
    Lane(#[from] LaneError),
    /// It broke that of the streams.
    #[error("the other end broke the protocol: {0}")]
    Mux(#[from] MuxError),
    /// A frame that has no place here.
    #[error("the other end broke the protocol: {0}")]
    Misplaced(&'static str),
    /// What was said first cannot be read.
    #[error(transparent)]
    Hello(#[from] HelloError),
}

impl Ended {
    /// Whether the lane cannot go on over another carrier.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Closed | Self::Io(_) | Self::Silent | Self::Wire(_) | Self::Misplaced(_) => false,
            // The state of the two ends no longer fits together.
            Self::Goodbye(_)
            | Self::Refused(_)
            | Self::Done
            | Self::Lane(_)
            | Self::Mux(_)
            | Self::Hello(_) => true,
        }
    }
}

/// Drives the lane over this carrier, on whose other end so much of the lane was received. The decoder has what was read too much with
/// the greeting. `first` is sent before anything else.
pub async fn drive<C: Carrier>(
    link: &Link,
    carrier: C,
    decoder: Decoder,
    peer_received: u64,
    first: Option<Frame>,
) -> Ended {
    if let Err(error) = link.with(|inner| inner.lane.resume(peer_received)) {
        return error.into();
    }
    let now = Instant::now();
    let mut staging = BytesMut::new();
    if let Some(first) = first {
        first.encode(&mut staging);
    }
    let mut driver = Driver {
        link,
        carrier,
        decoder,
        pulse: Pulse::new(now),
        ack_at: None,
        staging,
        out: VecDeque::new(),
        parts: VecDeque::new(),
        wakes: Wakes::new(),
        unflushed: false,
        last_said: false,
        doubtful: false,
    };
    link.set_presence(Presence::Here);
    let mut sleep = pin!(sleep_until(driver.pulse.next(now)));
    let ended = std::future::poll_fn(|cx| driver.poll(cx, sleep.as_mut())).await;
    if driver.last_said {
        part(&mut driver.carrier).await;
    }
    let now = Instant::now();
    let since = driver.pulse.doubt(now).unwrap_or(now);
    link.set_presence(Presence::Away { since });
    ended
}

struct Driver<'a, C> {
    link: &'a Link,
    carrier: C,
    decoder: Decoder,
    pulse: Pulse,
    ack_at: Option<Instant>,
    /// Frames and short pieces that are put together before they go to `out`.
    staging: BytesMut,
    /// What is being written.
    out: VecDeque<Bytes>,
    parts: VecDeque<Bytes>,
    wakes: Wakes,
    unflushed: bool,
    last_said: bool,
    doubtful: bool,
}

impl<C: Carrier> Driver<'_, C> {
    fn poll(&mut self, cx: &mut Context<'_>, sleep: Pin<&mut Sleep>) -> Poll<Ended> {
        let ended = self.step(cx, sleep);
        for waker in self.wakes.drain(..) {
            waker.wake();
        }
        match ended {
            Ok(()) => Poll::Pending,
            Err(ended) => Poll::Ready(ended),
        }
    }

    fn step(&mut self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Result<(), Ended> {
        loop {
            let now = Instant::now();
            let drained = self.read(cx, now)?;
            // Only after reading: a process that was stopped for a while finds in the carrier what it was sent meanwhile.
            if drained {
                self.look(now)?;
            }
            let written = self.write(cx, now)?;
            if !drained || !written {
                // Others get their turn.
                cx.waker().wake_by_ref();
                return Ok(());
            }
            let pulse = self.pulse.next(now);
            let next = self.ack_at.map_or(pulse, |ack_at| pulse.min(ack_at));
            // A deadline that has moved on is noticed when the old one comes.
            if next < sleep.deadline() || sleep.is_elapsed() {
                sleep.as_mut().reset(next);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
        }
    }

    /// Reads what is there. Says whether that was all.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, Ended> {
        // Some may have come with the first words.
        if self.decoder.held() > 0 {
            self.frames(now)?;
        }
        for _ in 0..READS {
            match poll_read_buf(Pin::new(&mut self.carrier), cx, self.decoder.space())? {
                Poll::Pending => return Ok(true),
                Poll::Ready(0) => return Err(Ended::Closed),
                Poll::Ready(_) => {
                    self.pulse.hear(now);
                    if std::mem::take(&mut self.doubtful) {
                        self.link.set_presence(Presence::Here);
                    }
                    self.frames(now)?;
                }
            }
        }
        Ok(false)
    }

    fn frames(&mut self, now: Instant) -> Result<(), Ended> {
        let mut guard = self.link.lock();
        let Inner { lane, mux, .. } = &mut *guard;
        while let Some(frame) = self.decoder.decode()? {
            match frame {
                Frame::Data {
                    offset,
                    received,
                    bytes,
                } => {
                    lane.on_ack(received)?;
                    let bytes = lane.on_data(offset, bytes)?;
                    mux.receive(lane, bytes, now, &mut self.wakes)?;
                }
                Frame::Ack(received) => lane.on_ack(received)?,
                Frame::Ping(number) => Frame::Pong(number).encode(&mut self.staging),
                Frame::Pong(_) => {}
                Frame::Goodbye(text) => {
                    return Err(Ended::Goodbye(printable(&String::from_utf8_lossy(&text))));
                }
                Frame::Refused(text) => return Err(Ended::Refused(Refused::decode(&text)?)),
                Frame::Hello(_) | Frame::Welcome(_) => {
                    return Err(Ended::Misplaced("a greeting in the middle"));
                }
            }
        }
        if lane.owes() {
            self.ack_at.get_or_insert(now + ACK_AFTER);
        }
        Ok(())
    }

    /// Does what the clock asks for.
    fn look(&mut self, now: Instant) -> Result<(), Ended> {
        if self.ack_at.is_some_and(|at| now >= at) {
            self.ack_at = None;
            let received = self.link.lock().lane.take_ack();
            Frame::Ack(received).encode(&mut self.staging);
        }
        match self.pulse.look(now) {
            Verdict::Well => {}
            Verdict::Ask => Frame::Ping(0).encode(&mut self.staging),
            Verdict::Dead => return Err(Ended::Silent),
        }
        if !self.doubtful
            && let Some(since) = self.pulse.doubt(now)
        {
            self.doubtful = true;
            self.link.set_presence(Presence::Away { since });
        }
        Ok(())
    }

    /// Writes what there is. Says whether nothing is left to do but to wait.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, Ended> {
        for _ in 0..WRITES {
            if self.out.is_empty() {
                self.fill(cx, now);
            }
            if self.out.is_empty() {
                if self.unflushed {
                    match Pin::new(&mut self.carrier).poll_flush(cx)? {
                        Poll::Ready(()) => self.unflushed = false,
                        Poll::Pending => return Ok(true),
                    }
                }
                return match self.last_said {
                    true => Err(Ended::Done),
                    false => Ok(true),
                };
            }
            match self.write_some(cx)? {
                Poll::Ready(0) => return Err(Ended::Closed),
                Poll::Ready(count) => {
                    self.unflushed = true;
                    self.forget(count);
                }
                Poll::Pending => return Ok(true),
            }
        }
        Ok(false)
    }

    fn write_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let carrier = Pin::new(&mut self.carrier);
        if self.out.len() > 1 && carrier.is_write_vectored() {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let count = self.out.len().min(PIECES);
            for (piece, bytes) in pieces.iter_mut().zip(&self.out) {
                *piece = IoSlice::new(bytes);
            }
            return carrier.poll_write_vectored(cx, &pieces[..count]);
        }
        let first = self.out.front().map_or(&[][..], |bytes| bytes);
        carrier.poll_write(cx, first)
    }

    fn forget(&mut self, mut count: usize) {
        while let Some(first) = self.out.front_mut().filter(|_| count > 0) {
            let part = first.len().min(count);
            count -= part;
            if part == first.len() {
                self.out.pop_front();
            } else {
                first.advance(part);
            }
        }
    }

    /// Takes the next batch out of the lane.
    fn fill(&mut self, cx: &mut Context<'_>, now: Instant) {
        let mut guard = self.link.lock();
        let inner = &mut *guard;
        let mut total = 0;
        while total < BATCH
            && let Some(outgoing) = inner.lane.take(FRAME, &mut self.parts)
        {
            total += outgoing.length;
            let head = data_head(outgoing.offset, outgoing.received, outgoing.length);
            self.staging.extend_from_slice(&head);
            for part in self.parts.drain(..) {
                if part.len() <= SHORT {
                    self.staging.extend_from_slice(&part);
                } else {
                    if !self.staging.is_empty() {
                        self.out.push_back(self.staging.split().freeze());
                    }
                    self.out.push_back(part);
                }
            }
        }
        if total > 0 {
            self.ack_at = None;
            self.pulse.expect(now);
            if inner.lane.room() >= WAITING / 2 {
                inner.mux.has_room(&mut self.wakes);
            }
        } else if inner.lane.owes_much() {
            self.ack_at = None;
            Frame::Ack(inner.lane.take_ack()).encode(&mut self.staging);
        }
        if !inner.lane.wants_to_send()
            && let Some(last) = inner.last_words.take()
        {
            last.encode(&mut self.staging);
            self.last_said = true;
        }
        if !self.staging.is_empty() {
            self.out.push_back(self.staging.split().freeze());
        }
        if self.out.is_empty() {
            inner.driver = Some(cx.waker().clone());
        }
    }
}

//! The multiplexer of one lane: what each stream may do, and whom to wake. Decides only; `link` calls it, `drive` moves the bytes.

use std::collections::{HashMap, VecDeque};
use std::task::{Poll, Waker};

use bytes::Bytes;
use tokio::time::Instant;

use super::frame::{self, Item, MuxError, Reader};
use super::window::{FIRST, SPARE, Window};
use super::{LONGEST_TURN, MOST_STREAMS, Reset, Side};
use crate::tunnel::lane::Lane;
use crate::tunnel::lane::chunks::Chunks;

/// The most credit that is believed.
const MOST_CREDIT: usize = 1 << 30;

/// Tasks to be woken once the lock is free.
pub type Wakes = Vec<Waker>;

#[derive(Debug)]
struct Stream {
    unread: Chunks,
    window: Window,
    /// The other end sends no more.
    ended: bool,
    reader: Option<Waker>,
    credit: usize,
    /// This end sends no more.
    finished: bool,
    writer: Option<Waker>,
    /// Both directions are over before their time. What has come can still be read.
    reset: Option<Reset>,
}

impl Stream {
    fn new(now: Instant) -> Self {
        Self {
            unread: Chunks::default(),
            window: Window::new(now),
            ended: false,
            reader: None,
            credit: FIRST,
            finished: false,
            writer: None,
            reset: None,
        }
    }

    fn wake(&mut self, wakes: &mut Wakes) {
        wakes.extend(self.reader.take());
        wakes.extend(self.writer.take());
    }

    fn is_over(&self) -> bool {
        self.reset.is_some() || (self.finished && self.ended)
    }
}

/// The streams of a lane.
#[derive(Debug)]
pub struct Mux {
    reader: Reader,
    streams: HashMap<u32, Stream>,
    next: u32,
    last_of_peer: u32,
    opened: VecDeque<(u32, Bytes)>,
    acceptor: Option<Waker>,
    spare: usize,
    /// Streams that wait for room in the lane.
    waiting: Vec<u32>,
    unread: usize,
    lost: bool,
}

impl Mux {
    /// That of a new lane.
    pub fn new(side: Side) -> Self {
        let (next, last_of_peer) = match side {
            Side::Client => (1, 0),
            Side::Agent => (2, u32::MAX),
        };
        Self {
            reader: Reader::default(),
            streams: HashMap::new(),
            next,
            last_of_peer,
            opened: VecDeque::new(),
            acceptor: None,
            spare: SPARE,
            waiting: Vec::new(),
            unread: 0,
            lost: false,
        }
    }

    /// How many streams there are.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// How many of them are not over.
    pub fn unfinished(&self) -> usize {
        self.streams
            .values()
            .filter(|stream| !stream.is_over())
            .count()
    }

    /// Bytes that have come and were not read.
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// Whether the lane is lost, and every stream with it.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// The lane is lost or has too many.
    pub fn open(&mut self, lane: &mut Lane, header: &[u8], now: Instant) -> Result<u32, Reset> {
        if self.lost {
            return Err(Reset::Lost);
        }
        let stream = self.next;
        if self.streams.len() >= MOST_STREAMS || stream >= u32::MAX - 2 {
            return Err(Reset::TooMany);
        }
        self.next += 2;
        lane.extend(&frame::open(stream, header));
        self.streams.insert(stream, Stream::new(now));
        Ok(stream)
    }

    /// The next stream that the other end has opened, and its header; none ever again once the lane is lost.
    pub fn accept(&mut self, waker: &Waker) -> Poll<Option<(u32, Bytes)>> {
        match self.opened.pop_front() {
            Some(opened) => Poll::Ready(Some(opened)),
            None if self.lost => Poll::Ready(None),
            None => {
                self.acceptor = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    /// Bytes of a stream, at most so many; nothing at its end.
    ///
    /// # Errors
    /// The stream was reset and everything that came before was read.
    pub fn read(
        &mut self,
        lane: &mut Lane,
        stream: u32,
        most: usize,
        now: Instant,
        waker: &Waker,
    ) -> Poll<Result<Option<Bytes>, Reset>> {
        let Some(state) = self.streams.get_mut(&stream) else {
            return Poll::Ready(Err(Reset::Lost));
        };
        if let Some(bytes) = state.unread.pop(most) {
            self.unread -= bytes.len();
            let waiting = state.unread.len();
            if !state.ended
                && state.reset.is_none()
                && let Some(more) = state
                    .window
                    .read(bytes.len(), waiting, now, &mut self.spare)
            {
                lane.extend(&frame::credit(stream, more));
            }
            return Poll::Ready(Ok(Some(bytes)));
        }
        if state.ended {
            return Poll::Ready(Ok(None));
        }
        match state.reset {
            Some(reset) => Poll::Ready(Err(reset)),
            None => {
                set(&mut state.reader, waker);
                Poll::Pending
            }
        }
    }

    /// Sends up to so many bytes, as many as credit and room allow: `add` appends that many to the lane. Waits if it is none.
    ///
    /// # Errors
    /// The stream was reset.
    pub fn write(
        &mut self,
        lane: &mut Lane,
        stream: u32,
        wanted: usize,
        waker: &Waker,
        add: impl FnOnce(&mut Lane, usize),
    ) -> Poll<Result<usize, Reset>> {
        let Some(state) = self.streams.get_mut(&stream) else {
            return Poll::Ready(Err(Reset::Lost));
        };
        if let Some(reset) = state.reset {
            return Poll::Ready(Err(reset));
        }
        if state.finished {
            return Poll::Ready(Err(Reset::Cancelled));
        }
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let room = lane.room();
        let length = wanted.min(state.credit).min(LONGEST_TURN).min(room);
        if length == 0 {
            let first = set(&mut state.writer, waker);
            if room == 0 && state.credit > 0 && first {
                self.waiting.push(stream);
            }
            return Poll::Pending;
        }
        state.credit -= length;
        lane.extend(&frame::data(stream, length));
        add(lane, length);
        Poll::Ready(Ok(length))
    }

    /// Says that nothing more is sent on a stream.
    pub fn finish(&mut self, lane: &mut Lane, stream: u32) {
        if let Some(state) = self.streams.get_mut(&stream)
            && !state.finished
            && state.reset.is_none()
        {
            state.finished = true;
            lane.extend(&frame::finish(stream));
        }
    }

    /// Forgets a stream; one that is not over is reset.
    pub fn release(&mut self, lane: &mut Lane, stream: u32, reset: Reset) {
        let Some(state) = self.streams.remove(&stream) else {
            return;
        };
        self.spare += state.window.beyond();
        self.unread -= state.unread.len();
        if !state.is_over() && !self.lost {
            lane.extend(&frame::reset(stream, reset));
        }
    }

    /// The lane has room again: streams that waited for it may go on.
    pub fn has_room(&mut self, wakes: &mut Wakes) {
        for stream in self.waiting.drain(..) {
            if let Some(state) = self.streams.get_mut(&stream) {
                wakes.extend(state.writer.take());
            }
        }
    }

    /// Everything is over: no carrier has come in time, or the other end does not know the lane.
    pub fn lose(&mut self, wakes: &mut Wakes) {
        self.lost = true;
        for state in self.streams.values_mut() {
            if !state.is_over() {
                state.reset = Some(Reset::Lost);
            }
            state.wake(wakes);
        }
        for (stream, _) in self.opened.drain(..) {
            if let Some(state) = self.streams.remove(&stream) {
                self.unread -= state.unread.len();
            }
        }
        wakes.extend(self.acceptor.take());
    }

    /// Bytes of the lane have come.
    ///
    /// # Errors
    /// The other end broke the protocol. The lane cannot go on.
    pub fn receive(
        &mut self,
        lane: &mut Lane,
        mut bytes: Bytes,
        now: Instant,
        wakes: &mut Wakes,
    ) -> Result<(), MuxError> {
        while let Some(item) = self.reader.next(&mut bytes)? {
            match item {
                Item::Open(stream, header) => self.on_open(lane, stream, header, now, wakes)?,
                Item::Data(stream, bytes) => {
                    if let Some(state) = self.known(stream)? {
                        on_data(stream, state, bytes, wakes).map(|length| self.unread += length)?;
                    }
                }
                Item::Finish(stream) => {
                    if let Some(state) = self.known(stream)? {
                        state.ended = true;
                        wakes.extend(state.reader.take());
                    }
                }
                Item::Reset(stream, reset) => {
                    if let Some(state) = self.known(stream)? {
                        state.reset.get_or_insert(reset);
                        state.wake(wakes);
                    }
                }
                Item::Credit(stream, more) => {
                    if let Some(state) = self.known(stream)? {
                        state.credit = state.credit.saturating_add(more as usize).min(MOST_CREDIT);
                        wakes.extend(state.writer.take());
                    }
                }
            }
        }
        Ok(())
    }

    fn on_open(
        &mut self,
        lane: &mut Lane,
        stream: u32,
        header: Bytes,
        now: Instant,
        wakes: &mut Wakes,
    ) -> Result<(), MuxError> {
        let next = self.last_of_peer.wrapping_add(2);
        if stream != next {
            return Err(MuxError::Number(stream));
        }
        self.last_of_peer = stream;
        if self.streams.len() >= MOST_STREAMS {
            lane.extend(&frame::reset(stream, Reset::TooMany));
            return Ok(());
        }
        self.streams.insert(stream, Stream::new(now));
        self.opened.push_back((stream, header));
        wakes.extend(self.acceptor.take());
        Ok(())
    }

    /// The stream, if it has not been released.
    fn known(&mut self, stream: u32) -> Result<Option<&mut Stream>, MuxError> {
        // Both ends count up by two from their first number.
        let of_peer = stream % 2 == self.last_of_peer % 2;
        let was_opened = match of_peer {
            true => self.last_of_peer != u32::MAX && stream <= self.last_of_peer && stream > 0,
            false => stream < self.next,
        };
        if !was_opened {
            return Err(MuxError::NotOpened(stream));
        }
        Ok(self.streams.get_mut(&stream))
    }
}

fn on_data(
    stream: u32,
    state: &mut Stream,
    bytes: Bytes,
    wakes: &mut Wakes,
) -> Result<usize, MuxError> {
    if state.ended || state.reset.is_some() {
        return Err(MuxError::AfterEnd(stream));
    }
    let length = bytes.len();
    state
        .window
        .take(length)
        .map_err(|more| MuxError::Credit(stream, more))?;
    state.unread.push(bytes);
    wakes.extend(state.reader.take());
    Ok(length)
}

/// Remembers whom to wake. Says whether nobody was remembered before.
fn set(slot: &mut Option<Waker>, waker: &Waker) -> bool {
    match slot {
        Some(known) => {
            known.clone_from(waker);
            false
        }
        None => {
            *slot = Some(waker.clone());
            true
        }
    }
}

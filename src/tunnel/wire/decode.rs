//! Frames from bytes, however these are cut into pieces.

use bytes::{Buf as _, Bytes, BytesMut};

use super::{Frame, HEAD, Kind, LONGEST, LONGEST_NUMBER, LONGEST_TEXT};

/// Read from the carrier at a time, unless a frame is longer.
const CHUNK: usize = 64 * 1024;
/// With less space than this a new piece of memory is taken.
const LEAST: usize = 4 * 1024;

/// What the other end must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A type below 0x80 that is not in the table.
    #[error("a frame of the unknown type {0}")]
    Unknown(u8),
    /// Longer than its type may be.
    #[error("a frame of type {0} with {1} bytes")]
    TooLong(u8, u32),
    /// Shorter than its type must be.
    #[error("a frame of type {0} with only {1} bytes")]
    TooShort(u8, u32),
}

/// Takes bytes and gives frames. Never holds more than one frame and what was read with it.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    /// What is left of a frame that is skipped.
    skip: usize,
}

impl Decoder {
    /// Where the next bytes of the carrier are to be appended: there is space for some.
    pub fn space(&mut self) -> &mut BytesMut {
        let spare = self.buffer.capacity() - self.buffer.len();
        if spare < LEAST {
            // A frame that has begun is read into one piece of memory.
            let rest = match self.head() {
                Some((_, length)) => (HEAD + length as usize).saturating_sub(self.buffer.len()),
                None => 0,
            };
            self.buffer.reserve(rest.clamp(CHUNK, HEAD + LONGEST));
        }
        &mut self.buffer
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Memory that is held.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    fn head(&self) -> Option<(u8, u32)> {
        let head = self.buffer.get(..HEAD)?;
        Some((
            head[0],
            u32::from_be_bytes([head[1], head[2], head[3], head[4]]),
        ))
    }

    /// The next frame, if all of it is there.
    ///
    /// # Errors
    /// The other end broke the protocol; the carrier must not be read any further.
    pub fn decode(&mut self) -> Result<Option<Frame>, WireError> {
        loop {
            let skipped = self.skip.min(self.buffer.len());
            self.buffer.advance(skipped);
            self.skip -= skipped;
            let Some((kind, length)) = self.head().filter(|_| self.skip == 0) else {
                return Ok(None);
            };
            let Some(known) = check(kind, length)? else {
                self.buffer.advance(HEAD);
                self.skip = length as usize;
                continue;
            };
            let whole = HEAD + length as usize;
            if self.buffer.len() < whole {
                return Ok(None);
            }
            let mut payload = self.buffer.split_to(whole).freeze();
            payload.advance(HEAD);
            return Ok(Some(frame(known, payload)));
        }
    }
}

/// What it is; nothing for a type that is skipped. Whatever passes can be read, and is of bounded length.
fn check(kind: u8, length: u32) -> Result<Option<Kind>, WireError> {
    let (known, least, most) = match kind {
        1 => (Some(Kind::Hello), 0, LONGEST_TEXT),
        2 => (Some(Kind::Welcome), 0, LONGEST_TEXT),
        3 => (Some(Kind::Refused), 0, LONGEST_TEXT),
        4 => (Some(Kind::Data), 16, LONGEST),
        5 => (Some(Kind::Ack), 8, LONGEST_NUMBER),
        6 => (Some(Kind::Ping), 8, LONGEST_NUMBER),
        7 => (Some(Kind::Pong), 8, LONGEST_NUMBER),
        8 => (Some(Kind::Goodbye), 0, LONGEST_TEXT),
        0x80.. => (None, 0, LONGEST),
        _ => return Err(WireError::Unknown(kind)),
    };
    if length as usize > most {
        return Err(WireError::TooLong(kind, length));
    }
    if (length as usize) < least {
        return Err(WireError::TooShort(kind, length));
    }
    Ok(known)
}

fn frame(kind: Kind, mut payload: Bytes) -> Frame {
    match kind {
        Kind::Hello => Frame::Hello(payload),
        Kind::Welcome => Frame::Welcome(payload),
        Kind::Refused => Frame::Refused(payload),
        Kind::Goodbye => Frame::Goodbye(payload),
        Kind::Ack => Frame::Ack(payload.get_u64()),
        Kind::Ping => Frame::Ping(payload.get_u64()),
        Kind::Pong => Frame::Pong(payload.get_u64()),
        Kind::Data => Frame::Data {
            offset: payload.get_u64(),
            received: payload.get_u64(),
            bytes: payload,
        },
    }
}

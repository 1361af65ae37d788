//! The frames of the multiplexer, which are the bytes of a lane.
//!
//! ```text
//! u32 stream | u8 type | u24 length of the payload, big endian | payload
//! ```
//!
//! | type | name | payload |
//! |---|---|---|
//! | 1 | OPEN | what the stream is for (`header`) |
//! | 2 | DATA | bytes of the stream, within the credit |
//! | 3 | FINISH | none: the sender sends no more |
//! | 4 | RESET | u8 reason: the stream ends both ways at once |
//! | 5 | CREDIT | u32: so many bytes more may be sent |
//!
//! A stream begins with a credit of [`super::window::FIRST`] bytes each way. Types from 0x80 on are skipped, others are errors; the rules are those of
//! `wire`.

use bytes::{Buf as _, Bytes, BytesMut};

use super::Reset;

/// Length of a head.
pub const HEAD: usize = 8;
/// The longest payload of other frames than DATA and those that are skipped.
const LONGEST_SMALL: usize = 1024;

/// What the other end must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MuxError {
    /// A type below 0x80 that is not in the table.
    #[error("stream {0}: a frame of the unknown type {1}")]
    Unknown(u32, u8),
    /// A length that its type cannot have.
    #[error("stream {0}: a frame of type {1} with {2} bytes")]
    Length(u32, u8, usize),
    /// A new stream with a number that it cannot have.
    #[error("stream {0} was opened out of turn")]
    Number(u32),
    /// Something about a stream that never was.
    #[error("stream {0} was not opened")]
    NotOpened(u32),
    /// More than the credit.
    #[error("stream {0}: {1} bytes more than the credit")]
    Credit(u32, usize),
    /// Bytes after the end.
    #[error("stream {0}: bytes after the end")]
    AfterEnd(u32),
}

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A new stream and its header.
    Open(u32, Bytes),
    /// Bytes of a stream: a frame, or a part of one.
    Data(u32, Bytes),
    /// The other end sends no more.
    Finish(u32),
    /// The stream is over.
    Reset(u32, Reset),
    /// More may be sent.
    Credit(u32, u32),
}

const OPEN: u8 = 1;
const DATA: u8 = 2;
const FINISH: u8 = 3;
const RESET: u8 = 4;
const CREDIT: u8 = 5;

/// The head of a frame.
fn head(stream: u32, kind: u8, length: usize) -> [u8; HEAD] {
    debug_assert!(length < 1 << 24);
    let [a, b, c, d] = stream.to_be_bytes();
    let [_, x, y, z] = (length as u32).to_be_bytes();
    [a, b, c, d, kind, x, y, z]
}

/// The head of DATA, to be followed by so many bytes.
pub fn data(stream: u32, length: usize) -> [u8; HEAD] {
    head(stream, DATA, length)
}

/// OPEN. The header is at most `LONGEST_SMALL` long.
pub fn open(stream: u32, header: &[u8]) -> BytesMut {
    let header = &header[..header.len().min(LONGEST_SMALL)];
    let mut out = BytesMut::from(&head(stream, OPEN, header.len())[..]);
    out.extend_from_slice(header);
    out
}

/// FINISH.
pub fn finish(stream: u32) -> [u8; HEAD] {
    head(stream, FINISH, 0)
}

/// RESET.
pub fn reset(stream: u32, reset: Reset) -> [u8; HEAD + 1] {
    let mut out = [0; HEAD + 1];
    out[..HEAD].copy_from_slice(&head(stream, RESET, 1));
    out[HEAD] = reset.code();
    out
}

/// CREDIT.
pub fn credit(stream: u32, more: u32) -> [u8; HEAD + 4] {
    let mut out = [0; HEAD + 4];
    out[..HEAD].copy_from_slice(&head(stream, CREDIT, 4));
    out[HEAD..].copy_from_slice(&more.to_be_bytes());
    out
}

/// Items from bytes, however these are cut into pieces. Never holds more than one small frame.
#[derive(Debug, Default)]
pub struct Reader {
    small: BytesMut,
    /// What is left of a frame whose bytes are passed on or skipped as they come.
    rest: usize,
    /// Whose they are; nobody's if they are skipped.
    stream: Option<u32>,
}

impl Reader {
    /// The next item. Takes from the input what it has read; nothing is left in it when there is none.
    ///
    /// # Errors
    /// The other end broke the protocol; nothing must be read any further.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Item>, MuxError> {
        loop {
            if self.rest > 0 {
                if input.is_empty() {
                    return Ok(None);
                }
                let part = input.split_to(self.rest.min(input.len()));
                self.rest -= part.len();
                match self.stream {
                    Some(stream) => return Ok(Some(Item::Data(stream, part))),
                    None => continue,
                }
            }
            if !self.gather(HEAD, input) {
                return Ok(None);
            }
            let mut head = &self.small[..HEAD];
            let stream = head.get_u32();
            let kind = head.get_u8();
            let length = head.get_uint(3) as usize;
            let fits = match kind {
                OPEN | FINISH => length <= LONGEST_SMALL,
                RESET => (1..=LONGEST_SMALL).contains(&length),
                CREDIT => (4..=LONGEST_SMALL).contains(&length),
                DATA | 0x80.. => {
                    self.small.clear();
                    self.rest = length;
                    self.stream = (kind == DATA).then_some(stream);
                    continue;
                }
                _ => return Err(MuxError::Unknown(stream, kind)),
            };
            if !fits {
                return Err(MuxError::Length(stream, kind, length));
            }
            if !self.gather(HEAD + length, input) {
                return Ok(None);
            }
            let mut payload = self.small.split().freeze();
            payload.advance(HEAD);
            return Ok(Some(match kind {
                OPEN => Item::Open(stream, payload),
                FINISH => Item::Finish(stream),
                RESET => Item::Reset(stream, Reset::from_code(payload.get_u8())),
                _ => Item::Credit(stream, payload.get_u32()),
            }));
        }
    }

    /// Whether so many bytes are together now.
    fn gather(&mut self, wanted: usize, input: &mut Bytes) -> bool {
        let missing = wanted.saturating_sub(self.small.len());
        let part = input.split_to(missing.min(input.len()));
        self.small.extend_from_slice(&part);
        self.small.len() >= wanted
    }
}

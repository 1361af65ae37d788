//! The frames on a carrier, and what the two ends may expect of each other across versions.
//!
//! ```text
//! u8 type | u32 length of the payload, big endian | payload
//! ```
//!
//! | type | name | payload | sent by |
//! |---|---|---|---|
//! | 1 | HELLO | [`hello`] | client, first |
//! | 2 | WELCOME | [`hello`] | agent, first |
//! | 3 | REFUSED | [`hello`] | agent, instead of WELCOME or later; the carrier ends |
//! | 4 | DATA | u64 offset, u64 received so far, bytes | both |
//! | 5 | ACK | u64 received so far | both |
//! | 6 | PING | u64 | both |
//! | 7 | PONG | u64 of the PING | both |
//! | 8 | GOODBYE | text | both, last: the lane is not resumed |
//!
//! # Rules of compatibility
//!
//! 1. The head of a frame, and the magic and the versions at the start of HELLO, never change. What a HELLO says after them, and
//!    what WELCOME and REFUSED say, is JSON whose unknown members are ignored: members are added, never renamed or given another
//!    meaning.
//! 2. HELLO offers a range of versions, WELCOME names the highest that both ends speak. Everything else on the carrier is as that
//!    version says. Without a common one the agent says REFUSED with its own range, so that a person learns which end to update.
//! 3. An unknown type below 0x80 is an error and ends the carrier. One from 0x80 on is skipped: what an older end may miss is sent
//!    as such a type, or only to ends that name it among their capabilities.
//! 4. A payload may be longer than this table says, up to the limit of its type; what is too much is ignored. It is never shorter.
//! 5. The same holds for frames of the multiplexer (`mux::frame`) and for the headers of streams (`header`).
//! 6. Two ends of one version differ in nothing but capabilities. A capability is a name; it is used only if both ends have it.

mod decode;
pub mod hello;
#[cfg(test)]
mod tests;

pub use decode::{Decoder, WireError};

use bytes::{BufMut as _, Bytes, BytesMut};

/// Length of a frame's head.
pub const HEAD: usize = 5;
/// Length of the head of DATA, with offset and acknowledgement.
pub const DATA_HEAD: usize = HEAD + 16;
/// The longest payload of DATA and of types that are skipped.
pub const LONGEST: usize = 256 * 1024;
/// The longest payload of frames that are read as a whole: HELLO, WELCOME, REFUSED, GOODBYE.
pub const LONGEST_TEXT: usize = 4 * 1024;
/// The longest payload of ACK, PING and PONG.
pub const LONGEST_NUMBER: usize = 64;
/// The versions that this program speaks.
pub const VERSIONS: Versions = Versions { min: 1, max: 1 };

/// A range of protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Versions {
    /// The oldest.
    pub min: u16,
    /// The newest.
    pub max: u16,
}

impl Versions {
    /// The highest version that both speak.
    pub fn common(self, other: Self) -> Option<u16> {
        let highest = self.max.min(other.max);
        (highest >= self.min.max(other.min)).then_some(highest)
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The client's first frame.
    Hello = 1,
    /// The agent takes the client.
    Welcome = 2,
    /// The agent does not take the client, or no longer.
    Refused = 3,
    /// Bytes of the lane.
    Data = 4,
    /// How much of the lane has come.
    Ack = 5,
    /// Are you there?
    Ping = 6,
    /// Yes.
    Pong = 7,
    /// The lane ends for good.
    Goodbye = 8,
}

/// A frame as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// See [`hello::Hello`].
    Hello(Bytes),
    /// See [`hello::Welcome`].
    Welcome(Bytes),
    /// See [`hello::Refused`].
    Refused(Bytes),
    /// Bytes of the lane.
    Data {
        /// Where in the lane they begin.
        offset: u64,
        /// How much of the other direction the sender has received.
        received: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// How much the sender has received.
    Ack(u64),
    /// Asks for a PONG with the same number.
    Ping(u64),
    /// Answers a PING.
    Pong(u64),
    /// The lane ends for good; the text says why.
    Goodbye(Bytes),
}

impl Frame {
    /// Appends the frame as it stands on the carrier. Texts that are too long are cut.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Hello(text) => put_text(out, Kind::Hello, text),
            Self::Welcome(text) => put_text(out, Kind::Welcome, text),
            Self::Refused(text) => put_text(out, Kind::Refused, text),
            Self::Goodbye(text) => put_text(out, Kind::Goodbye, text),
            Self::Ack(received) => put_number(out, Kind::Ack, *received),
            Self::Ping(number) => put_number(out, Kind::Ping, *number),
            Self::Pong(number) => put_number(out, Kind::Pong, *number),
            Self::Data {
                offset,
                received,
                bytes,
            } => {
                out.put_slice(&data_head(*offset, *received, bytes.len()));
                out.put_slice(bytes);
            }
        }
    }
}

/// The head of a DATA frame with so many bytes, at most [`LONGEST`] less 16.
pub fn data_head(offset: u64, received: u64, bytes: usize) -> [u8; DATA_HEAD] {
    debug_assert!(bytes + 16 <= LONGEST);
    let mut head = [0; DATA_HEAD];
    let mut rest = &mut head[..];
    rest.put_u8(Kind::Data as u8);
    rest.put_u32(bytes as u32 + 16);
    rest.put_u64(offset);
    rest.put_u64(received);
    head
}

fn put_text(out: &mut BytesMut, kind: Kind, text: &Bytes) {
    let text = &text[..text.len().min(LONGEST_TEXT)];
    out.put_u8(kind as u8);
    out.put_u32(text.len() as u32);
    out.put_slice(text);
}

fn put_number(out: &mut BytesMut, kind: Kind, number: u64) {
    out.put_u8(kind as u8);
    out.put_u32(8);
    out.put_u64(number);
}

//! Streams on one lane. Either end opens them; each has a credit window of its own, so that a slow reader holds up nobody else.

pub mod frame;
mod state;
#[cfg(test)]
mod tests;
mod window;

pub use frame::MuxError;
pub use state::{Mux, Wakes};
pub use window::{FIRST as FIRST_CREDIT, SPARE as SPARE_CREDIT};

/// Streams of one lane at a time.
pub const MOST_STREAMS: usize = 4096;
/// The longest payload of a frame: others take turns after it.
pub const LONGEST_TURN: usize = 64 * 1024;

/// Which end of the lane this is: the two number their streams differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Opens streams with odd numbers.
    Client,
    /// Opens streams with even numbers.
    Agent,
}

/// Why a stream ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reset {
    /// The other end gave it up.
    #[error("the other end gave the connection up")]
    Cancelled,
    /// Nothing takes connections where it should lead to.
    #[error("nothing accepts connections there")]
    Unreachable,
    /// The other end does not know what the stream is for.
    #[error("the other end does not know this kind of connection")]
    Unsupported,
    /// There are too many streams.
    #[error("too many connections at a time")]
    TooMany,
    /// The session was lost, and with it all streams.
    #[error("the tunnel was interrupted for too long")]
    Lost,
    /// For a reason that this version does not know.
    #[error("the connection was reset for an unknown reason ({0})")]
    Other(u8),
}

impl Reset {
    /// As it stands in a frame.
    pub fn code(self) -> u8 {
        match self {
            Self::Cancelled => 1,
            Self::Unreachable => 2,
            Self::Unsupported => 3,
            Self::TooMany => 4,
            Self::Lost => 5,
            Self::Other(code) => code,
        }
    }

    /// From a frame.
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Cancelled,
            2 => Self::Unreachable,
            3 => Self::Unsupported,
            4 => Self::TooMany,
            5 => Self::Lost,
            other => Self::Other(other),
        }
    }
}

impl From<Reset> for std::io::Error {
    fn from(reset: Reset) -> Self {
        Self::new(std::io::ErrorKind::ConnectionReset, reset)
    }
}

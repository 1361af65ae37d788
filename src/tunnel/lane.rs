//! A lane: an ordered stream of bytes each way that goes on over a succession of carriers. Decides only; `drive` moves the bytes.
//!
//! What was sent is kept until the other end says that it has come, so that the next carrier begins where the last one ended.
//!
//! ```text
//!   0 ─────── acked ─────────── sent ───────── written
//!   forgotten     kept (`sent`)      waits (`unsent`)
//! ```

pub mod chunks;
pub mod pulse;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};

use chunks::Chunks;

/// So much may be sent without an acknowledgement. More waits with the streams, which then wait with their writers.
pub const KEPT: usize = 4 * 1024 * 1024;
/// So much may wait for the carrier. Little, as whoever comes next waits behind it.
pub const WAITING: usize = 256 * 1024;
/// When so much has come, it is acknowledged at once.
const ACK_AFTER: u64 = 256 * 1024;

/// The other end said what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaneError {
    /// It acknowledged what was not sent, or takes an acknowledgement back.
    #[error("byte {said} was acknowledged, between {acked} and {sent} was expected")]
    Ack {
        /// What it said.
        said: u64,
        /// What it said before.
        acked: u64,
        /// What was sent.
        sent: u64,
    },
    /// Bytes are missing between what came and what comes.
    #[error("bytes {offset} and on came, {expected} was expected")]
    Gap {
        /// What came.
        offset: u64,
        /// What should have.
        expected: u64,
    },
}

/// Bytes to be sent in one frame. They are appended to what [`Lane::take`] was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Where in the lane they begin.
    pub offset: u64,
    /// What was received, to be said with them.
    pub received: u64,
    /// How many.
    pub length: usize,
}

/// One end of a lane.
#[derive(Debug, Default)]
pub struct Lane {
    unsent: Chunks,
    sent: VecDeque<Bytes>,
    kept: usize,
    acked: u64,
    received: u64,
    told: u64,
}

impl Lane {
    /// How many bytes a stream may add now.
    pub fn room(&self) -> usize {
        WAITING.saturating_sub(self.unsent.len())
    }

    /// Bytes that are kept or wait.
    pub fn held(&self) -> usize {
        self.kept + self.unsent.len()
    }

    /// Whether something waits for the carrier and may be sent.
    pub fn wants_to_send(&self) -> bool {
        !self.unsent.is_empty() && self.kept < KEPT
    }

    /// Whether the other end has everything.
    pub fn is_drained(&self) -> bool {
        self.held() == 0
    }

    /// Whether something was sent that the other end has not acknowledged.
    pub fn is_owed(&self) -> bool {
        self.kept > 0
    }

    /// How much has come.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// How much has come, and how much has arrived at the other end.
    pub fn passed(&self) -> u64 {
        self.received + self.acked
    }

    /// Whether more has come than the other end was told.
    pub fn owes(&self) -> bool {
        self.received > self.told
    }

    /// Whether so much has come that it must be said at once.
    pub fn owes_much(&self) -> bool {
        self.received - self.told >= ACK_AFTER
    }

    /// Adds a copy of bytes. What must not wait (credit, ends of streams) may be added without room.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.unsent.extend(bytes);
    }

    /// Adds bytes.
    pub fn push(&mut self, bytes: Bytes) {
        self.unsent.push(bytes);
    }

    fn sent(&self) -> u64 {
        self.acked + self.kept as u64
    }

    /// A new carrier is there, and the other end has received so much.
    ///
    /// # Errors
    /// It has received what was not sent: it is not the end that this lane was made with.
    pub fn resume(&mut self, received: u64) -> Result<(), LaneError> {
        self.on_ack(received)?;
        while let Some(last) = self.sent.pop_back() {
            self.unsent.push_front(last);
        }
        self.kept = 0;
        // It was told with HELLO or WELCOME.
        self.told = self.received;
        Ok(())
    }

    /// The bytes of the next frame, at most so many: they are to be sent on the carrier that is there.
    pub fn take(&mut self, most: usize, parts: &mut VecDeque<Bytes>) -> Option<Outgoing> {
        let offset = self.sent();
        let most = most.min(KEPT.saturating_sub(self.kept));
        let mut length = 0;
        while length < most {
            let Some(part) = self.unsent.pop(most - length) else {
                break;
            };
            length += part.len();
            parts.push_back(part.clone());
            self.sent.push_back(part);
        }
        if length == 0 {
            return None;
        }
        self.kept += length;
        Some(Outgoing {
            offset,
            received: self.take_ack(),
            length,
        })
    }

    /// What has come; it is said to the other end now.
    pub fn take_ack(&mut self) -> u64 {
        self.told = self.received;
        self.received
    }

    /// The other end has received so much.
    ///
    /// # Errors
    /// That much was not sent, or it has said more before.
    pub fn on_ack(&mut self, received: u64) -> Result<(), LaneError> {
        let sent = self.sent();
        if received < self.acked || received > sent {
            return Err(LaneError::Ack {
                said: received,
                acked: self.acked,
                sent,
            });
        }
        // No more than `kept`, which is a usize.
        let mut gone = (received - self.acked) as usize;
        self.acked = received;
        self.kept -= gone;
        while let Some(first) = self.sent.front_mut().filter(|_| gone > 0) {
            if first.len() > gone {
                first.advance(gone);
                break;
            }
            gone -= first.len();
            self.sent.pop_front();
        }
        Ok(())
    }

    /// Bytes have come. Gives those that are new.
    ///
    /// # Errors
    /// Some are missing before them.
    pub fn on_data(&mut self, offset: u64, mut bytes: Bytes) -> Result<Bytes, LaneError> {
        if offset > self.received {
            return Err(LaneError::Gap {
                offset,
                expected: self.received,
            });
        }
        let known = self.received - offset;
        bytes.advance(usize::try_from(known).map_or(bytes.len(), |known| known.min(bytes.len())));
        self.received += bytes.len() as u64;
        Ok(bytes)
    }
}

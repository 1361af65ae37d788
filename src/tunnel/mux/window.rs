//! How much the other end may send on a stream: pure, the clock is given.
//!
//! A stream begins with little. One whose bytes are read as fast as they come gets more, up to [`WIDEST`], as long as all streams of the
//! lane together have not more than [`SPARE`] beyond their first. So the memory of a lane is bounded, by the number of streams and [`SPARE`],
//! whoever stops reading.

use std::time::Duration;

use tokio::time::Instant;

/// What each stream may send at first.
pub const FIRST: usize = 64 * 1024;
/// The most that one stream may have.
pub const WIDEST: usize = 4 * 1024 * 1024;
/// What all streams of a lane may have together beyond [`FIRST`].
pub const SPARE: usize = 16 * 1024 * 1024;
/// A window that is used up faster than this is widened.
const FAST: Duration = Duration::from_millis(250);

/// The receiving end of a stream.
#[derive(Debug)]
pub struct Window {
    size: usize,
    granted: usize,
    read: usize,
    since: Instant,
}

impl Window {
    /// That of a new stream.
    pub fn new(now: Instant) -> Self {
        Self {
            size: FIRST,
            granted: FIRST,
            read: 0,
            since: now,
        }
    }

    /// What this stream has beyond the first.
    pub fn beyond(&self) -> usize {
        self.size - FIRST
    }

    /// Bytes have come. Gives how many too many these are.
    pub fn take(&mut self, bytes: usize) -> Result<(), usize> {
        match self.granted.checked_sub(bytes) {
            Some(left) => {
                self.granted = left;
                Ok(())
            }
            None => Err(bytes - self.granted),
        }
    }

    /// Bytes were read from the stream; `waiting` are still unread. Gives the credit to be granted, if it is enough to be worth a frame.
    /// `spare` is what is left of [`SPARE`].
    pub fn read(
        &mut self,
        bytes: usize,
        waiting: usize,
        now: Instant,
        spare: &mut usize,
    ) -> Option<u32> {
        self.read += bytes;
        if self.read < self.size / 2 {
            return None;
        }
        let mut more = self.read;
        if waiting == 0 && now.duration_since(self.since) < FAST {
            let wider = self.size.min(WIDEST - self.size).min(*spare);
            self.size += wider;
            *spare -= wider;
            more += wider;
        }
        self.granted += more;
        self.read = 0;
        self.since = now;
        u32::try_from(more).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_reader_gets_a_wider_window_while_there_is_any_to_spare() {
        let start = Instant::now();
        let mut window = Window::new(start);
        let mut spare = 100_000;
        window.take(FIRST).unwrap();
        assert_eq!(window.read(1000, FIRST - 1000, start, &mut spare), None);
        let more = window.read(FIRST - 1000, 0, start, &mut spare);
        assert_eq!(more, Some(2 * FIRST as u32));
        assert_eq!(spare, 100_000 - FIRST);
        window.take(2 * FIRST).unwrap();
        let more = window.read(2 * FIRST, 0, start, &mut spare).unwrap();
        assert_eq!((more as usize, spare), (2 * FIRST + 100_000 - FIRST, 0));
        assert_eq!(window.beyond(), 100_000);
    }

    #[test]
    fn a_slow_reader_gets_no_more_than_it_reads() {
        let start = Instant::now();
        let mut window = Window::new(start);
        let mut spare = SPARE;
        window.take(FIRST).unwrap();
        let more = window.read(FIRST / 2, FIRST / 2, start, &mut spare);
        assert_eq!(more, Some(FIRST as u32 / 2));
        let more = window.read(FIRST / 2, 0, start + FAST, &mut spare);
        assert_eq!(more, Some(FIRST as u32 / 2));
        assert_eq!(spare, SPARE);
    }

    #[test]
    fn more_than_the_credit_is_told() {
        let mut window = Window::new(Instant::now());
        window.take(FIRST - 1).unwrap();
        assert_eq!(window.take(11), Err(10));
    }
}

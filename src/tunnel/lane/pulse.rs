//! Whether the other end of a carrier is still there: pure, the clock is given.

use std::time::Duration;

use tokio::time::Instant;

/// After so long a silence the other end is asked.
pub const ASK_AFTER: Duration = Duration::from_secs(2);
/// What was asked or sent is answered within this time, or the carrier is doubtful: nothing new is begun on it.
pub const DOUBT_AFTER: Duration = Duration::from_secs(2);
/// After so long a silence the carrier is given up.
pub const DEAD_AFTER: Duration = Duration::from_secs(6);

/// What is to be done about a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Well,
    /// Send a PING.
    Ask,
    /// The carrier is to be given up.
    Dead,
}

/// When something was heard, and since when an answer is due.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    heard: Instant,
    /// The first that was sent since then and wants an answer.
    waiting: Option<Instant>,
    asked: Option<Instant>,
}

impl Pulse {
    /// The other end has just been heard.
    pub fn new(now: Instant) -> Self {
        Self {
            heard: now,
            waiting: None,
            asked: None,
        }
    }

    /// Something has come.
    pub fn hear(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Something was sent that will be acknowledged.
    pub fn expect(&mut self, now: Instant) {
        self.waiting.get_or_insert(now);
    }

    /// When to look again, after what is due now has been done.
    pub fn next(&self, now: Instant) -> Instant {
        let ask = self.asked.unwrap_or(self.heard) + ASK_AFTER;
        let next = ask.min(self.heard + DEAD_AFTER);
        match self.waiting.map(|since| since + DOUBT_AFTER) {
            Some(doubt) if doubt > now => next.min(doubt),
            Some(_) | None => next,
        }
    }

    /// Since when an answer has been missing, if that is too long.
    pub fn doubt(&self, now: Instant) -> Option<Instant> {
        self.waiting.filter(|since| now >= *since + DOUBT_AFTER)
    }

    /// What to do now.
    pub fn look(&mut self, now: Instant) -> Verdict {
        if now >= self.heard + DEAD_AFTER {
            return Verdict::Dead;
        }
        if now >= self.asked.unwrap_or(self.heard) + ASK_AFTER {
            self.asked = Some(now);
            self.expect(now);
            return Verdict::Ask;
        }
        Verdict::Well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: f64) -> Duration {
        Duration::from_secs_f64(count)
    }

    #[test]
    fn a_silent_end_is_asked_then_doubted_then_given_up() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.look(start + seconds(1.9)), Verdict::Well);
        assert_eq!(pulse.next(start), start + seconds(2.0));
        assert_eq!(pulse.look(start + seconds(2.0)), Verdict::Ask);
        assert_eq!(pulse.doubt(start + seconds(3.9)), None);
        assert_eq!(
            pulse.doubt(start + seconds(4.0)),
            Some(start + seconds(2.0))
        );
        assert_eq!(pulse.look(start + seconds(4.0)), Verdict::Ask);
        assert_eq!(pulse.look(start + seconds(5.9)), Verdict::Well);
        assert_eq!(pulse.next(start + seconds(5.9)), start + seconds(6.0));
        assert_eq!(pulse.look(start + seconds(6.0)), Verdict::Dead);
    }

    #[test]
    fn who_owes_an_acknowledgement_is_doubted_sooner() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.expect(start + seconds(0.5));
        pulse.expect(start + seconds(1.5));
        assert_eq!(pulse.look(start + seconds(2.0)), Verdict::Ask);
        assert_eq!(pulse.next(start + seconds(2.0)), start + seconds(2.5));
        assert_eq!(
            pulse.doubt(start + seconds(2.5)),
            Some(start + seconds(0.5))
        );
        // The doubt has been told: it is no reason to look again.
        assert_eq!(pulse.next(start + seconds(2.5)), start + seconds(4.0));
    }

    #[test]
    fn any_sign_of_life_ends_the_doubt() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.expect(start);
        assert!(pulse.doubt(start + seconds(3.0)).is_some());
        pulse.hear(start + seconds(3.0));
        assert_eq!(pulse.doubt(start + seconds(20.0)), None);
        assert_eq!(pulse.look(start + seconds(4.0)), Verdict::Well);
    }
}

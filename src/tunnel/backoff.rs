//! How long to wait before the agent is dialled again.

use std::time::Duration;

/// The first pause, after an attempt that was made at once.
const FIRST: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST: Duration = Duration::from_secs(5);
/// From pause to pause. Slow enough that somebody who was away for a second is back before new connections have waited for two.
const GROWTH: f64 = 1.25;

/// Pauses that grow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failed: u32,
}

impl Backoff {
    /// The pause before the next attempt: about a quarter of the time that has passed since the first. `chance` is from 0 to 1: many clients that were cut off at once do not come back at once.
    pub fn next(&mut self, chance: f64) -> Duration {
        let failed = self.failed;
        self.failed = failed.saturating_add(1);
        match failed.checked_sub(1) {
            None => Duration::ZERO,
            Some(pauses) => FIRST
                .mul_f64(GROWTH.powi(pauses.min(30) as i32))
                .min(LONGEST)
                .mul_f64(0.75 + 0.5 * chance.clamp(0.0, 1.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_is_made_at_once_and_pauses_grow() {
        let mut backoff = Backoff::default();
        let millis: Vec<u128> = (0..25).map(|_| backoff.next(0.5).as_millis()).collect();
        assert_eq!(millis[..5], [0, 100, 125, 156, 195]);
        assert_eq!(millis[18..21], [4440, 5000, 5000]);
        assert!(millis[..9].iter().sum::<u128>() < 2000);
        for _ in 0..100 {
            assert!(backoff.next(1.0) <= LONGEST.mul_f64(1.25));
        }
    }

    #[test]
    fn chance_spreads_them() {
        let mut backoff = Backoff { failed: 1 };
        assert_eq!(backoff.next(0.0), Duration::from_millis(75));
        let mut backoff = Backoff { failed: 1 };
        assert_eq!(backoff.next(1.0), Duration::from_millis(125));
    }
}

//! PURE: when a child that ended is started again.

use std::time::Duration;

use tokio::time::Instant;

/// The first restart is at once, the next ones after this pause, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A child that lived this long was a good one: its end counts as the first again.
const GOOD_LIFE: Duration = Duration::from_secs(10);

/// What is known of a child.
#[derive(Clone, Debug)]
pub(super) struct Restarts {
    longest_pause: Duration,
    /// Ends in a row after short lives.
    ends: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Due(Instant),
    Running { pid: u32, since: Instant },
}

impl Restarts {
    /// A child that is to be started now.
    pub(super) fn new(longest_pause: Duration, now: Instant) -> Self {
        Self {
            longest_pause,
            ends: 0,
            state: State::Due(now),
        }
    }

    /// When it is to be started; `None`: it runs.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Due(at) => Some(at),
            State::Running { .. } => None,
        }
    }

    /// Its process, if it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        match self.state {
            State::Due(_) => None,
            State::Running { pid, .. } => Some(pid),
        }
    }

    /// It was started.
    pub(super) fn started(&mut self, pid: u32, now: Instant) {
        self.state = State::Running { pid, since: now };
    }

    /// It has ended, or could not be started. Gives the pause before the next start.
    pub(super) fn ended(&mut self, now: Instant) -> Duration {
        let good = match self.state {
            State::Due(_) => false,
            State::Running { since, .. } => now.duration_since(since) >= GOOD_LIFE,
        };
        if good {
            self.ends = 0;
        }
        let pause = match self.ends {
            0 => Duration::ZERO,
            ends => FIRST_PAUSE
                .saturating_mul(2_u32.saturating_pow(ends - 1))
                .min(self.longest_pause),
        };
        self.ends = self.ends.saturating_add(1);
        self.state = State::Due(now + pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_first_restart_is_at_once_and_the_pauses_grow_up_to_a_limit() {
        let now = Instant::now();
        let mut child = Restarts::new(LONGEST, now);
        assert_eq!(child.due(), Some(now));
        let mut pauses = Vec::new();
        for pid in 1..8 {
            child.started(pid, now);
            assert_eq!((child.due(), child.pid()), (None, Some(pid)));
            pauses.push(child.ended(now).as_millis());
        }
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(child.due(), Some(now + LONGEST));
        assert_eq!(child.pid(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_long_life_the_restart_is_at_once_again() {
        let mut child = Restarts::new(LONGEST, Instant::now());
        for pid in 1..5 {
            child.started(pid, Instant::now());
            child.ended(Instant::now());
        }
        child.started(5, Instant::now());
        tokio::time::advance(GOOD_LIFE).await;
        assert_eq!(child.ended(Instant::now()), Duration::ZERO);
        child.started(6, Instant::now());
        assert_eq!(child.ended(Instant::now()), FIRST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_started_is_tried_again_after_a_pause() {
        let now = Instant::now();
        let mut child = Restarts::new(LONGEST, now);
        assert_eq!(child.ended(now), Duration::ZERO);
        assert_eq!(child.ended(now), FIRST_PAUSE);
        assert_eq!(child.due(), Some(now + FIRST_PAUSE));
    }
}

//! How long a router goes on after it was told to end: until nobody needs it any more.
//!
//! Readiness fails first, so that Services stop sending new connections here. Until every node knows that, new ones are
//! taken; clients are told with each response to connect anew. The judgement is pure.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::admin::Admin;

/// How often Envoy is asked how many connections there are.
const PERIOD: Duration = Duration::from_millis(500);
/// What is left of the grace period for the end of the processes.
const MARGIN: Duration = Duration::from_secs(5);

/// The times of a drain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    began: Instant,
    least: Duration,
    most: Duration,
}

/// Why a drain has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// No client is connected.
    NobodyLeft,
    /// The grace period is nearly over, with so many clients connected.
    TimeUp(u64),
    /// Envoy does not answer: it serves nobody.
    NoEnvoy,
}

impl Drain {
    /// A drain that begins now. `least`: until every node knows that the pod is not ready. `grace`: after that long the
    /// kubelet ends the container.
    pub(super) fn begin(now: Instant, least: Duration, grace: Duration) -> Self {
        // Of a very short grace period half is left.
        let most = grace.saturating_sub(MARGIN.min(grace / 2));
        Self {
            began: now,
            least: least.min(most),
            most,
        }
    }

    /// Whether it has ended. `connections`: of clients, `None` where Envoy does not answer.
    pub(super) fn judge(&self, now: Instant, connections: Option<u64>) -> Option<End> {
        let passed = now.duration_since(self.began);
        if passed < self.least {
            return None;
        }
        match connections {
            None => Some(End::NoEnvoy),
            Some(0) => Some(End::NobodyLeft),
            Some(left) if passed >= self.most => Some(End::TimeUp(left)),
            Some(_) => None,
        }
    }

    /// When to look next.
    pub(super) fn next_look(&self, now: Instant) -> Duration {
        let left = |whole: Duration| whole.checked_sub(now.duration_since(self.began));
        match left(self.least).filter(|left| !left.is_zero()) {
            Some(left) => left,
            None => {
                left(self.most).map_or(PERIOD, |left| left.clamp(Duration::from_millis(1), PERIOD))
            }
        }
    }
}

/// Makes Envoy turn clients away politely, and waits until it may end. `say` gets what went wrong.
pub(super) async fn drain(
    admin: &Admin,
    least: Duration,
    grace: Duration,
    say: &(dyn Fn(String) + Sync),
) -> End {
    let drain = Drain::begin(Instant::now(), least, grace);
    for path in ["/healthcheck/fail", "/drain_listeners?graceful&skip_exit"] {
        if let Err(error) = admin.post(path).await {
            say(format!("{error}: {}", error.causes().join(": ")));
        }
    }
    loop {
        sleep(drain.next_look(Instant::now())).await;
        let connections = admin.connections().await.ok();
        if let Some(end) = drain.judge(Instant::now(), connections) {
            return end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_secs(5);
    const GRACE: Duration = Duration::from_secs(900);

    #[tokio::test(start_paused = true)]
    async fn it_lasts_until_every_node_knows_even_if_nobody_is_connected() {
        let drain = Drain::begin(Instant::now(), LEAST, GRACE);
        assert_eq!(drain.judge(Instant::now(), Some(0)), None);
        assert_eq!(drain.judge(Instant::now(), None), None);
        assert_eq!(drain.next_look(Instant::now()), LEAST);
        tokio::time::advance(LEAST).await;
        assert_eq!(drain.judge(Instant::now(), Some(0)), Some(End::NobodyLeft));
        assert_eq!(drain.judge(Instant::now(), None), Some(End::NoEnvoy));
    }

    #[tokio::test(start_paused = true)]
    async fn it_lasts_as_long_as_somebody_is_connected_but_ends_before_the_kubelet_ends_it() {
        let drain = Drain::begin(Instant::now(), LEAST, GRACE);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(drain.judge(Instant::now(), Some(3)), None);
        assert_eq!(drain.next_look(Instant::now()), PERIOD);
        tokio::time::advance(GRACE - MARGIN - Duration::from_secs(60)).await;
        assert_eq!(drain.judge(Instant::now(), Some(3)), Some(End::TimeUp(3)));
        assert!(drain.next_look(Instant::now()) <= PERIOD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_grace_period_is_kept() {
        let drain = Drain::begin(Instant::now(), LEAST, Duration::from_secs(4));
        assert_eq!(drain.next_look(Instant::now()), Duration::from_secs(2));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(drain.judge(Instant::now(), Some(1)), Some(End::TimeUp(1)));
        let none = Drain::begin(Instant::now(), LEAST, Duration::ZERO);
        assert_eq!(none.judge(Instant::now(), Some(1)), Some(End::TimeUp(1)));
    }
}

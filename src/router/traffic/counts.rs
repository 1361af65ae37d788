//! What was counted of one version of a service on one port: requests, failures, and a histogram of their times.

use serde::{Deserialize, Serialize};

/// So many requests took from `lower` to `lower + width` milliseconds. Envoy's bins are fine: two digits of each time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Milliseconds.
    pub lower: f64,
    /// Milliseconds; 0 where Envoy has measured less than 1.
    pub width: f64,
    /// Requests.
    pub count: u64,
}

/// Counts. Those of several ports and several routers can be added up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Requests that were answered, whatever the answer.
    pub requests: u64,
    /// Answers with a status from 500 on, and requests that got none.
    pub failed: u64,
    /// Calls of gRPC that ended as those of a failing server do. A call that got no answer is in both.
    pub grpc_failed: u64,
    /// How long requests took, by `lower` upwards.
    pub times: Vec<Bin>,
}

impl Counts {
    /// What was counted since `before`, by the same Envoy: one that was started again counts from 0.
    pub fn since(&self, before: &Self) -> Self {
        if before.requests > self.requests || before.failed > self.failed {
            return self.clone();
        }
        Self {
            requests: self.requests - before.requests,
            failed: self.failed - before.failed,
            grpc_failed: self.grpc_failed.saturating_sub(before.grpc_failed),
            times: merged(&self.times, &before.times, u64::saturating_sub),
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.grpc_failed += other.grpc_failed;
        self.times = merged(&self.times, &other.times, |one, other| one + other);
    }

    /// The share of requests that did not fail, from 0 to 1; `None` without requests.
    pub fn success(&self) -> Option<f64> {
        // Calls of gRPC without an answer are in both; a port speaks gRPC or it does not.
        let failed = self.failed.max(self.grpc_failed).min(self.requests);
        (self.requests > 0).then(|| 1.0 - ratio(failed, self.requests))
    }

    /// The time in milliseconds that this share of requests, from 0 to 1, stayed below. Within a bin times are taken as evenly spread.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let total: u64 = self.times.iter().map(|bin| bin.count).sum();
        let wanted = share * whole(total);
        let mut below = 0;
        for bin in &self.times {
            let with = below + bin.count;
            if bin.count > 0 && whole(with) >= wanted {
                let part = (wanted - whole(below)) / whole(bin.count);
                return Some(bin.lower + bin.width * part.clamp(0.0, 1.0));
            }
            below = with;
        }
        None
    }
}

/// Bins of both, by their place; `join` gets the counts, 0 where one has none.
fn merged(one: &[Bin], other: &[Bin], join: impl Fn(u64, u64) -> u64) -> Vec<Bin> {
    let mut left = one.iter().copied().peekable();
    let mut right = other.iter().copied().peekable();
    let mut bins = Vec::new();
    loop {
        let order = match (left.peek(), right.peek()) {
            (Some(one), Some(other)) => one.lower.total_cmp(&other.lower),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return bins,
        };
        let one = if order.is_le() { left.next() } else { None };
        let other = if order.is_ge() { right.next() } else { None };
        let Some(place) = one.or(other) else {
            return bins;
        };
        let count = |bin: Option<Bin>| bin.map_or(0, |bin| bin.count);
        let count = join(count(one), count(other));
        if count > 0 {
            bins.push(Bin { count, ..place });
        }
    }
}

/// Exact up to 2^53, which no router counts to.
#[allow(clippy::cast_precision_loss, reason = "said above")]
fn whole(count: u64) -> f64 {
    count as f64
}

/// The share that some of all are.
pub(super) fn ratio(some: u64, all: u64) -> f64 {
    whole(some) / whole(all)
}

/// How many a second.
pub(super) fn rate(count: u64, seconds: f64) -> f64 {
    whole(count) / seconds
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bin(lower: f64, count: u64) -> Bin {
        Bin {
            lower,
            width: 1.0,
            count,
        }
    }

    fn times(bins: &[(u32, u64)]) -> Counts {
        let times: Vec<Bin> = bins
            .iter()
            .map(|(lower, count)| bin((*lower).into(), *count))
            .collect();
        Counts {
            requests: times.iter().map(|bin| bin.count).sum(),
            times,
            ..Counts::default()
        }
    }

    #[test]
    fn percentiles_of_two_routers_are_those_of_their_requests_and_no_average() {
        // 990 requests of 1 ms at one router, 10 of 500 ms at the other.
        let (mut fast, slow) = (times(&[(1, 990)]), times(&[(500, 10)]));
        assert_eq!(fast.percentile(0.99), Some(1.99));
        assert_eq!(slow.percentile(0.99), Some(500.99));
        fast.add(&slow);
        assert_eq!(fast.requests, 1000);
        let p99 = fast.percentile(0.99).unwrap();
        assert!((1.0..=2.0).contains(&p99), "{p99}");
        let p995 = fast.percentile(0.995).unwrap();
        assert!((500.0..=501.0).contains(&p995), "{p995}");
    }

    #[test]
    fn an_envoy_that_was_started_again_counts_from_the_start() {
        let mut before = times(&[(1, 100)]);
        let now = times(&[(1, 3), (7, 1)]);
        assert_eq!(now.since(&before), now);
        before = times(&[(1, 2)]);
        assert_eq!(now.since(&before), times(&[(1, 1), (7, 1)]));
        assert_eq!(now.since(&now), Counts::default());
    }

    #[test]
    fn success_is_what_did_not_fail_in_either_way() {
        let counts = |requests, failed, grpc_failed| Counts {
            requests,
            failed,
            grpc_failed,
            times: Vec::new(),
        };
        assert_eq!(Counts::default().success(), None);
        assert_eq!(Counts::default().percentile(0.5), None);
        assert_eq!(counts(4, 1, 0).success(), Some(0.75));
        assert_eq!(counts(4, 0, 2).success(), Some(0.5));
        // Two calls of gRPC got no answer.
        assert_eq!(counts(4, 2, 2).success(), Some(0.5));
        assert_eq!(counts(1, 3, 0).success(), Some(0.0));
    }

    fn counted() -> impl Strategy<Value = Counts> {
        prop::collection::btree_map(0u32..30, 1u64..50, 0..10)
            .prop_map(|bins| times(&bins.into_iter().collect::<Vec<_>>()))
    }

    proptest! {
        #[test]
        fn what_is_added_can_be_taken_off_again(one in counted(), other in counted()) {
            let mut both = one.clone();
            both.add(&other);
            prop_assert_eq!(both.since(&other), one.clone());
            let mut swapped = other.clone();
            swapped.add(&one);
            prop_assert_eq!(both, swapped);
        }

        #[test]
        fn a_percentile_is_where_so_many_requests_are(counts in counted(), share in 0.01f64..1.0) {
            if let Some(time) = counts.percentile(share) {
                let up_to: u64 = counts.times.iter().filter(|bin| bin.lower <= time).map(|bin| bin.count).sum();
                let below: u64 = counts.times.iter().filter(|bin| bin.lower + bin.width < time).map(|bin| bin.count).sum();
                prop_assert!(ratio(up_to, counts.requests) >= share - 1e-9);
                prop_assert!(ratio(below, counts.requests) <= share + 1e-9);
            }
        }
    }
}

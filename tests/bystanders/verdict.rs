//! What came of it: a line for each kind of clients, and whether a request failed that would not have failed without `dev`.

use super::clients::{Failure, Group, Report, groups};

/// After so much silence Node closes a connection, in milliseconds, less what a client may be late with reading the last answer.
const NODE_KEEPS: f64 = 4900.0;

/// What was counted.
#[derive(Debug, Default)]
pub struct Count {
    /// Requests, those of the twins left out.
    pub requests: u64,
    /// Of these, those that a router saw.
    pub routed: u64,
    /// Failures that would not have been without `dev`.
    pub failures: Vec<String>,
    /// Requests that met the moment in which Node itself closed a connection that no router had a part in, and where: on a Service
    /// that was routed at times, and on its twin that never was.
    pub met_node: [u64; 2],
    /// Requests of the twins, and their failures.
    pub twins: (u64, Vec<String>),
}

/// Counts, and prints.
pub fn count(what: &str, reports: &[Report]) -> Count {
    let mut count = Count::default();
    println!("{what}:");
    for (name, groups) in groups(reports) {
        let sum = |of: fn(&Group) -> u64| groups.iter().map(|group| of(group)).sum::<u64>();
        let most = |of: fn(&Group) -> f64| groups.iter().map(|group| of(group)).fold(0.0, f64::max);
        let (requests, failed) = (sum(|group| group.requests), sum(|group| group.failed));
        println!(
            "  {name:24} {requests:8} requests, {failed} failed; {} direct, {} routed; {} messages, {} open at the end; p50 {:.1}, p99 {:.1}, longest {:.0} ms",
            sum(|group| group.direct),
            sum(|group| group.routed),
            sum(|group| group.messages),
            sum(|group| group.given),
            most(|group| group.p50),
            most(|group| group.p99),
            most(|group| group.max),
        );
        let twin = name.ends_with("-direct");
        let mut bad = Vec::new();
        for failure in groups.iter().flat_map(|group| &group.failures) {
            if name.starts_with("thinking node") && met_node(failure) {
                count.met_node[usize::from(twin)] += 1;
            } else {
                bad.push(line(name, failure));
            }
        }
        let kept: u64 = groups.iter().map(|group| group.failures.len() as u64).sum();
        if failed > kept {
            bad.push(format!("{name}: {} more", failed - kept));
        }
        if twin {
            count.twins.0 += requests;
            count.twins.1.extend(bad);
        } else {
            count.requests += requests;
            count.routed += sum(|group| group.routed);
            count.failures.extend(bad);
        }
    }
    println!(
        "{what}: {} requests, {} of them by a router, {} failed; beside them {} without routers, {} failed",
        count.requests,
        count.routed,
        count.failures.len(),
        count.twins.0,
        count.twins.1.len()
    );
    println!(
        "{what}: {} more met the moment in which Node closed a connection that no router held, {} on the Service that is never routed",
        count.met_node[0], count.met_node[1]
    );
    count
}

/// Whether a request was on its way in the moment in which Node closed the connection, with nobody between the two. On a busy machine
/// Node is late to read it, and closes the connection although the request is there.
fn met_node(failure: &Failure) -> bool {
    let answered_before = failure.ended - failure.began + failure.idle / 1000.0;
    failure.via == "direct"
        && failure.used
        && failure.at != "answer"
        && answered_before * 1000.0 >= NODE_KEEPS
}

fn line(name: &str, failure: &Failure) -> String {
    format!(
        "{name}: {:.3} to {:.3}, {}: {}; connection {}, answered {} before, {:.0} ms ago",
        failure.began,
        failure.ended,
        failure.at,
        failure.error,
        failure.local,
        if failure.used { &failure.via } else { "never" },
        failure.idle,
    )
}

impl Count {
    /// Fails if a request failed, with a router or without one: an application that loses requests by itself shows nothing.
    pub fn none_failed(&self) {
        let shown = |failures: &[String]| failures[..failures.len().min(20)].join("\n");
        assert!(self.failures.is_empty(), "{}", shown(&self.failures));
        assert!(
            self.twins.1.is_empty(),
            "without a router:\n{}",
            shown(&self.twins.1)
        );
    }
}

//! What is measured, and how it is printed.

use serde_json::Value;

use super::child::Child;
use super::envoy::CONCURRENCY;
use super::histogram::Histogram;
use super::link::header;
use super::load::{self, Load, Outcome};
use super::trials::KINDS;
use super::world::Size;

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Rounds of load, in each of which everything that is compared has its turn.
    rounds: usize,
    /// One turn, in milliseconds.
    turn: u64,
    /// Changes of a kind.
    trials: usize,
}

impl Counts {
    /// For a glance.
    pub const SMALL: Self = Self {
        rounds: 3,
        turn: 1000,
        trials: 30,
    };
    /// For the record.
    pub const FULL: Self = Self {
        rounds: 30,
        turn: 1000,
        trials: 100,
    };
}

/// Environments with [`EACH`] versions of their own, over [`SERVICES`] services.
const ENVIRONMENTS: [usize; 3] = [10, 100, 1000];
const SERVICES: usize = 30;
const EACH: usize = 3;
/// Every environment has its own version of every service.
const APART: Size = Size {
    services: 50,
    environments: 1000,
    each: 50,
};
/// Connections of the hop's measurements.
const CONNECTIONS: [usize; 3] = [1, 8, 64];
/// Requests per second where latency and nothing else is compared, and connections that they are spread over.
const RATE: u32 = 1000;
const RATE_CONNECTIONS: usize = 8;

/// The processes that every part needs.
pub struct Stage {
    counts: Counts,
    ports: [u16; 2],
    load: Child,
    _backend: Child,
}

impl Stage {
    /// Starts them.
    pub fn new(counts: Counts) -> Self {
        let (backend, ports) = Child::start(&["backend".to_owned()]);
        let (load, _) = Child::start(&["load".to_owned()]);
        Self {
            counts,
            ports: serde_json::from_value(ports).expect("two ports"),
            load,
            _backend: backend,
        }
    }

    fn link(&self, size: Size) -> (Child, First) {
        let mut role = vec!["link".to_owned()];
        role.extend(size.to_args());
        role.extend(self.ports.map(|port| port.to_string()));
        let (child, first) = Child::start(&role);
        (child, First(first))
    }

    /// Requests directly and through Envoy.
    pub fn hop(&self) {
        let size = Size {
            services: SERVICES,
            environments: ENVIRONMENTS[0],
            each: EACH,
        };
        let (_link, first) = self.link(size);
        let service = size.overridden(7).next().expect("at least one");
        let routed = first.listeners()[service];
        let cases = [
            ("direct", self.ports[0], None),
            ("through Envoy, no header", routed, None),
            ("through Envoy, to a version", routed, Some(header(7))),
        ];
        println!(
            "the hop: HTTP/1.1, kept connections, {CONCURRENCY} workers; {} rounds of {} ms",
            self.counts.rounds, self.counts.turn
        );
        for connections in CONNECTIONS {
            let loads = cases.clone().map(|(_, port, header)| Load {
                ports: vec![port],
                connections,
                header,
                rate: None,
                millis: self.counts.turn,
            });
            for (outcome, (name, ..)) in self.in_turns(&loads).iter().zip(&cases) {
                let name = format!("{connections:2} connections, {name}");
                line(&name, outcome);
            }
        }
    }

    /// Everything that grows with the number of environments.
    pub fn growth(&self, change: bool, growth: bool) {
        let sizes = ENVIRONMENTS.map(|environments| Size {
            services: SERVICES,
            environments,
            each: EACH,
        });
        let links = sizes.map(|size| (size, self.link(size)));
        for (size, (link, first)) in &links {
            println!(
                "{} environments × {EACH} versions, {SERVICES} services",
                size.environments
            );
            if growth {
                self.footprint(link, first);
            }
            if change {
                self.changes(link);
            }
        }
        if growth {
            println!(
                "requests without a header, {RATE}/s over {RATE_CONNECTIONS} connections, in turns"
            );
            let loads: Vec<Load> = links
                .iter()
                .map(|(_, (_, first))| self.paced(first))
                .collect();
            for (outcome, (size, _)) in self.in_turns(&loads).iter().zip(&links) {
                line(&format!("{} environments", size.environments), outcome);
            }
        }
    }

    /// Very many versions.
    pub fn apart(&self) {
        let count = APART.environments * APART.each;
        println!(
            "{count} versions: {} environments × {} services",
            APART.environments, APART.services
        );
        let (link, first) = self.link(APART);
        self.footprint(&link, &first);
        self.changes(&link);
        let outcome = self.in_turns(&[self.paced(&first)]);
        line(&format!("no header, {RATE}/s"), &outcome[0]);
    }

    fn paced(&self, first: &First) -> Load {
        Load {
            ports: first.listeners(),
            connections: RATE_CONNECTIONS,
            header: None,
            rate: Some(RATE),
            millis: self.counts.turn,
        }
    }

    /// Each has its turn in each round, another one first each time, so that what else the machine does meets all of them.
    fn in_turns(&self, loads: &[Load]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::default(); loads.len()];
        for round in 0..self.counts.rounds {
            for turn in 0..loads.len() {
                let which = (round + turn) % loads.len();
                let outcome = load::run(&loads[which], &self.load);
                outcomes[which].extend(&outcome);
            }
        }
        outcomes
    }

    fn footprint(&self, link: &Child, first: &First) {
        let number = |value: &Value| value.as_f64().expect("a number");
        let memory = link.ask("memory");
        let objects = number(&link.ask("objects"));
        let used = link.ask(&format!("processor {}", self.counts.trials * 2));
        let touched = link.ask("touch");
        let after = link.ask("memory");
        let first = &first.0;
        let mebibytes = number(&first["bytes"]) / 1024.0 / 1024.0;
        println!("  {:56} {mebibytes:8.1} MiB", "configuration");
        figure("  made of the table", number(&first["making"]));
        figure(
            "  start of Envoy until it has accepted all",
            number(&first["first"]),
        );
        figure(
            "  processor time of the link until then",
            number(&first["processor"][0]),
        );
        figure(
            "  processor time of Envoy until then",
            number(&first["processor"][1]),
        );
        println!(
            "  {:56} {:8.0} MiB",
            "Envoy, resident",
            number(&memory["envoy"])
        );
        let name = format!("Envoy, resident, once all {touched} versions have answered");
        println!("  {name:56} {:8.0} MiB", number(&after["envoy"]));
        println!(
            "  {:56} {:8.0} MiB (peak {:.0})",
            "link, resident",
            number(&memory["link"]),
            number(&memory["link_peak"])
        );
        figure("  the table from the objects", objects);
        figure("  a change: snapshot", number(&used["making"]));
        figure(
            "  a change: processor time of the link",
            number(&used["link"]),
        );
        figure(
            "  a change: processor time of Envoy",
            number(&used["envoy"]),
        );
    }

    fn changes(&self, link: &Child) {
        for (kind, what) in KINDS {
            let times = link.ask(&format!("trials {kind} {}", self.counts.trials));
            for (key, until) in [("routed", "first request"), ("accepted", "accepted")] {
                let times = Histogram::from_value(&times[key]);
                println!(
                    "  {what:48} {until:15} p50 {:7.1} ms  p99 {:7.1} ms  longest {:7.1} ms",
                    times.percentile(50.0),
                    times.percentile(99.0),
                    times.percentile(100.0)
                );
            }
        }
    }
}

/// What a link says first.
struct First(Value);

impl First {
    fn listeners(&self) -> Vec<u16> {
        serde_json::from_value(self.0["listeners"].clone()).expect("ports")
    }
}

fn figure(name: &str, millis: f64) {
    println!("{name:58} {millis:8.1} ms");
}

fn line(name: &str, outcome: &Outcome) {
    assert_eq!(outcome.failed, 0, "{name}: requests failed");
    let mut turns = outcome.turns.clone();
    turns.sort_by(f64::total_cmp);
    println!(
        "  {name:42} {:8.0} requests/s  p50 {:7.3} ms  p99 {:7.3} ms (median of turns {:7.3})",
        outcome.times.count() as f64 / outcome.seconds,
        outcome.times.percentile(50.0),
        outcome.times.percentile(99.0),
        turns[turns.len() / 2]
    );
}

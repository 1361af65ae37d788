//! The parts, each a table of its own.

use std::net::{Ipv4Addr, TcpStream};

use super::bulk::{self, Way as Direction};
use super::child::Child;
use super::load::{self, Load, Outcome};
use super::ways::Way;

const CONNECTIONS: [usize; 3] = [1, 8, 64];
const IDLE: usize = 1000;

/// The services behind the tunnel, the load, and the ways between them.
pub struct Stage {
    rounds: usize,
    millis: u64,
    bytes: u64,
    load: Child,
    ways: Vec<Way>,
    _services: [Child; 2],
    _folder: tempfile::TempDir,
}

impl Stage {
    /// Starts everything.
    pub fn new(full: bool) -> Self {
        let (backend, ports) = Child::start(&["backend".into()]);
        let requests = ports[0].as_u64().expect("a port") as u16;
        let (bulk, port) = Child::start(&["bulk".into()]);
        let ports = [requests, port.as_u64().expect("a port") as u16];
        let (load, _) = Child::start(&["load".into()]);
        let folder = tempfile::tempdir().expect("a folder");
        let mut ways = vec![
            Way::direct(ports),
            Way::tunnel(ports, 1),
            Way::tunnel(ports, 3),
        ];
        ways.extend(Way::rathole(ports, folder.path()));
        ways.extend(Way::bore(ports));
        Self {
            rounds: if full { 10 } else { 3 },
            millis: 1000,
            bytes: if full { 2 << 30 } else { 256 << 20 },
            load,
            ways,
            _services: [backend, bulk],
            _folder: folder,
        }
    }

    /// Small requests over kept connections, as fast as they are answered. The ways take turns.
    pub fn requests(&self) {
        println!(
            "requests over kept connections: per second; p50, p99 in ms; processor time of both ends for each in µs"
        );
        for connections in CONNECTIONS {
            let mut outcomes = vec![(Outcome::default(), 0); self.ways.len()];
            for _ in 0..self.rounds {
                for (way, (outcome, cpu)) in self.ways.iter().zip(&mut outcomes) {
                    let before = way.used();
                    let load = Load {
                        ports: vec![way.ports[0]],
                        connections,
                        header: None,
                        rate: None,
                        millis: self.millis,
                    };
                    outcome.extend(&load::run(&load, &self.load));
                    if let (Some(before), Some(after)) = (before, way.used()) {
                        *cpu += after.millis - before.millis;
                    }
                }
            }
            for (way, (outcome, cpu)) in self.ways.iter().zip(&outcomes) {
                assert_eq!(outcome.failed, 0, "{}: requests failed", way.name);
                let count = outcome.times.count();
                println!(
                    "{connections:>3} connections, {:<15} {:>8.0}/s; {:.3}, {:.3}; {:.1}",
                    way.name,
                    count as f64 / outcome.seconds,
                    outcome.times.percentile(50.0),
                    outcome.times.percentile(99.0),
                    *cpu as f64 * 1000.0 / count as f64,
                );
            }
        }
    }

    /// Many bytes one way.
    pub fn bulk(&self) {
        println!(
            "bulk: MB/s from and to the service; the best of {} runs",
            self.rounds
        );
        for streams in [1, 8] {
            for way in &self.ways {
                let [down, up] = [Direction::Down, Direction::Up].map(|direction| {
                    let bytes = self.bytes / streams as u64;
                    (0..self.rounds)
                        .map(|_| bulk::run(way.ports[1], direction, streams, bytes))
                        .map(|time| self.bytes as f64 / 1e6 / time.as_secs_f64())
                        .fold(0.0, f64::max)
                });
                println!("{streams} streams, {:<15} {down:>6.0}, {up:>6.0}", way.name);
            }
        }
    }

    /// What connections cost that say nothing.
    pub fn idle(&self) {
        println!(
            "{IDLE} idle connections: resident memory of agent and client in MiB, before and with them"
        );
        for way in self.ways.iter().filter(|way| way.used().is_some()) {
            let before = way.used().expect("our own").kib;
            let connections: Vec<TcpStream> = (0..IDLE)
                .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, way.ports[0])).expect("there"))
                .collect();
            // The last one has reached the service when a later one is answered.
            let check = Load {
                ports: vec![way.ports[0]],
                connections: 1,
                header: None,
                rate: None,
                millis: 500,
            };
            load::run(&check, &self.load);
            let with = way.used().expect("our own").kib;
            drop(connections);
            let mib = |kib: u64| kib as f64 / 1024.0;
            println!(
                "{:<15} {:.1} → {:.1}, {:.1} → {:.1}",
                way.name,
                mib(before[0]),
                mib(with[0]),
                mib(before[1]),
                mib(with[1])
            );
        }
    }
}

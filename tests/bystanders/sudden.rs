//! The one exception: the sudden death of an Envoy, or of all there is of a router. What was in flight on it is lost and counted; how
//! long new requests fail is measured; nobody but the cluster repairs it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::clients::{Clients, Failure, Report, groups};
use super::processes::{self, Process};
use super::world::World;
use crate::support::left_out::left_out;

/// What is killed.
#[derive(Clone, Copy, Debug)]
pub enum Death {
    /// Envoy of one router.
    Envoy,
    /// Envoy of every router.
    Envoys,
    /// Every process of one router, the first one too: what was on its node.
    Router,
    /// Every process of every router.
    Routers,
}

/// Requests before and after a death.
const MANY: u64 = 3_000;

/// What a death has cost.
#[derive(Debug, Default)]
pub struct Cost {
    /// Requests and streams that were under way at that moment and have failed.
    pub in_flight: Vec<String>,
    /// Requests that began afterwards and have failed.
    pub later: usize,
    /// How long after the death the last request began that failed, in milliseconds.
    pub until: f64,
    /// The longest that a request took that was answered all the same, in milliseconds. Streams are not counted.
    pub longest: f64,
}

/// Kills, waits until the routers are as they were, and prints the cost. `None`: the processes are not on this machine.
pub async fn happen(world: &World, death: Death) -> Option<Cost> {
    let pods = world.pods("dev-router").await;
    let one = &pods[..1];
    let all = processes::of(match death {
        Death::Envoy | Death::Router => one,
        Death::Envoys | Death::Routers => &pods,
    });
    let dies = |process: &&Process| match death {
        Death::Envoy | Death::Envoys => process.line.contains("--config-path"),
        Death::Router | Death::Routers => true,
    };
    let victims: Vec<Process> = all.iter().filter(dies).cloned().collect();
    if victims.is_empty() {
        left_out("sudden deaths: the processes of the pods are not on this machine");
        return None;
    }
    let clients = world.clients("sudden", &plan(world.base())).await;
    clients
        .more_routed(
            &[
                "h1-new web",
                "h1-kept web",
                "grpc rpc",
                "grpc-stream streams",
            ],
            50,
        )
        .await;
    clients.more(MANY).await;
    let before = failures(&clients).await;
    assert!(before.is_empty(), "before it: {before:#?}");
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    processes::kill(&victims);
    world.await_deployment("dev-router").await;
    clients.more(MANY).await;
    world.await_routers().await;
    let reports = clients.stop().await;
    Some(cost(death, victims.len(), at.as_secs_f64(), &reports))
}

fn cost(death: Death, victims: usize, at: f64, reports: &[Report]) -> Cost {
    let mut cost = Cost::default();
    for (name, of) in groups(reports) {
        for failure in of.iter().flat_map(|group| &group.failures) {
            if failure.began <= at {
                cost.in_flight.push(name.to_owned());
            } else {
                cost.later += 1;
                cost.until = cost.until.max((failure.began - at) * 1000.0);
            }
        }
        if !name.starts_with("grpc-stream") {
            let longest = of.iter().map(|group| group.max);
            cost.longest = longest.fold(cost.longest, f64::max);
        }
    }
    let mut kinds = cost.in_flight.clone();
    kinds.dedup();
    let kinds: Vec<String> = kinds
        .iter()
        .map(|kind| {
            let count = cost.in_flight.iter().filter(|one| *one == kind).count();
            format!("{count} of {kind}")
        })
        .collect();
    println!(
        "{death:?}: SIGKILL for {victims} processes: {} lost that were in flight ({}); {} later ones failed, the last {:.0} ms after it; the longest answer took {:.0} ms",
        cost.in_flight.len(),
        kinds.join(", "),
        cost.later,
        cost.until,
        cost.longest,
    );
    cost
}

async fn failures(clients: &Clients) -> Vec<Failure> {
    let reports = clients.reports().await;
    let groups = reports.into_iter().flat_map(|report| report.groups);
    groups.flat_map(|group| group.failures).collect()
}

/// Clients that ask often, so that moments are seen.
fn plan(base: &str) -> Vec<serde_json::Value> {
    let of = |kind: &str, service: &str, port: u16, clients: usize, think: [&str; 2]| {
        json!({"name": format!("{kind} {service}"), "kind": kind, "clients": clients, "think": think, "version": "base",
            "target": format!("{service}.{base}.svc.cluster.local:{port}"), "share": 20, "silence": "2s", "lasts": ["4s", "10s"]})
    };
    let often = ["4ms", "6ms"];
    vec![
        of("h1-new", "web", 80, 2, often),
        of("h1-kept", "web", 80, 2, often),
        of("grpc", "rpc", 80, 2, often),
        of("grpc-stream", "streams", 80, 50, often),
        of("redis", "cache", 6379, 2, often),
    ]
}

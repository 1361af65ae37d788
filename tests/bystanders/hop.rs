//! What the hop costs in a cluster: clients in pods of both nodes that ask without a pause, straight to the pods behind a Service and
//! through the routers, in turns.

use serde_json::json;

use super::clients::groups;
use super::world::World;

/// Requests in each turn.
const TURN: u64 = 20_000;

/// Prints requests/s, p50 and p99 for so many connections on each node.
pub async fn compare(world: &World, env: &str, connections: usize, rounds: usize) {
    let ways = [
        ("direct", "web-direct", "base", json!({})),
        ("routed, no header", "web", "base", json!({})),
        ("routed to a version", "web", env, json!({"X-Dev-Env": env})),
    ];
    for round in 1..=rounds {
        for (what, service, version, headers) in &ways {
            let plan = json!({"name": what, "kind": "h1-kept", "clients": connections, "think": ["0s", "0s"],
                "target": format!("{service}.{}.svc.cluster.local:80", world.base()), "version": version, "headers": headers});
            let clients = world.clients("hop", &[plan]).await;
            clients.more(TURN).await;
            let reports = clients.stop().await;
            let (mut rate, mut p50, mut p99, mut failed) = (0.0, 0.0_f64, 0.0_f64, 0);
            for report in &reports {
                for group in &report.groups {
                    rate += group.requests as f64 / (report.now - report.began);
                    (p50, p99) = (p50.max(group.p50), p99.max(group.p99));
                    failed += group.failed;
                }
            }
            println!(
                "hop, {connections} connections on each node, round {round}, {what}: {rate:.0} requests/s, p50 {p50:.2}, p99 {p99:.2} ms, {failed} failed"
            );
            assert_eq!(failed, 0, "{:?}", groups(&reports));
        }
    }
}

//! People who have nothing to do with `dev` notice nothing: clients of every kind ask a base without any header while everything of
//! `dev` comes, goes and is killed, and no request fails.
//!
//! A short form runs with all other tests. The full one (`DEV_TEST_ALONE`, last in `./tests/run --long`) has a million requests, drains a
//! node, takes the API server away, and prints figures: it wants a cluster that nobody else uses.

mod app;
mod clients;
mod events;
mod hop;
mod processes;
mod ready;
mod sudden;
mod verdict;
mod world;

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use crate::support::cluster::alone;
use crate::support::left_out::left_out;
use clients::{Scale, plan, silent};
use events::Events;
use sudden::Death;
use world::{DEVELOPERS, World};

/// Kinds of clients of which a router sees who asked.
const SEEN: [&str; 7] = [
    "h1-new web",
    "h1-kept web",
    "h1-new node",
    "h1-kept node",
    "thinking node",
    "grpc rpc",
    "grpc-stream streams",
];

/// Clients on each node.
const SHORT: Scale = Scale {
    busy: 4,
    thinking: 40,
    streams: 50,
    lasts: [3, 9],
    lives: [2, 8],
};

/// The same, of a full run.
const FULL: Scale = Scale {
    busy: 8,
    thinking: 60,
    streams: 1000,
    lasts: [20, 90],
    lives: [5, 60],
};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_without_a_header_notices_nothing() {
    let Some(world) = World::new("bystanders").await else {
        return;
    };
    let full = alone();
    let scale = if full { FULL } else { SHORT };
    let before = world.routers.objects().await;
    let clients = world.clients("clients", &plan(world.base(), scale)).await;
    // Without `dev` the application itself loses nothing: else nothing is shown by the rest.
    clients.more(if full { 50_000 } else { 2_000 }).await;
    let alone = verdict::count("the application alone", &clients.reports().await);
    alone.none_failed();
    assert_eq!(alone.routed, 0);

    let events = Events {
        world: &world,
        clients: &clients,
        began: Instant::now(),
    };
    events.insert().await;
    let silence = if full { 600 } else { 8 };
    let quiet = world
        .clients("silent", &silent(world.base(), silence))
        .await;
    clients.more_routed(&SEEN, 20).await;
    events.copies(if full { 20 } else { 1 }).await;
    events.pods().await;
    events.roll().await;
    events.kill_all_but_envoy().await;
    events.owner(2).await;
    events.kill_cli((!full).then_some(2)).await;
    if full {
        events.drain(&world.node_of("dev-control").await).await;
        events.pause_api(20).await;
        // They are on one node now.
        events.pods().await;
        let so_far = clients::total(&clients.reports().await);
        clients.more(1_000_000_u64.saturating_sub(so_far)).await;
    }
    clients.more_routed(&SEEN, 20).await;
    quiet.more(2).await;
    let silent = verdict::count("silent streams", &quiet.stop().await);
    events.remove().await;
    let count = verdict::count("everything", &clients.stop().await);
    silent.none_failed();
    count.none_failed();
    let after = world.routers.objects().await;
    let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before));
    assert_eq!(unwritten(after), unwritten(before));
    assert_eq!(world.routers.outside().await, [""; 0]);
}

/// The Services to which nobody but `dev` wrote meanwhile, managed fields included; not the version, which counts writes.
fn unwritten(mut objects: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    objects.retain(|name, _| ["Service cache", "Service streams"].contains(&name.as_str()));
    for object in objects.values_mut() {
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.remove("resourceVersion");
    }
    objects
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sudden_death_is_repaired_by_the_cluster_alone() {
    let Some(world) = World::new("sudden deaths").await else {
        return;
    };
    // For requests with a header only.
    let clients = world.clients("clients", &[]).await;
    world.insert(&clients).await;
    let deaths: &[Death] = match alone() {
        false => &[Death::Envoy],
        true => &[Death::Envoy, Death::Envoys, Death::Router, Death::Routers],
    };
    for death in deaths {
        if sudden::happen(&world, *death).await.is_none() {
            return;
        }
        for (env, services) in DEVELOPERS {
            world.reached(&clients, services[0], env, env).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_a_cluster() {
    if !alone() {
        left_out("figures of routers in a cluster: DEV_TEST_ALONE is not set");
        return;
    }
    let Some(world) = World::new("figures").await else {
        return;
    };
    let clients = world.clients("clients", &[]).await;
    world.insert(&clients).await;
    ready::trials(&world, &clients, "ann", 100).await;
    for connections in [1, 8, 32] {
        hop::compare(&world, "ann", connections, 3).await;
    }
}

//! People who have nothing to do with `dev` notice nothing: clients of every kind ask a base without any header while everything of
//! `dev` comes, goes and is killed, and no request fails. `./tests/run --long` has all events, and a million requests.

mod app;
mod clients;
mod events;
mod processes;
mod verdict;
mod world;

use std::time::Instant;

use crate::support::cluster::long;
use clients::{Scale, plan, silent};
use events::Events;
use world::World;

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

fn scale() -> Scale {
    match long() {
        false => Scale {
            busy: 4,
            thinking: 40,
            streams: 50,
            lasts: [3, 9],
            lives: [2, 8],
        },
        true => Scale {
            busy: 8,
            thinking: 60,
            streams: 1000,
            lasts: [20, 90],
            lives: [5, 60],
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_without_a_header_notices_nothing() {
    let Some(world) = World::new("bystanders").await else {
        return;
    };
    let before = world.routers.objects().await;
    let clients = world.clients("clients", &plan(world.base(), scale())).await;
    // Without `dev` the application itself loses nothing: else nothing is shown by the rest.
    clients.more(if long() { 100_000 } else { 3_000 }).await;
    let alone = verdict::count("the application alone", &clients.reports().await);
    alone.none_failed();
    assert_eq!(alone.routed, 0);

    let events = Events {
        world: &world,
        clients: &clients,
        began: Instant::now(),
    };
    events.insert().await;
    let silence = if long() { 600 } else { 20 };
    let quiet = world
        .clients("silent", &silent(world.base(), silence))
        .await;
    clients.more_routed(&SEEN, 20).await;
    events.copies(if long() { 20 } else { 1 }).await;
    events.pods().await;
    events.roll().await;
    events.kill_all_but_envoy().await;
    events.owner(2).await;
    events.kill_cli((!long()).then_some(3)).await;
    if long() {
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
    assert_eq!(world.routers.objects().await, before);
    assert_eq!(world.routers.outside().await, [""; 0]);
}

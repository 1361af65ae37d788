//! Updates of a real Envoy under load: no request fails, whatever changes and whoever is restarted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use dev::router::ads::Kind;
use dev::router::envoy::{Resource, Snapshot, snapshot};
use dev::router::model::{Override, Protocol, RoutedPort, RoutedService, Table};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::google::protobuf::Duration as PbDuration;

use crate::support::backend::Backend;
use crate::support::cluster::long;
use crate::support::envoy::{Client, ask, program};
use crate::support::load::{Load, Plan};
use crate::support::router::{Fed, Server, listener, print_times};

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const TAGGED: &str = "GET / HTTP/1.1\r\nhost: x\r\nx-dev-env: ann\r\n\r\n";

/// One service port of HTTP.
fn port(listener: u16, base: &[SocketAddr], overrides: &[(&str, &[SocketAddr])]) -> RoutedService {
    let set = |addresses: &[SocketAddr]| addresses.iter().copied().collect::<BTreeSet<_>>();
    let version = |(env, endpoints): &(&str, &[SocketAddr])| {
        let version = Override {
            namespace: format!("shop-{env}"),
            endpoints: set(endpoints),
            fallback: false,
        };
        ((*env).to_owned(), version)
    };
    let port = RoutedPort {
        listener,
        protocol: Protocol::Http,
        base: set(base),
        overrides: overrides.iter().map(version).collect(),
    };
    RoutedService {
        ports: BTreeMap::from([(80, port)]),
    }
}

fn made(services: &[(&str, RoutedService)]) -> Snapshot {
    snapshot(&Table {
        base: "shop".into(),
        services: services
            .iter()
            .map(|(name, service)| ((*name).to_owned(), service.clone()))
            .collect(),
        environments: ["ann", "bob"].map(Into::into).into(),
        edge: None,
    })
}

/// `web` with a version of `ann` that comes and goes, and an Envoy that is fed with it.
struct World {
    base: Backend,
    ann: Backend,
    /// The port that Envoy listens on, and where that is.
    number: u16,
    to: SocketAddr,
    envoy: Fed,
    server: Server,
}

impl World {
    /// Starts it, without a version of `ann`; `None` without Envoy. `drain`: seconds.
    async fn start(test: &str, drain: u32) -> Option<Self> {
        let program = program(test)?;
        let (base, ann) = (Backend::start("base").await, Backend::start("ann").await);
        let (number, to) = listener().await;
        let mut envoy = Fed::new(&program).await;
        let plain = made(&[("web", port(number, &[base.address], &[]))]);
        let server = Server::start(&envoy.ads(), plain);
        envoy.start(drain);
        server.accepted().await;
        Some(Self {
            base,
            ann,
            number,
            to,
            envoy,
            server,
        })
    }

    /// Without a version of `ann`.
    fn plain(&self) -> Snapshot {
        made(&[("web", port(self.number, &[self.base.address], &[]))])
    }

    /// With one.
    fn with(&self) -> Snapshot {
        let ann = [("ann", &[self.ann.address][..])];
        made(&[("web", port(self.number, &[self.base.address], &ann))])
    }

    /// Clients of the base, of `ann`, and of an environment that never has a version.
    fn load(&self) -> Load {
        Load::start(&[
            plan(self.to, None, &["base"]),
            plan(self.to, Some("ann"), &["base", "ann"]),
            plan(self.to, Some("bob"), &["base"]),
        ])
    }
}

fn plan(to: SocketAddr, env: Option<&'static str>, answers: &'static [&'static str]) -> Plan {
    Plan {
        to,
        env,
        kept: 2,
        new: 2,
        answers,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_change_under_load() {
    let Some(world) = World::start("routes_change_under_load", 600).await else {
        return;
    };
    let (plain, with) = (world.plain(), world.with());
    let load = world.load();
    load.more(100).await;
    let (mut came, mut went) = (Vec::new(), Vec::new());
    for _ in 0..if long() { 2000 } else { 100 } {
        came.push(world.server.update(with.clone()).await);
        // What is acknowledged holds for every request from now on.
        assert_eq!(ask(world.to, TAGGED).await.1, "ann");
        went.push(world.server.update(plain.clone()).await);
        assert_eq!(ask(world.to, TAGGED).await.1, "base");
        load.more(10).await;
    }
    print_times("a version comes: change to acknowledged", came);
    print_times("a version goes: change to acknowledged", went);
    load.stop().await.none_failed("200 route changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_move_under_load() {
    let Some(program) = program("endpoints_move_under_load") else {
        return;
    };
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    let (number, to) = listener().await;
    let at = |addresses: &[SocketAddr]| made(&[("web", port(number, addresses, &[]))]);
    let mut envoy = Fed::new(&program).await;
    let server = Server::start(&envoy.ads(), at(&[one.address]));
    envoy.start(600);
    server.accepted().await;
    let load = Load::start(&[plan(to, None, &["one", "two"])]);
    let mut times = Vec::new();
    for _ in 0..100 {
        for (addresses, answer) in [
            (vec![two.address], Some("two")),
            (vec![one.address, two.address], None),
            (vec![one.address], Some("one")),
        ] {
            times.push(server.update(at(&addresses)).await);
            let (_, body) = ask(to, GET).await;
            assert!(answer.is_none_or(|answer| body == answer), "{body}");
            load.more(4).await;
        }
    }
    print_times("endpoints move: change to acknowledged", times);
    load.stop().await.none_failed("300 moves of endpoints");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_come_and_go_under_load() {
    let Some(program) = program("services_come_and_go_under_load") else {
        return;
    };
    let (base, other) = (Backend::start("base").await, Backend::start("other").await);
    let (number, to) = listener().await;
    let (second, second_to) = listener().await;
    let web = port(number, &[base.address], &[]);
    let one = made(&[("web", web.clone())]);
    let both = made(&[("web", web), ("api", port(second, &[other.address], &[]))]);
    let mut envoy = Fed::new(&program).await;
    let server = Server::start(&envoy.ads(), one.clone());
    // Envoy counts whole seconds: from the second one on it tells clients to leave.
    envoy.start(3);
    server.accepted().await;
    let load = Load::start(&[plan(to, None, &["base"])]);
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(server.update(both.clone()).await);
        let mut kept = Client::connect(second_to).await;
        kept.send(GET).await;
        assert_eq!(kept.response().await.1, "other");
        // The listener goes, but who is connected is served until it is told to leave; then the cluster goes as well.
        server.offer(one.clone());
        server
            .until(|acked| acked.version(Kind::Listeners, "svc|api|80").is_none())
            .await;
        loop {
            kept.send(GET).await;
            let (head, body) = kept.response().await;
            assert_eq!(body, "other");
            if head.contains("connection: close") {
                break;
            }
        }
        server.accepted().await;
        load.more(10).await;
    }
    print_times("a service comes: change to acknowledged", times);
    load.stop().await.none_failed("services come and go");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_outlives_its_version() {
    let Some(world) = World::start("a_long_answer_outlives_its_version", 600).await else {
        return;
    };
    world.server.update(world.with()).await;
    // The connection is an echo from here on, in ann's version.
    let mut client = Client::connect(world.to).await;
    client
        .send("GET / HTTP/1.1\r\nhost: x\r\nx-dev-env: ann\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 101"));
    client.send("before.").await;
    assert_eq!(client.until(".").await, "before.");
    world.server.update(world.plain()).await;
    client.send("after.").await;
    assert_eq!(client.until(".").await, "after.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_envoy_is_given_everything_again() {
    let Some(mut world) = World::start("a_killed_envoy_is_given_everything_again", 600).await
    else {
        return;
    };
    world.server.update(world.with()).await;
    let mut times = Vec::new();
    for _ in 0..5 {
        world.envoy.kill().await;
        world.server.until(|acked| !acked.connected).await;
        let began = Instant::now();
        world.envoy.start(600);
        world.server.accepted().await;
        times.push(began.elapsed());
        assert_eq!(ask(world.to, GET).await.1, "base");
    }
    print_times("Envoy's start to acknowledged", times);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_sends_only_what_changed() {
    let Some(mut world) = World::start("a_killed_server_sends_only_what_changed", 600).await else {
        return;
    };
    let (plain, with) = (world.plain(), world.with());
    world.server.update(with.clone()).await;
    let load = world.load();
    load.more(100).await;
    for round in 0..if long() { 200 } else { 20 } {
        let before = Changes::of(&world.envoy).await;
        world.server.stop();
        load.more(20).await;
        // Every other time something has changed meanwhile. What is removed is told by name only, and endpoints end with
        // their cluster; what is sent is all else that differs.
        let (wanted, sent, changes) = match round % 4 {
            0 => (&with, 0, [0, 0, 0, 0]),
            1 => (&plain, 1, [0, 1, 0, 0]), // routes
            2 => (&plain, 0, [0, 0, 0, 0]),
            _ => (&with, 3, [1, 0, 0, 0]), // cluster, endpoints, routes
        };
        world.server = Server::start(&world.envoy.ads(), wanted.clone());
        let acked = world.server.accepted().await;
        assert_eq!(acked.sent, sent, "round {round}");
        let made = Changes::of(&world.envoy).await.since(&before);
        assert_eq!(made, changes, "round {round}");
        load.more(20).await;
    }
    load.stop().await.none_failed("restarts of the server");
}

/// How often Envoy has added, removed and changed clusters, and touched listeners.
struct Changes([u64; 4]);

impl Changes {
    async fn of(envoy: &Fed) -> Self {
        Self([
            envoy.stat("cluster_manager.cluster_added").await,
            envoy.stat("cluster_manager.cluster_removed").await,
            envoy.stat("cluster_manager.cluster_modified").await,
            envoy.stat("listener_manager.listener_create_success").await,
        ])
    }

    fn since(&self, before: &Self) -> [u64; 4] {
        std::array::from_fn(|at| self.0[at] - before.0[at])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_resource_holds_up_nothing_else() {
    let Some(world) = World::start("a_refused_resource_holds_up_nothing_else", 600).await else {
        return;
    };
    let (server, to) = (&world.server, world.to);
    let load = Load::start(&[plan(to, None, &["base"])]);
    // Among new clusters is one that Envoy does not take.
    let envs: Vec<String> = (0..30).map(|number| format!("e{number}")).collect();
    let addresses = [world.ann.address];
    let overrides: Vec<(&str, &[SocketAddr])> = envs
        .iter()
        .map(|env| (env.as_str(), addresses.as_slice()))
        .collect();
    let services = [("web", port(world.number, &[world.base.address], &overrides))];
    let mut wanted = made(&services);
    let bad = Cluster {
        name: "bad".to_owned(),
        connect_timeout: Some(PbDuration {
            seconds: -1,
            nanos: 0,
        }),
        ..Cluster::default()
    };
    let all = wanted.clone();
    wanted
        .clusters
        .insert("bad".to_owned(), Arc::new(Resource::pack(&bad)));
    server.offer(wanted);
    let acked = server
        .until(|acked| acked.is(&all) && !acked.rejections.is_empty())
        .await;
    assert_eq!(acked.rejections.len(), 1);
    assert_eq!(acked.rejections[0].kind, Kind::Clusters);
    assert_eq!(acked.rejections[0].name, "bad");
    assert!(
        acked.rejections[0].message.contains("duration"),
        "{}",
        acked.rejections[0].message
    );
    let (_, body) = ask(to, "GET / HTTP/1.1\r\nhost: x\r\nx-dev-env: e7\r\n\r\n").await;
    assert_eq!(body, "ann");
    let acked = {
        server.offer(all);
        server.until(|acked| acked.rejections.is_empty()).await
    };
    assert!(acked.connected);
    load.stop().await.none_failed("a refused cluster");
}

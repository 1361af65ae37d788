//! The figures of versions, from a real Envoy's statistics: with the bootstrap of a router, so that nothing is missing that is read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use dev::router::envoy::snapshot;
use dev::router::model::{Override, Protocol, RoutedPort, RoutedService, Table};
use dev::router::traffic::{PodTraffic, QUERY, Report, Sample};
use http_body_util::BodyExt;

use crate::support::backend::Backend;
use crate::support::envoy::{ask, program};
use crate::support::grpc::{Refusal, Refusing, call, connect, echo};
use crate::support::router::{Fed, Server, listener};

fn service(number: u16, base: SocketAddr, ann: SocketAddr) -> RoutedService {
    let version = Override {
        namespace: "shop-ann".into(),
        endpoints: BTreeSet::from([ann]),
        fallback: false,
    };
    let port = RoutedPort {
        listener: number,
        protocol: Protocol::Http,
        base: BTreeSet::from([base]),
        overrides: BTreeMap::from([("ann".to_owned(), version)]),
    };
    RoutedService {
        ports: BTreeMap::from([(80, port)]),
    }
}

async fn sample(envoy: &Fed) -> Sample {
    let text = envoy.admin().get(QUERY).await.unwrap();
    Sample::read(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// A GET of a path.
async fn get(to: SocketAddr, path: &str, headers: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: web\r\n{headers}\r\n");
    ask(to, &request).await;
}

/// A call; it has ended when its trailers are there.
async fn end(to: SocketAddr, path: &str, env: Option<&str>) {
    let mut sender = connect(to).await;
    let (request, tx) = call(path, env);
    drop(tx);
    let answer = sender.send_request(request).await.unwrap();
    answer.into_body().collect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_of_the_requests_that_were_made() {
    let Some(program) = program("figures_are_those_of_the_requests_that_were_made") else {
        return;
    };
    let (base, ann) = (Backend::start("base").await, Backend::start("ann").await);
    let ((web, to_web), (api, to_api)) = (listener().await, listener().await);
    let broken = Refusing::start(Refusal::Connection).await;
    let table = Table {
        base: "shop".into(),
        services: BTreeMap::from([
            ("web".to_owned(), service(web, base.address, ann.address)),
            (
                "api".to_owned(),
                service(api, echo("base").await, broken.address),
            ),
        ]),
        environments: ["ann".to_owned()].into(),
        edge: None,
    };
    let mut envoy = Fed::new(&program).await;
    let server = Server::start(&envoy.ads(), snapshot(&table));
    envoy.start(600);
    server.accepted().await;
    assert_eq!(sample(&envoy).await.clusters.len(), 0, "nothing was used");

    // Of ann's: 18 quick ones, 2 of 60 ms, 5 that fail. Of the base: 30 quick ones.
    for _ in 0..18 {
        get(to_web, "/", "x-dev-env: ann\r\n").await;
    }
    for _ in 0..2 {
        get(to_web, "/slow/60", "x-dev-env: ann\r\n").await;
    }
    for _ in 0..5 {
        get(to_web, "/status/502", "x-dev-env: ann\r\n").await;
    }
    for _ in 0..30 {
        get(to_web, "/status/404", "").await;
    }
    // Calls that fail: as an answer after 200 (13: the server's fault, 5: not found), and without an answer.
    for path in [
        "/a/b",
        "/shop.Reviews/Fail13",
        "/shop.Reviews/Fail5",
        "/a/b",
    ] {
        end(to_api, path, None).await;
    }
    for _ in 0..3 {
        end(to_api, "/a/b", Some("ann")).await;
    }
    // Counters are there at once, times when Envoy has put those of its threads together.
    let complete = |sample: &Sample| {
        let times = |name: &str| {
            let counts = sample.clusters.get(name);
            let bins = counts.map(|counts| counts.times.iter().map(|bin| bin.count).sum::<u64>());
            bins.unwrap_or_default()
        };
        times("base|web|80") == 30 && times("env|ann|web|80") == 25 && times("base|api|80") == 4
    };
    let waited = async {
        loop {
            let sample = sample(&envoy).await;
            if complete(&sample) {
                return sample;
            }
        }
    };
    let sample = tokio::time::timeout(Duration::from_secs(30), waited)
        .await
        .unwrap();
    let (clusters, seconds) = sample.since(None);
    let pod = PodTraffic {
        pod: "r1".into(),
        seconds,
        clusters,
        error: None,
    };
    let report = Report::of(&[pod.clone(), pod], &[]);
    // Two routers that counted the same: twice the requests, the same times.
    let web = &report.services["web"];
    let (base, of_ann) = (web.base.unwrap(), web.envs["ann"]);
    assert_eq!((base.requests, of_ann.requests), (60, 50));
    assert_eq!(base.success_rate, Some(1.0), "404 is the client's fault");
    assert_eq!(of_ann.success_rate, Some(0.8));
    let (p50, p99) = (of_ann.p50.unwrap(), of_ann.p99.unwrap());
    assert!(p50 < 60.0 && p99 >= 60.0, "{of_ann:?}");
    assert!(base.p99.unwrap() < p99, "{base:?}");
    let api = &report.services["api"];
    assert_eq!(api.base.unwrap().success_rate, Some(0.75), "{api:?}");
    assert_eq!(api.envs["ann"].success_rate, Some(0.0), "{api:?}");
    assert_eq!(api.envs["ann"].requests, 6);
}

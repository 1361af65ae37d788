//! How long it takes from the moment at which a copy is ready to the first request that reaches it, where the Service is routed
//! already.

use std::time::{SystemTime, UNIX_EPOCH};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt, watcher};

use super::clients::Clients;
use super::world::{World, in_time, is_ready};
use crate::support::routers::LONGEST;

/// Times in milliseconds, sorted.
#[derive(Debug)]
pub struct Times(Vec<f64>);

impl Times {
    /// The time that so many of a hundred do not exceed.
    pub fn percentile(&self, percent: usize) -> f64 {
        let at = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        self.0[at]
    }
}

/// Makes the copy of `web` of this environment ready so many times, and prints how long the first request took, asked from every node
/// at once: from the moment at which the API server tells that the pod is ready to the end of the request, on the slowest node.
pub async fn trials(world: &World, clients: &Clients, env: &str, count: usize) -> Times {
    let namespace = format!("{}-{env}", world.base());
    let client = &world.routers.cluster.client;
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let labels = "app=web";
    let listed = pods.list(&ListParams::default().labels(labels)).await;
    let pod = listed.unwrap().items.remove(0).metadata.name.unwrap();
    let target = format!("web.{}.svc.cluster.local:80", world.base());
    let say = async |word: &str| {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8080/proxy/{word}");
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        client.request_text(request).await.unwrap();
    };
    let becomes = async |ready: bool| -> f64 {
        let config = watcher::Config::default().labels(labels);
        let seen = watcher(pods.clone(), config).touched_objects();
        let mut seen = std::pin::pin!(seen.try_filter(|pod| {
            let such = is_ready(pod) == ready;
            async move { such }
        }));
        in_time("the pod's readiness", seen.next())
            .await
            .unwrap()
            .unwrap();
        now()
    };
    let mut times = Vec::new();
    for _ in 0..count {
        say("close").await;
        becomes(false).await;
        // Its router says that nothing is ready.
        for answer in clients.until(&target, env, "503", LONGEST).await {
            assert_eq!(answer.status, 503, "{answer:?}");
        }
        let asked = clients.until(&target, env, env, LONGEST);
        let (answers, ready, ()) = tokio::join!(asked, becomes(true), say("open"));
        let last = answers.iter().map(|answer| {
            assert_eq!(answer.version, env, "{answer:?}");
            answer.ended
        });
        times.push((last.fold(0.0, f64::max) - ready) * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let times = Times(times);
    println!(
        "copy ready to first routed request, {count} times: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        times.percentile(50),
        times.percentile(99),
        times.percentile(100)
    );
    times
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs_f64()
}

//! The clients: a pod of them on every node, as a DaemonSet, so that a drained node keeps its own. What they are told, and what
//! they tell.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::wait::await_condition;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, Guard};

const PORT: u16 = 9090;

/// How much is asked, of each pod of clients.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Clients of a kind that ask about 50 times a second.
    pub busy: usize,
    /// Clients that think 4.5 to 5.5 s between two requests.
    pub thinking: usize,
    /// Streams at any time.
    pub streams: usize,
    /// How long a stream lasts, in seconds, at least and at most.
    pub lasts: [u64; 2],
    /// How long a connection lives before its client has a new one, in seconds, at least and at most.
    pub lives: [u64; 2],
}

/// Clients at work.
pub struct Clients {
    cluster: kube::Client,
    namespace: String,
    pods: Vec<String>,
    _guard: Guard,
}

/// What one pod of clients tells.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// Seconds since 1970.
    pub began: f64,
    /// The same.
    pub now: f64,
    /// By kind of clients and Service.
    pub groups: Vec<Group>,
}

/// The count of clients of one kind.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    /// Kind and Service.
    pub name: String,
    /// Requests that were answered or have failed.
    pub requests: u64,
    /// Those that have failed.
    pub failed: u64,
    /// Requests that came to the server from the client itself.
    pub direct: u64,
    /// Requests that came to it from a router.
    pub routed: u64,
    /// Messages of streams.
    pub messages: u64,
    /// Streams that were open when the clients were told to stop.
    pub given: u64,
    /// Milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
    /// Milliseconds.
    pub max: f64,
    /// Those that have failed, up to 2,000.
    pub failures: Vec<Failure>,
}

/// A request that has failed. Times are seconds since 1970.
#[derive(Clone, Debug, Deserialize)]
pub struct Failure {
    /// When it began.
    pub began: f64,
    /// When it had failed.
    pub ended: f64,
    /// In what: connect, write, read, answer.
    pub at: String,
    /// How.
    pub error: String,
    /// Who had answered on this connection before: direct, routed, or nobody.
    pub via: String,
    /// Whether the connection had carried a request before.
    pub used: bool,
    /// How long before, in milliseconds.
    pub idle: f64,
    /// The client's address.
    pub local: String,
}

/// What a request was answered. Times are seconds since 1970.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    /// Who answered; empty where nobody did.
    pub version: String,
    /// What went wrong.
    pub error: String,
    /// The HTTP status.
    pub status: u16,
    /// When it was answered.
    pub ended: f64,
}

impl Clients {
    /// Starts clients in a namespace of their own, and waits until every pod of them asks.
    pub async fn start(cluster: &Cluster, image: &str, namespace: &str, plan: &[Value]) -> Self {
        let guard = cluster.namespace(namespace).await;
        let labels = json!({"app": "clients"});
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plan"},
            "data": {"plan.json": json!(plan).to_string()}});
        let pods = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "clients"}, "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 30,
                "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "main", "image": image, "command": ["/bystander", "load", "/plan/plan.json"],
                    "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                    "ports": [{"name": "report", "containerPort": PORT}],
                    "readinessProbe": {"httpGet": {"path": "/report", "port": "report"}, "periodSeconds": 1},
                    "volumeMounts": [{"name": "plan", "mountPath": "/plan"}]}],
                "volumes": [{"name": "plan", "configMap": {"name": "plan"}}]}}}});
        cluster.put(namespace, &[map, pods]).await;
        ready(cluster, namespace, "clients").await;
        let pods = Api::<Pod>::namespaced(cluster.client.clone(), namespace);
        let listed = pods.list(&ListParams::default()).await.unwrap();
        Self {
            cluster: cluster.client.clone(),
            pods: listed
                .items
                .into_iter()
                .filter_map(|pod| pod.metadata.name)
                .collect(),
            namespace: namespace.to_owned(),
            _guard: guard,
        }
    }

    /// What they have counted so far, pod by pod.
    pub async fn reports(&self) -> Vec<Report> {
        self.ask("GET", "report").await
    }

    /// Waits until so many more requests were counted.
    pub async fn more(&self, requests: u64) {
        let wanted = total(&self.reports().await) + requests;
        while total(&self.reports().await) < wanted {
            // They tell when they are asked.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until routers have seen so many more requests of each of these kinds of clients.
    pub async fn more_routed(&self, names: &[&str], requests: u64) {
        let before = self.reports().await;
        let routed = |reports: &[Report], name: &str| -> u64 {
            let groups = groups(reports);
            groups[name].iter().map(|group| group.routed).sum()
        };
        for name in names {
            while routed(&self.reports().await, name) < routed(&before, name) + requests {
                // They tell when they are asked.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    /// Lets them finish what they are at.
    pub async fn stop(self) -> Vec<Report> {
        self.ask("POST", "stop").await
    }

    /// Requests from every pod, again and again until this version or status is the answer, or time is up.
    pub async fn until(
        &self,
        target: &str,
        env: &str,
        version: &str,
        within: Duration,
    ) -> Vec<Answer> {
        let within = within.as_secs();
        let path = format!("ask?target={target}&env={env}&until={version}&within={within}s");
        self.ask("GET", &path).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: &str, path: &str) -> Vec<T> {
        let one = |pod: &String| {
            let path = format!(
                "/api/v1/namespaces/{}/pods/{pod}:{PORT}/proxy/{path}",
                self.namespace
            );
            let request = http::Request::builder().method(method).uri(path);
            let client = self.cluster.clone();
            async move {
                client
                    .request::<T>(request.body(Vec::new()).unwrap())
                    .await
                    .unwrap()
            }
        };
        futures::future::join_all(self.pods.iter().map(one)).await
    }
}

/// All requests of all pods.
pub fn total(reports: &[Report]) -> u64 {
    let groups = reports.iter().flat_map(|report| &report.groups);
    groups.map(|group| group.requests).sum()
}

/// Waits until every node has a ready pod of a DaemonSet.
pub async fn ready(cluster: &Cluster, namespace: &str, name: &str) {
    let sets = Api::<DaemonSet>::namespaced(cluster.client.clone(), namespace);
    let everywhere = |found: Option<&DaemonSet>| {
        let status = found.and_then(|found| found.status.as_ref());
        status.is_some_and(|status| {
            status.desired_number_scheduled > 0
                && status.number_ready == status.desired_number_scheduled
        })
    };
    await_condition(sets, name, everywhere).await.unwrap();
}

/// Clients of every kind, that carry no header and expect the base to answer.
pub fn plan(base: &str, scale: Scale) -> Vec<Value> {
    let groups = Groups { base };
    let busy = ["15ms", "25ms"];
    let some = ["60ms", "140ms"];
    let thinking = ["4.5s", "5.5s"];
    let few = scale.busy.div_ceil(4);
    let seconds = |[least, most]: [u64; 2]| json!([format!("{least}s"), format!("{most}s")]);
    let life = json!({"life": seconds(scale.lives)});
    let share = json!({"share": 4, "life": seconds(scale.lives)});
    let streams = json!({"share": 100, "life": seconds(scale.lives), "silence": "3s", "lasts": seconds(scale.lasts)});
    let none = json!({});
    vec![
        groups.of("h1-new", "web", 80, scale.busy, busy, &none),
        groups.of("h1-kept", "web", 80, scale.busy, busy, &life),
        groups.of("h1-new", "node", 80, few, some, &none),
        groups.of("h1-kept", "node", 80, scale.busy, some, &life),
        // These are renewed by Node itself.
        groups.named(
            "thinking",
            "h1-kept",
            "node",
            80,
            scale.thinking,
            thinking,
            &none,
        ),
        groups.of("grpc", "rpc", 80, scale.busy, busy, &share),
        groups.of("grpc-stream", "streams", 80, scale.streams, busy, &streams),
        groups.of("greeted", "streams", 3306, few, some, &life),
        groups.of("redis", "cache", 6379, scale.busy, some, &life),
        groups.of("h1-new", "web-direct", 80, few, some, &none),
        groups.of("h1-kept", "web-direct", 80, few, some, &life),
        groups.named(
            "thinking",
            "h1-kept",
            "node-direct",
            80,
            scale.thinking,
            thinking,
            &none,
        ),
        groups.of("grpc", "rpc-direct", 80, few, some, &share),
        groups.of(
            "grpc-stream",
            "streams-direct",
            80,
            scale.streams.div_ceil(10),
            busy,
            &streams,
        ),
        groups.of("redis", "cache-direct", 6379, few, some, &life),
    ]
}

/// One stream that says nothing for so many seconds, again and again.
pub fn silent(base: &str, seconds: u64) -> Vec<Value> {
    let silence = format!("{seconds}s");
    let more = json!({"silence": silence, "lasts": [silence, silence]});
    let groups = Groups { base };
    vec![groups.named(
        "silent",
        "grpc-stream",
        "streams",
        80,
        1,
        ["10ms", "20ms"],
        &more,
    )]
}

struct Groups<'a> {
    base: &'a str,
}

impl Groups<'_> {
    fn of(
        &self,
        kind: &str,
        service: &str,
        port: u16,
        clients: usize,
        think: [&str; 2],
        more: &Value,
    ) -> Value {
        self.named(kind, kind, service, port, clients, think, more)
    }

    #[allow(clippy::too_many_arguments, reason = "a line of a table")]
    fn named(
        &self,
        name: &str,
        kind: &str,
        service: &str,
        port: u16,
        clients: usize,
        think: [&str; 2],
        more: &Value,
    ) -> Value {
        let mut group = json!({"name": format!("{name} {service}"), "kind": kind, "clients": clients, "think": think,
            "target": format!("{service}.{}.svc.cluster.local:{port}", self.base), "version": "base"});
        let fields = group.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        group
    }
}

/// The groups of all pods together, by name.
pub fn groups(reports: &[Report]) -> BTreeMap<&str, Vec<&Group>> {
    let mut found: BTreeMap<&str, Vec<&Group>> = BTreeMap::new();
    for group in reports.iter().flat_map(|report| &report.groups) {
        found.entry(&group.name).or_default().push(group);
    }
    found
}

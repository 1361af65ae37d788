//! An environment beside the base in one namespace: each keeps its own names and pods, and commands reach the right ones.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::Value;

use crate::support::app::{two_services, unique};
use crate::support::cluster::{Cluster, cluster};
use crate::support::project::{Project, Run};

struct Shared {
    cluster: Cluster,
    project: Project,
    namespace: String,
    _guard: crate::support::cluster::Guard,
}

impl Shared {
    /// The base, made by `dev deploy`, whose namespace environments share.
    async fn new(test: &str) -> Option<Self> {
        let cluster = cluster(test).await?;
        let name = unique("shared");
        let shared = Self {
            project: two_services(&name),
            _guard: cluster.guard(&name),
            namespace: name,
            cluster,
        };
        shared.good(&["deploy"]).await;
        Some(shared)
    }

    async fn dev(&self, args: &[&str]) -> Run {
        let place = ["--base", &self.namespace, "-n", &self.namespace];
        self.cluster
            .dev(&self.project, &[&place, args].concat())
            .await
    }

    async fn good(&self, args: &[&str]) -> Run {
        let run = self.dev(args).await;
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        run
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// The names of the pods of an environment.
    async fn pods(&self, env: &str) -> BTreeSet<String> {
        let of_env = ListParams::default().labels(&format!("dev/env={env}"));
        let pods = self.api::<Pod>().list(&of_env).await.unwrap();
        pods.into_iter()
            .filter_map(|pod| pod.metadata.name)
            .collect()
    }

    /// The pods behind each Service, once every one of these Services has some.
    async fn endpoints(&self, services: &[String]) -> BTreeMap<String, BTreeSet<String>> {
        let mut slices = watcher(self.api::<EndpointSlice>(), watcher::Config::default())
            .applied_objects()
            .boxed();
        let mut behind: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        while let Some(slice) = slices.try_next().await.unwrap() {
            let labels = slice.metadata.labels.unwrap_or_default();
            let Some(service) = labels.get("kubernetes.io/service-name") else {
                continue;
            };
            let pods = slice.endpoints.into_iter();
            let pods: BTreeSet<String> = pods
                .filter_map(|endpoint| endpoint.target_ref?.name)
                .collect();
            behind.insert(service.clone(), pods);
            let filled =
                |service: &String| behind.get(service).is_some_and(|pods| !pods.is_empty());
            if services.iter().all(filled) {
                return behind;
            }
        }
        unreachable!("a watch does not end")
    }

    /// What a change would show in: every object with its identity and its wanted state.
    async fn state_of_base(&self) -> Vec<(String, String, Option<i64>)> {
        let mut state = Vec::new();
        macro_rules! add {
            ($($kind:ty),*) => {$(
                let base = ListParams::default().labels("dev/env=base");
                for object in self.api::<$kind>().list(&base).await.unwrap() {
                    let metadata = object.metadata;
                    let name = format!("{} {}", stringify!($kind), metadata.name.unwrap());
                    state.push((name, metadata.uid.unwrap(), metadata.generation));
                }
            )*};
        }
        add!(Deployment, Service, ConfigMap, Secret, ServiceAccount, Pod);
        state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_beside_the_base_is_apart_from_it() {
    let Some(shared) = Shared::new("same namespace").await else {
        return;
    };
    let before = shared.state_of_base().await;
    let objects_before = shared.cluster.objects_in(&shared.namespace).await;
    shared.good(&["-e", "a", "up", "--set", "text=mine"]).await;

    // Names and pods are apart.
    let names = shared.cluster.names::<Deployment>(&shared.namespace).await;
    assert_eq!(names, ["store", "store-a", "web", "web-a"]);
    let services = shared.cluster.names::<Service>(&shared.namespace).await;
    assert_eq!(services.len(), 4, "{services:?}");
    let behind = shared.endpoints(&services).await;
    let (mine, theirs) = (shared.pods("a").await, shared.pods("base").await);
    assert_eq!((mine.len(), theirs.len()), (2, 2), "{mine:?} {theirs:?}");
    for service in ["store", "web"] {
        let copy = &behind[&format!("{service}-a")];
        assert!(copy.is_subset(&mine), "{service}-a leads to {copy:?}");
        let original = &behind[service];
        assert!(
            original.is_subset(&theirs),
            "{service} leads to {original:?}"
        );
    }
    let second = shared.good(&["-e", "a", "up", "--set", "text=mine"]).await;
    assert!(second.stderr.contains("unchanged"), "{}", second.stderr);
    assert!(!second.stderr.contains("to create"), "{}", second.stderr);

    // Commands about the environment reach its pods only.
    let url = shared.good(&["-e", "a", "url", "web"]).await.stdout;
    assert!(url.contains("web-a."), "{url}");
    let host = [
        "-e",
        "a",
        "exec",
        "web",
        "--",
        "/testbox",
        "cat",
        "/etc/hostname",
    ];
    let host = shared.good(&host).await.stdout;
    assert!(mine.contains(host.trim()), "{host} is none of {mine:?}");
    let logs = shared.good(&["-e", "a", "logs", "-o", "json"]).await.stdout;
    let spoke: BTreeSet<String> = logs
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["pod"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(spoke, mine);
    let status = shared
        .good(&["-e", "a", "status", "-o", "json"])
        .await
        .stdout;
    let status: Value = serde_json::from_str(&status).unwrap();
    let urls: Vec<&str> = status["services"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|service| service["urls"][0].as_str())
        .collect();
    assert!(
        urls.len() == 2 && urls.iter().all(|url| url.contains("-a.")),
        "{status}"
    );

    // It goes, and the base has not noticed.
    shared.good(&["-e", "a", "down"]).await;
    assert_eq!(shared.state_of_base().await, before);
    assert_eq!(
        shared.cluster.objects_in(&shared.namespace).await,
        objects_before
    );
}

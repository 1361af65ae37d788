//! The base under test, its owner and its developers.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::wait::await_condition;
use serde_json::Value;

use super::app;
use super::clients::{self, Clients};
use crate::support::app::unique;
use crate::support::base::stream;
use crate::support::cluster::Guard;
use crate::support::left_out::left_out;
use crate::support::routers::{LONGEST, Routers};

/// Who develops, and which Services they copy. Together all Services of the base are routed.
pub const DEVELOPERS: [(&str, &[&str]); 2] = [
    ("ann", &["web", "rpc", "streams"]),
    ("bob", &["web", "node", "cache"]),
];

/// A base with the application of [`app`], and a project with copies of its Services.
pub struct World {
    /// The base.
    pub routers: Routers,
    /// What everything is made of.
    pub image: String,
    _environments: Vec<Guard>,
}

impl World {
    /// Makes it; `None` (and a line that says what is left out) where something is missing.
    pub async fn new(test: &str) -> Option<Self> {
        let Ok(image) = std::env::var("DEV_TEST_BYSTANDER") else {
            left_out(&format!(
                "{test} needs the image of tests/bystander/image: DEV_TEST_BYSTANDER names none"
            ));
            return None;
        };
        let base = unique("by");
        let routers = Routers::new(test, &base, &app::objects(&image)).await?;
        let mut dev_yaml = format!("app: {base}\nbase: {base}\nservices:\n");
        for name in app::SERVICES {
            dev_yaml.push_str(&format!("  {name}: {{manifests: {name}.yaml}}\n"));
            let copy = app::copy(&image, name, "{{ env }}");
            routers
                .project
                .write(&format!("{name}.yaml"), stream(&copy));
        }
        routers.project.write("dev.yaml", dev_yaml);
        let namespaces = DEVELOPERS.map(|(env, _)| format!("{base}-{env}"));
        let world = Self {
            _environments: namespaces.map(|of| routers.cluster.guard(&of)).into(),
            routers,
            image,
        };
        // Its owner works with kubectl, the others with what applies at the server.
        let web = app::service("web", "web", &[("http", 80, 8080)]);
        world.kubectl(&["apply", "-f", "-"], &web.to_string());
        for name in ["web", "node", "rpc"] {
            world.await_deployment(name).await;
        }
        for name in ["streams", "cache"] {
            clients::ready(&world.routers.cluster, world.base(), name).await;
        }
        Some(world)
    }

    /// The base's namespace.
    pub fn base(&self) -> &str {
        &self.routers.base
    }

    /// Starts clients with this plan, in a namespace of this name.
    pub async fn clients(&self, name: &str, plan: &[Value]) -> Clients {
        let namespace = format!("{}-{name}", self.base());
        Clients::start(&self.routers.cluster, &self.image, &namespace, plan).await
    }

    /// Installs the routers and brings everybody's copies up, so that every Service is routed.
    pub async fn insert(&self, clients: &Clients) {
        self.routers.good(&["router", "install"]).await;
        for (env, _) in DEVELOPERS {
            let namespace = format!("{}-{env}", self.base());
            self.routers.good(&["router", "admit", &namespace]).await;
        }
        let both = DEVELOPERS.map(|(env, services)| self.up(clients, env, services));
        futures::future::join_all(both).await;
        self.await_states("routed", &app::SERVICES).await;
    }

    /// Brings a developer's copies up, and waits until the clients' pods reach them.
    pub async fn up(&self, clients: &Clients, env: &str, services: &[&str]) {
        self.routers
            .good(&[&["up", "--overlay", "-e", env], services].concat())
            .await;
        for service in services {
            self.reached(clients, service, env, env).await;
        }
    }

    /// Waits until requests with this header are answered by this version, in every pod of clients.
    pub async fn reached(&self, clients: &Clients, service: &str, env: &str, version: &str) {
        let target = format!("{service}.{}.svc.cluster.local:80", self.base());
        for answer in clients.until(&target, env, version, LONGEST).await {
            let (status, error) = (answer.status, answer.error);
            assert_eq!(
                answer.version, version,
                "{service} for {env}: {status} {error}"
            );
        }
    }

    /// Waits until a Deployment of the base has all its pods, all of them of its newest template; pods that end are not counted.
    pub async fn await_deployment(&self, name: &str) {
        let deployments =
            Api::<Deployment>::namespaced(self.routers.cluster.client.clone(), self.base());
        let complete = |found: Option<&Deployment>| {
            let Some((found, status)) =
                found.and_then(|found| Some((found, found.status.as_ref()?)))
            else {
                return false;
            };
            let wanted = found.spec.as_ref().and_then(|spec| spec.replicas);
            status.observed_generation == found.metadata.generation
                && status.updated_replicas == wanted
                && status.available_replicas == wanted
                && status.replicas == wanted
        };
        in_time(name, await_condition(deployments, name, complete))
            .await
            .unwrap();
    }

    /// The pods of a Deployment that are not being deleted.
    pub async fn pods(&self, name: &str) -> Vec<Pod> {
        let selector = ListParams::default().labels(&format!("app.kubernetes.io/name={name}"));
        let listed = self.pod_api().list(&selector).await.unwrap();
        let stays = |pod: &Pod| pod.metadata.deletion_timestamp.is_none();
        listed.items.into_iter().filter(stays).collect()
    }

    /// Runs kubectl in the base; `false` (and a line that says so) where there is none.
    pub fn kubectl(&self, args: &[&str], input: &str) -> bool {
        let Some(mut child) = self.start_kubectl(args) else {
            return false;
        };
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success(), "kubectl {args:?}");
        true
    }

    /// Starts kubectl in the base; `None` (and a line that says so) where there is none.
    pub fn start_kubectl(&self, args: &[&str]) -> Option<Child> {
        let spawned = Command::new("kubectl")
            .args(["--namespace", self.base()])
            .args(args)
            .env("KUBECONFIG", &self.routers.cluster.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        if spawned.is_err() {
            left_out("what kubectl does: there is no kubectl");
        }
        spawned.ok()
    }

    /// Waits until every pod of the base on a node is being deleted, but for those of DaemonSets.
    pub async fn await_drained(&self, node: &str) {
        let on_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let stays = |pod: &Pod| {
            let owners = pod.metadata.owner_references.iter().flatten();
            pod.metadata.deletion_timestamp.is_none()
                && !owners.into_iter().any(|owner| owner.kind == "DaemonSet")
        };
        let asking = async {
            while self
                .pod_api()
                .list(&on_node)
                .await
                .unwrap()
                .iter()
                .any(stays)
            {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        in_time(node, asking).await;
    }

    /// The node on which a pod of this Deployment is, and not all of the others.
    pub async fn node_of(&self, deployment: &str) -> String {
        let pods = self.pods(deployment).await;
        let node = pods
            .iter()
            .find_map(|pod| pod.spec.as_ref()?.node_name.clone());
        node.unwrap()
    }

    /// The program that manages the bundled cluster, where it is one.
    pub async fn cluster_script(&self) -> Option<String> {
        let nodes = Api::<Node>::all(self.routers.cluster.client.clone());
        let listed = nodes.list(&ListParams::default()).await.unwrap();
        let node = listed.items.into_iter().next()?;
        node.metadata.annotations?.remove("dev/cluster-script")
    }

    /// Waits until control answers and every router has read the cluster.
    pub async fn await_routers(&self) {
        let asking = async {
            loop {
                let run = self
                    .routers
                    .dev_as(None, &["router", "status", "-o", "json"])
                    .await;
                let status: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
                let routers = status["routers"].as_array().cloned().unwrap_or_default();
                let synced = routers
                    .iter()
                    .filter(|one| one["going"] == false && one["synced"] == true)
                    .count();
                if synced == 2 && status["control"]["ready"] == 1 {
                    return;
                }
                // It is what people have: it cannot be watched.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        in_time("routers and control are back", asking).await;
    }

    /// The base's pods.
    pub fn pod_api(&self) -> Api<Pod> {
        Api::namespaced(self.routers.cluster.client.clone(), self.base())
    }

    /// Deletes a pod, and waits until another one is ready in its place. It itself may go on for a while.
    pub async fn delete_pod(&self, deployment: &str, name: &str) {
        self.pod_api()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
        let replaced = async {
            // The Deployment's own count may be older than the deletion.
            while self
                .pods(deployment)
                .await
                .iter()
                .filter(|pod| is_ready(pod))
                .count()
                < 2
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        in_time(name, replaced).await;
        self.await_deployment(deployment).await;
    }

    /// Waits until control says this of these Services.
    pub async fn await_states(&self, state: &str, services: &[&str]) {
        let wanted: BTreeSet<&str> = services.iter().copied().collect();
        let asking = async {
            loop {
                let status = self.routers.json(&["router", "status"]).await;
                let all = status["services"].as_array().unwrap();
                let such = all
                    .iter()
                    .filter(|one| one["state"] == state)
                    .filter_map(|one| one["name"].as_str());
                if such.collect::<BTreeSet<_>>().is_superset(&wanted) {
                    return;
                }
                // `status` is what people have: it cannot be watched.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        in_time(state, asking).await;
    }
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// What takes longer has failed.
pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LONGEST, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within {LONGEST:?}"),
    }
}

//! Routers of a base under test. What they are made of, `DEV_TEST_ENVOY` and a registry, comes from `tests/run`; without it
//! the tests that need it are left out and say so.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use super::base::{service, stream};
use super::cluster::{Cluster, Guard, cluster};
use super::envoy::ask;
use super::left_out::left_out;
use super::project::{Project, Run, run};
use super::proxy::Proxy;
use super::rights::documented;

/// Nothing that these tests wait for takes longer, on a machine that does other things too.
pub const LONGEST: Duration = Duration::from_secs(120);

/// A Deployment that answers with this message, and its Service, as the restricted Pod Security Standard wants it.
pub fn restricted_service(name: &str, message: &str) -> Vec<Value> {
    let pod = json!({"securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}});
    let mut objects = service(name, message, pod);
    objects[0]["spec"]["template"]["spec"]["containers"][0]["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    objects
}

/// The body of the answer to one request with these header lines, on a connection of its own.
pub async fn answer(to: SocketAddr, headers: &str) -> (String, String) {
    let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n");
    let (head, body) = ask(to, &request).await;
    (head, body.trim_end().to_owned())
}

/// Asks until the answer is this: nodes follow a changed Service or EndpointSlice a moment later.
pub async fn until(to: SocketAddr, headers: &str, wanted: &str) {
    let mut last = String::new();
    let asking = async {
        while last != wanted {
            last = answer(to, headers).await.1;
        }
    };
    let in_time = tokio::time::timeout(LONGEST, asking).await;
    assert!(
        in_time.is_ok(),
        "{to} answers {last:?} to {headers:?}, not {wanted:?}"
    );
}

/// A base with a project that names it. Everything goes when it is dropped.
pub struct Routers {
    /// The cluster under test.
    pub cluster: Cluster,
    /// Between `dev` and the API server.
    pub proxy: Proxy,
    /// A folder with a `dev.yaml`.
    pub project: Project,
    /// The base's namespace.
    pub base: String,
    envoy: PathBuf,
    registry: String,
    _guards: (Guard, RoleGuard),
}

/// Removes what a base's routers have outside of its namespace.
struct RoleGuard {
    kubeconfig: PathBuf,
    base: String,
}

impl Routers {
    /// A base with these objects, in a namespace that enforces the restricted Pod Security Standard. The project has a copy of each
    /// Service, which answers `NAME of ENV`.
    pub async fn new(test: &str, base: &str, objects: &[Value]) -> Option<Self> {
        let cluster = cluster(test).await?;
        let envoy = super::envoy::program(test)?;
        let Ok(registry) = std::env::var("DEV_REGISTRY") else {
            left_out(&format!("{test} needs a registry: DEV_REGISTRY names none"));
            return None;
        };
        let guard = cluster.base(base, objects).await;
        cluster
            .label_namespace(base, "pod-security.kubernetes.io/enforce", "restricted")
            .await;
        let mut dev_yaml = format!("app: {base}\nbase: {base}\nservices:\n");
        let project = Project::new(&[]);
        for one in objects.iter().filter(|one| one["kind"] == "Service") {
            let name = one["metadata"]["name"].as_str().unwrap();
            dev_yaml.push_str(&format!("  {name}: {{manifests: {name}.yaml}}\n"));
            let copy = restricted_service(name, &format!("{name} of {{{{ env }}}}"));
            project.write(&format!("{name}.yaml"), stream(&copy));
        }
        if !objects.iter().any(|one| one["kind"] == "Service") {
            dev_yaml.push_str("  web: {manifests: web.yaml}\n");
            project.write("web.yaml", "");
        }
        project.write("dev.yaml", dev_yaml);
        Some(Self {
            proxy: Proxy::start(cluster.client.clone()).await,
            project,
            base: base.to_owned(),
            envoy,
            registry,
            _guards: (
                guard,
                RoleGuard {
                    kubeconfig: cluster.kubeconfig.clone(),
                    base: base.to_owned(),
                },
            ),
            cluster,
        })
    }

    /// Runs `dev` with these arguments and counts its writes, as another user where one is named.
    pub async fn dev_as(&self, user: Option<&str>, args: &[&str]) -> Run {
        self.proxy.arm(None);
        let mut command = self.project.command();
        let kubeconfig = self.proxy.kubeconfig_as(&self.project.root(), user);
        command
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("DEV_CLUSTER_UID", &self.cluster.uid)
            .env("DEV_TIMEOUT", format!("{}s", LONGEST.as_secs()))
            .env("DEV_ENVOY", &self.envoy)
            .env("DEV_REGISTRY", &self.registry);
        tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap()
    }

    /// Runs `dev`, which must succeed.
    pub async fn good(&self, args: &[&str]) -> Run {
        let run = self.dev_as(None, args).await;
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        run
    }

    /// What `dev exec` prints, which must succeed. The proxy passes no streams on.
    pub async fn exec(&self, args: &[&str]) -> String {
        let kubeconfig = &self.cluster.kubeconfig;
        let run = self.cluster.dev_as(&self.project, kubeconfig, args).await;
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        run.stdout.trim().to_owned()
    }

    /// Runs `dev` with `-o json`, which must succeed.
    pub async fn json(&self, args: &[&str]) -> Value {
        let run = self.good(&[args, &["-o", "json"]].concat()).await;
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// A user who may read namespaces, as most may: the guard on clusters knows this one by that. Beside that the user has a role
    /// in the base.
    pub async fn user(&self, name: &str, kind: &str, role: &str) -> String {
        let user = format!("{}-{name}", self.base);
        let group = "rbac.authorization.k8s.io";
        let subjects = json!([{"apiGroup": group, "kind": "User", "name": user}]);
        let seen = format!("dev-test-{}", self.base);
        let reads = json!({"metadata": {"name": seen}, "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}]});
        let bound = json!({"metadata": {"name": seen}, "subjects": subjects,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": seen}});
        let client = self.cluster.client.clone();
        Api::<ClusterRole>::all(client.clone())
            .create(&Default::default(), &serde_json::from_value(reads).unwrap())
            .await
            .unwrap();
        Api::<ClusterRoleBinding>::all(client)
            .create(&Default::default(), &serde_json::from_value(bound).unwrap())
            .await
            .unwrap();
        let binding = json!({"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": kind, "name": role}, "subjects": subjects});
        self.cluster.put(&self.base, &[binding]).await;
        user
    }

    /// The address of a pod of the base, by its label `app`.
    pub async fn pod_address(&self, app: &str) -> String {
        let pods = Api::<Pod>::namespaced(self.cluster.client.clone(), &self.base);
        let selected = ListParams::default().labels(&format!("app={app}"));
        let list = pods.list(&selected).await.unwrap();
        let status = list.items.into_iter().next().unwrap().status.unwrap();
        status.pod_ip.unwrap()
    }

    /// Changes an object of the base as an administrator does.
    pub async fn merge(&self, api_version: &str, kind: &str, name: &str, patch: &Value) {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let client = self.cluster.client.clone();
        let api = Api::<DynamicObject>::namespaced_with(client, &self.base, &resource);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Gives a Deployment of the base so many pods, and waits until they are ready and no others are counted.
    pub async fn scale(&self, name: &str, pods: i32) {
        let patch = json!({"spec": {"replicas": pods}});
        self.merge("apps/v1", "Deployment", name, &patch).await;
        let api = Api::<Deployment>::namespaced(self.cluster.client.clone(), &self.base);
        self.when(api, name, |found: Option<&Deployment>| {
            found.is_some_and(|found| {
                let status = found.status.clone().unwrap_or_default();
                let seen = status.observed_generation == found.metadata.generation;
                let is = |count: Option<i32>| count.unwrap_or(0) == pods;
                seen && is(status.replicas) && is(status.ready_replicas)
            })
        })
        .await;
        if pods == 0 {
            self.no_pods(name).await;
        }
    }

    /// Waits until the last pod of a Deployment of ours has ended: one that is about to end is not counted, and still at work.
    async fn no_pods(&self, name: &str) {
        let pods = Api::<Pod>::namespaced(self.cluster.client.clone(), &self.base);
        let selected = ListParams::default().labels(&format!("app.kubernetes.io/name={name}"));
        for pod in pods.list(&selected).await.unwrap() {
            let pod_name = pod.metadata.name.unwrap();
            self.when(pods.clone(), &pod_name, |found: Option<&Pod>| {
                found.is_none()
            })
            .await;
        }
    }

    /// Waits until `control` has nothing more to do for a Service: it is routed, or wholly as its owner wrote it.
    pub async fn settled(&self, name: &str, routed: bool) {
        let shadow = format!("{name}-dev-base");
        self.when(
            self.services(),
            &shadow,
            move |found: Option<&Service>| match found {
                Some(shadow) => {
                    routed && annotation(shadow, "dev/progress").contains("\"routed\":true")
                }
                None => !routed,
            },
        )
        .await;
        if !routed {
            self.restored(name).await;
        }
    }

    /// Waits until a Service is wholly as its owner wrote it.
    pub async fn restored(&self, name: &str) {
        self.when(self.services(), name, |found: Option<&Service>| {
            found.is_some_and(is_owners)
        })
        .await;
    }

    /// Waits until `control` leaves a Service alone, and the Service is wholly as its owner wrote it.
    pub async fn stood_down(&self, name: &str) {
        let shadow = format!("{name}-dev-base");
        self.when(self.services(), &shadow, |found: Option<&Service>| {
            found.is_some_and(|shadow| !annotation(shadow, "dev/stand-down").is_empty())
        })
        .await;
        self.restored(name).await;
    }

    fn services(&self) -> Api<Service> {
        Api::namespaced(self.cluster.client.clone(), &self.base)
    }

    async fn when<K>(&self, api: Api<K>, name: &str, so: impl Fn(Option<&K>) -> bool + Send + Sync)
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + kube::Resource + 'static,
    {
        let waited = await_condition(api.clone(), name, so);
        if tokio::time::timeout(LONGEST, waited).await.is_err() {
            let found = api.get_opt(name).await.unwrap();
            let status = self.dev_as(None, &["router", "status"]).await.stdout;
            panic!(
                "{name} of {} does not come to it: {found:#?}\n{status}",
                self.base
            );
        }
    }

    /// A Service of the base as it is, but for how often it was written.
    pub async fn service(&self, name: &str) -> Value {
        let mut service = json!(self.services().get(name).await.unwrap());
        let metadata = service["metadata"].as_object_mut().unwrap();
        metadata.remove("resourceVersion");
        service
    }

    /// A developer with the documented rights and no others, whose namespace somebody made.
    pub async fn developer(&self, env: &str) -> (String, Guard) {
        let namespace = format!("{}-{env}", self.base);
        let guard = self.cluster.namespace(&namespace).await;
        let user = self.user(env, "Role", "dev-router-status").await;
        self.cluster
            .give(&namespace, &user, &documented("dev"), None)
            .await;
        let in_base = [documented("dev-borrower"), documented("dev-borrower-sees")].concat();
        self.cluster.give(&self.base, &user, &in_base, None).await;
        (user, guard)
    }

    /// Starts `dev` and goes on; it ends when it is dropped.
    pub fn start_as(&self, user: Option<&str>, args: &[&str]) -> tokio::process::Child {
        let kubeconfig = match user {
            Some(user) => self.cluster.kubeconfig_of(&self.project, user),
            None => self.cluster.kubeconfig.clone(),
        };
        let mut command = tokio::process::Command::new(assert_cmd::cargo::cargo_bin!("dev"));
        command
            .args(args)
            .current_dir(self.project.root())
            .env_clear()
            .env("HOME", self.project.root())
            .env("KUBECONFIG", kubeconfig)
            .env("DEV_CLUSTER_UID", &self.cluster.uid)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true);
        command.spawn().unwrap()
    }

    /// Where a Service of a namespace is, at its first port.
    pub async fn address(&self, namespace: &str, name: &str) -> SocketAddr {
        let services = Api::<Service>::namespaced(self.cluster.client.clone(), namespace);
        let spec = services.get(name).await.unwrap().spec.unwrap();
        let port = u16::try_from(spec.ports.unwrap()[0].port).unwrap();
        SocketAddr::new(spec.cluster_ip.unwrap().parse().unwrap(), port)
    }

    /// The base's objects of the kinds that routing and installations have to do with, as they are, but for what controllers write:
    /// a Deployment's status.
    pub async fn objects(&self) -> BTreeMap<String, Value> {
        let mut found = BTreeMap::new();
        for (api_version, kind) in [
            ("v1", "Service"),
            ("v1", "ConfigMap"),
            ("v1", "Secret"),
            ("v1", "ServiceAccount"),
            ("apps/v1", "Deployment"),
            ("policy/v1", "PodDisruptionBudget"),
            ("rbac.authorization.k8s.io/v1", "Role"),
            ("rbac.authorization.k8s.io/v1", "RoleBinding"),
            ("coordination.k8s.io/v1", "Lease"),
        ] {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let api = Api::<DynamicObject>::namespaced_with(
                self.cluster.client.clone(),
                &self.base,
                &resource,
            );
            for object in api.list(&ListParams::default()).await.unwrap() {
                let name = object.metadata.name.clone().unwrap();
                let mut value = json!(object);
                if kind == "Deployment" {
                    value.as_object_mut().unwrap().remove("status");
                    let metadata = value["metadata"].as_object_mut().unwrap();
                    metadata.remove("resourceVersion");
                    let managers = metadata["managedFields"].as_array_mut().unwrap();
                    managers.retain(|entry| entry["subresource"] != "status");
                }
                found.insert(format!("{kind} {name}"), value);
            }
        }
        found
    }

    /// What there is of the base's routers outside of its namespace.
    pub async fn outside(&self) -> Vec<String> {
        let roles = Api::<ClusterRole>::all(self.cluster.client.clone());
        let bindings = Api::<ClusterRoleBinding>::all(self.cluster.client.clone());
        let mut found = Vec::new();
        for name in names(&self.base) {
            found.extend(
                roles
                    .get_opt(&name)
                    .await
                    .unwrap()
                    .map(|_| format!("ClusterRole {name}")),
            );
            let binding = bindings.get_opt(&name).await.unwrap();
            found.extend(binding.map(|_| format!("ClusterRoleBinding {name}")));
        }
        found
    }
}

fn annotation<'a>(service: &'a Service, name: &str) -> &'a str {
    let annotations = service.metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get(name))
        .map_or("", String::as_str)
}

/// Nothing of routing is on it, no ownership of fields either.
fn is_owners(service: &Service) -> bool {
    let mut managers = service.metadata.managed_fields.iter().flatten();
    annotation(service, "dev/restore").is_empty()
        && managers.all(|entry| entry.manager.as_deref() != Some("dev-control"))
}

/// The names of what is outside of a base's namespace.
fn names(base: &str) -> [String; 2] {
    [format!("dev-router-{base}"), format!("dev-control-{base}")]
}

impl Drop for RoleGuard {
    fn drop(&mut self) {
        let (kubeconfig, base) = (self.kubeconfig.clone(), self.base.clone());
        // A runtime of its own: a test's may be gone, and may not block.
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(remove(&kubeconfig, &base));
        });
        work.join().unwrap();
    }
}

async fn remove(kubeconfig: &Path, base: &str) {
    let read = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(read, &options)
        .await
        .unwrap();
    let client = Client::try_from(config).unwrap();
    let tests = format!("dev-test-{base}");
    for name in names(base).into_iter().chain([tests]) {
        // Gone already is as good.
        let params = DeleteParams::default();
        let _gone = Api::<ClusterRoleBinding>::all(client.clone())
            .delete(&name, &params)
            .await;
        let _gone = Api::<ClusterRole>::all(client.clone())
            .delete(&name, &params)
            .await;
    }
}

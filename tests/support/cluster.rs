//! The cluster under test: the one of `DEV_TEST_KUBECONFIG`. Without it the tests that need a cluster are left
//! out and say so.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

pub use super::left_out::left_out;
use super::project::{Project, Run, run};

/// The cluster, with the rights of its kubeconfig.
pub struct Cluster {
    /// A client.
    pub client: Client,
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// The UID of `kube-system`, by which tests admit it.
    pub uid: String,
}

/// The cluster under test; `None` (and a line that says what is left out) without one.
pub async fn cluster(test: &str) -> Option<Cluster> {
    let Some(kubeconfig) = std::env::var_os("DEV_TEST_KUBECONFIG").map(PathBuf::from) else {
        left_out(&format!("{test} needs a cluster (./tests/run starts one)"));
        return None;
    };
    // Another test may have been first.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let read = Kubeconfig::read_from(&kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .unwrap();
    let client = Client::try_from(config).unwrap();
    let system = Api::<Namespace>::all(client.clone())
        .get("kube-system")
        .await
        .unwrap();
    Some(Cluster {
        client,
        kubeconfig,
        uid: system.metadata.uid.unwrap(),
    })
}

/// Whether the full counts are wanted.
pub fn long() -> bool {
    std::env::var_os("DEV_TEST_LONG").is_some()
}

/// Whether nobody else uses the cluster, so that nodes may be drained and the API server stopped: `tests/run --long` does so last.
pub fn alone() -> bool {
    std::env::var_os("DEV_TEST_ALONE").is_some()
}

/// An image that every node has, with the program `/testbox`.
pub fn image() -> String {
    std::env::var("DEV_TEST_IMAGE").unwrap_or_else(|_| "dev.local/testbox:1".to_owned())
}

/// A namespace that goes when the test ends, however it ends.
pub struct Guard {
    kubeconfig: PathBuf,
    namespace: String,
}

impl Cluster {
    /// Removes this namespace when the guard is dropped.
    pub fn guard(&self, namespace: &str) -> Guard {
        Guard {
            kubeconfig: self.kubeconfig.clone(),
            namespace: namespace.to_owned(),
        }
    }

    /// Runs `dev` in a project, with the rights of the cluster's kubeconfig.
    pub async fn dev(&self, project: &Project, args: &[&str]) -> Run {
        self.dev_as(project, &self.kubeconfig, args).await
    }

    /// Runs `dev` in a project with this kubeconfig, off the runtime: what it asks may be answered there.
    pub async fn dev_as(&self, project: &Project, kubeconfig: &Path, args: &[&str]) -> Run {
        let mut command = project.command();
        command
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("DEV_CLUSTER_UID", &self.uid);
        tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap()
    }

    /// Whether a namespace is there.
    pub async fn has_namespace(&self, name: &str) -> bool {
        let api = Api::<Namespace>::all(self.client.clone());
        api.get_opt(name).await.unwrap().is_some()
    }

    /// Makes a namespace.
    pub async fn namespace(&self, name: &str) -> Guard {
        let api = Api::<Namespace>::all(self.client.clone());
        let object =
            serde_json::from_value(serde_json::json!({"metadata": {"name": name}})).unwrap();
        api.create(&Default::default(), &object).await.unwrap();
        self.guard(name)
    }

    /// Waits until a namespace that was deleted is gone.
    pub async fn gone(&self, name: &str) {
        let api = Api::<Namespace>::all(self.client.clone());
        kube::runtime::wait::await_condition(api, name, |found: Option<&Namespace>| {
            found.is_none()
        })
        .await
        .unwrap();
    }

    /// Sets a label of a namespace.
    pub async fn label_namespace(&self, name: &str, label: &str, value: &str) {
        let api = Api::<Namespace>::all(self.client.clone());
        let patch = serde_json::json!({"metadata": {"labels": {(label): value}}});
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Waits until a quota counts.
    pub async fn await_quota(&self, namespace: &str, name: &str) {
        let api = Api::<ResourceQuota>::namespaced(self.client.clone(), namespace);
        let counts = |found: Option<&ResourceQuota>| {
            let status = found.and_then(|quota| quota.status.as_ref());
            status.is_some_and(|status| status.used.is_some())
        };
        kube::runtime::wait::await_condition(api, name, counts)
            .await
            .unwrap();
    }

    /// The names of the objects of a kind in a namespace.
    pub async fn names<K>(&self, namespace: &str) -> Vec<String>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
        K::DynamicType: Default,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let list = api.list(&ListParams::default()).await.unwrap();
        list.items
            .into_iter()
            .filter_map(|item| item.meta().name.clone())
            .collect()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (kubeconfig, namespace) = (self.kubeconfig.clone(), self.namespace.clone());
        // A runtime of its own: a test's may be gone, and may not block.
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let read = Kubeconfig::read_from(&kubeconfig).unwrap();
                let options = KubeConfigOptions::default();
                let config = Config::from_custom_kubeconfig(read, &options)
                    .await
                    .unwrap();
                let api = Api::<Namespace>::all(Client::try_from(config).unwrap());
                // Gone already is as good.
                let _gone = api.delete(&namespace, &DeleteParams::default()).await;
            });
        });
        work.join().unwrap();
    }
}

//! `dev up` while somebody removes what it made: it ends soon, says what is gone, and never with success.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::json;

use crate::support::app::{two_services, unique};
use crate::support::cluster::{Cluster, Guard, cluster};
use crate::support::project::{Project, Run, told};

/// Long enough that only a test that waits for it takes it.
const TIMEOUT: &str = "300s";
/// What is noticed, is noticed within this time.
const SOON: Duration = Duration::from_secs(60);

/// An application whose `store` cannot start before there is a ConfigMap `late`.
struct App {
    cluster: Cluster,
    project: Project,
    namespace: String,
    _guard: Guard,
}

impl App {
    async fn new(test: &str) -> Option<Self> {
        let cluster = cluster(test).await?;
        let name = unique("both");
        let namespace = format!("{name}-t");
        let project = two_services(&name);
        let text = std::fs::read_to_string(project.root().join("store.yaml")).unwrap();
        let needs = "        envFrom: [{configMapRef: {name: late}}]\n        ports: [";
        let text = text.replacen("        ports: [", needs, 1);
        project.write("store.yaml", text);
        Some(Self {
            _guard: cluster.guard(&namespace),
            cluster,
            project,
            namespace,
        })
    }

    /// `dev up` while `script` runs, and how long it went on after that.
    async fn up_while(&self, script: impl Future<Output = ()>) -> (Run, Duration) {
        let args = ["up", "-e", "t", "--timeout", TIMEOUT];
        let up = async {
            let run = self.cluster.dev(&self.project, &args).await;
            (run, Instant::now())
        };
        let script = async {
            script.await;
            Instant::now()
        };
        let ((run, end), began) = tokio::join!(up, script);
        (run, end.saturating_duration_since(began))
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// Until `dev up` waits for the first service.
    async fn store_is_applied(&self) {
        let seen = |found: Option<&Deployment>| {
            let status = found.and_then(|found| found.status.as_ref());
            status.is_some_and(|status| status.unavailable_replicas == Some(1))
        };
        await_condition(self.deployments(), "store", seen)
            .await
            .unwrap();
    }

    async fn removed(&self) {
        let down = self.cluster.dev(&self.project, &["down", "-e", "t"]).await;
        assert_eq!(down.code, 0, "{}", down.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_that_somebody_deletes_ends_the_wait() {
    let Some(app) = App::new("up: deleted workload").await else {
        return;
    };
    let (run, took) = app
        .up_while(async {
            app.store_is_applied().await;
            let deployments = app.deployments();
            deployments
                .delete("store", &DeleteParams::default())
                .await
                .unwrap();
        })
        .await;
    told(&run, 4, &["Deleted", "Deployment store", "dev up"]);
    assert!(took < SOON, "{took:?}");
    // The service that needs it was not applied.
    let status = app.cluster.dev(&app.project, &["status", "-e", "t"]).await;
    for word in [
        "[Missing] Deployment store",
        "[Missing] Deployment web",
        "`dev up -e t` goes on",
    ] {
        assert!(status.stderr.contains(word), "{word}: {}", status.stderr);
    }
    app.removed().await;
    assert!(!app.cluster.has_namespace(&app.namespace).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_that_somebody_deletes_is_no_success() {
    let Some(app) = App::new("up: deleted ConfigMap").await else {
        return;
    };
    let (run, _) = app
        .up_while(async {
            app.store_is_applied().await;
            let maps = app.maps();
            maps.delete("web", &DeleteParams::default()).await.unwrap();
            let late = serde_json::from_value(json!({"metadata": {"name": "late"}})).unwrap();
            maps.create(&PostParams::default(), &late).await.unwrap();
        })
        .await;
    told(&run, 1, &["RemovedMeanwhile", "ConfigMap web", "dev up"]);
    // The next one makes it again.
    let args = ["up", "-e", "t"];
    let again = app.cluster.dev(&app.project, &args).await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(app.maps().get_opt("web").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_down_at_the_same_time_ends_an_up_without_success() {
    let Some(app) = App::new("up: down at once").await else {
        return;
    };
    let (run, took) = app
        .up_while(async {
            app.store_is_applied().await;
            app.removed().await;
        })
        .await;
    told(&run, 4, &["Deleted", "Deployment store", "dev down"]);
    assert!(took < SOON, "{took:?}");
    assert!(!app.cluster.has_namespace(&app.namespace).await);
}

//! What `dev up` says of services that do not become ready, and of one that recovers.

use std::time::Duration;

use dev::cluster::health::{Health, ServiceObjects, Target};
use dev::cluster::wait::Watcher;
use dev::manifest::ObjectKey;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::{Value, json};

use crate::support::app::unique;
use crate::support::cluster::{cluster, image};
use crate::support::project::{Project, run};

/// A Deployment with one container.
fn deployment(name: &str, container: Value) -> Value {
    let mut container = container;
    container["name"] = json!("app");
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_trouble_is_told_with_its_reason_and_the_last_lines() {
    let Some(cluster) = cluster("the diagnosis of troubles").await else {
        return;
    };
    let app = unique("trouble");
    let _guard = cluster.guard(&format!("{app}-t"));
    let services = [
        (
            "crash",
            json!({"image": image(), "args": ["fail", "no DATABASE_URL"]}),
        ),
        (
            "never",
            json!({"image": "localhost/none:1", "imagePullPolicy": "Never"}),
        ),
        (
            "huge",
            json!({"image": image(), "resources": {"requests": {"cpu": "4000"}}}),
        ),
    ];
    let project = Project::new(&[]);
    let mut list = format!("app: {app}\nservices:\n");
    for (name, container) in services {
        list.push_str(&format!("  {name}: {{manifests: {name}.json}}\n"));
        project.write(
            &format!("{name}.json"),
            deployment(name, container).to_string(),
        );
    }
    project.write("dev.yaml", list);
    let mut command = project.command();
    command
        .args(["-e", "t", "up", "--timeout", "10s", "-o", "json"])
        .env("KUBECONFIG", &cluster.kubeconfig)
        .env("DEV_CLUSTER_UID", &cluster.uid);
    let up = tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap();
    assert_eq!(up.code, 4, "{up:?}");
    let line = up.stderr.lines().find(|line| line.starts_with('{'));
    let error: Value = serde_json::from_str(line.unwrap()).unwrap();
    let causes = error["error"]["causes"].to_string();
    for told in [
        "CrashLoop",
        "no DATABASE_URL",
        "ImagePull",
        "imagePullPolicy is Never",
        "Unschedulable",
        "not enough cpu",
    ] {
        assert!(causes.contains(told), "{told}: {causes}");
    }
    assert!(!error["error"]["hints"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_recovers_in_time_is_no_failure() {
    let Some(cluster) = cluster("recovery in time").await else {
        return;
    };
    let namespace = unique("recover");
    let _guard = cluster.namespace(&namespace).await;
    let refers =
        json!([{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "x"}}}]);
    let object = deployment(
        "web",
        json!({"image": image(), "args": ["serve"], "env": refers}),
    );
    let deployments = Api::<Deployment>::namespaced(cluster.client.clone(), &namespace);
    let object = serde_json::from_value(object).unwrap();
    deployments
        .create(&Default::default(), &object)
        .await
        .unwrap();

    let service = ServiceObjects {
        service: "web".to_owned(),
        workloads: vec![Target::new(ObjectKey {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some(namespace.clone()),
            name: "web".to_owned(),
        })],
    };
    let watcher = Watcher::new(cluster.client.clone(), &namespace, |_| {});
    let (troubled_tx, mut troubled_rx) = tokio::sync::mpsc::unbounded_channel();
    let services = [service];
    let told = |_: &str, health: &Health| {
        for trouble in health.troubles() {
            // Nobody asks after the first.
            let _later = troubled_tx.send(trouble.reason.code());
        }
    };
    let wait = watcher.wait_for(&services, Duration::from_secs(120), told);
    let mend = async {
        let first = troubled_rx.recv().await;
        let late: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": "late"}, "data": {"x": "y"}}))
                .unwrap();
        let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), &namespace);
        maps.create(&Default::default(), &late).await.unwrap();
        first
    };
    let (ready, first) = tokio::join!(wait, mend);
    assert_eq!(first, Some("ContainerConfig"));
    assert!(ready.unwrap()[0].is_ready());
}

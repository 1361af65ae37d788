//! What can go wrong between `dev` and a cluster: each gives one clear error and the right exit code, and leaves nothing
//! that `dev down` does not remove.

use k8s_openapi::api::core::v1::{ConfigMap, ResourceQuota};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::support::app::{two_services, unique};
use crate::support::cluster::{Cluster, cluster};
use crate::support::project::{Project, run, told};

/// One `dev down`, and nothing is left but what was there before.
async fn removed(cluster: &Cluster, project: &Project, namespace: &str, before: &[&str]) {
    let down = cluster.dev(project, &["down", "-e", "t"]).await;
    assert_eq!(down.code, 0, "{}", down.stderr);
    assert_eq!(
        cluster.left_over(namespace).await,
        before,
        "{}",
        down.stderr
    );
}

/// Replaces a part of a file of the project.
fn edit(project: &Project, file: &str, old: &str, new: &str) {
    let text = std::fs::read_to_string(project.root().join(file)).unwrap();
    assert!(text.contains(old), "{old} is not in: {text}");
    project.write(file, text.replace(old, new));
}

#[test]
fn kubeconfigs_that_cannot_be_used_are_told_without_a_cluster() {
    let project = two_services("shop");
    let cases: [(&str, i32, &[&str]); 4] = [
        ("", 2, &["kubeconfig"]),
        ("apiVersion: [", 2, &["kubeconfig"]),
        (
            "apiVersion: v1\nkind: Config\ncurrent-context: gone\ncontexts: []\nclusters: []\nusers: []\n",
            2,
            &["gone"],
        ),
        (
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n",
            3,
            &["127.0.0.1:1"],
        ),
    ];
    for (text, code, words) in cases {
        project.write("kubeconfig", text);
        let path = project.root().join("kubeconfig");
        let run = run(project.command().args(["up"]).env("KUBECONFIG", path));
        told(&run, code, words);
    }
    let run = run(project
        .command()
        .args(["up"])
        .env("KUBECONFIG", "/nowhere/at/all"));
    told(&run, 2, &["/nowhere/at/all"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_nobody_admitted_is_not_written_to() {
    let Some(cluster) = cluster("guard").await else {
        return;
    };
    let name = unique("guard");
    let project = two_services(&name);
    let mut command = project.command();
    command
        .args(["up", "-e", "t", "-y"])
        .env("KUBECONFIG", &cluster.kubeconfig)
        .env("DEV_CLUSTER_UID", "00000000-0000-0000-0000-000000000000");
    let other = tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap();
    told(&other, 3, &["DEV_CLUSTER_UID"]);
    assert!(!cluster.has_namespace(&format!("{name}-t")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_is_diagnosed() {
    let Some(cluster) = cluster("missing image").await else {
        return;
    };
    let name = unique("image");
    let namespace = format!("{name}-t");
    let project = two_services(&name);
    let _guard = cluster.guard(&namespace);
    let image = crate::support::cluster::image();
    edit(&project, "store.yaml", &image, "localhost:1/no/such:image");
    let up = ["up", "-e", "t", "--timeout", "15s"];
    let run = cluster.dev(&project, &up).await;
    told(
        &run,
        4,
        &["store", "ImagePull", "localhost:1/no/such:image"],
    );
    removed(&cluster, &project, &namespace, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_told_with_the_last_lines() {
    let Some(cluster) = cluster("crash loop").await else {
        return;
    };
    let name = unique("crash");
    let namespace = format!("{name}-t");
    let project = two_services(&name);
    let _guard = cluster.guard(&namespace);
    edit(
        &project,
        "store.yaml",
        "[/testbox, serve]",
        "[/testbox, fail, no such table]",
    );
    let up = ["up", "-e", "t", "--timeout", "20s"];
    let run = cluster.dev(&project, &up).await;
    told(&run, 4, &["store", "CrashLoop", "no such table"]);
    removed(&cluster, &project, &namespace, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_used_up_is_named() {
    let Some(cluster) = cluster("quota").await else {
        return;
    };
    let name = unique("quota");
    let namespace = format!("{name}-t");
    let project = two_services(&name);
    let _guard = cluster.namespace(&namespace).await;
    let quotas = Api::<ResourceQuota>::namespaced(cluster.client.clone(), &namespace);
    let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": {"pods": "0"}}});
    quotas
        .create(&Default::default(), &serde_json::from_value(quota).unwrap())
        .await
        .unwrap();
    let up = ["up", "-e", "t", "--timeout", "15s"];
    let run = cluster.dev(&project, &up).await;
    told(&run, 4, &["store", "QuotaExceeded", "small"]);
    let theirs = [
        format!("Namespace {namespace}"),
        "ResourceQuota small".into(),
    ];
    let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
    removed(&cluster, &project, &namespace, &theirs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_the_security_level_refuses_is_told_with_what_it_lacks() {
    let Some(cluster) = cluster("Pod Security").await else {
        return;
    };
    let name = unique("restricted");
    let namespace = format!("{name}-t");
    let project = two_services(&name);
    let _guard = cluster.namespace(&namespace).await;
    let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(cluster.client.clone());
    let level =
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let params = PatchParams::default();
    namespaces
        .patch(&namespace, &params, &Patch::Merge(&level))
        .await
        .unwrap();
    edit(&project, "store.yaml", "runAsNonRoot: true, ", "");
    let up = ["up", "-e", "t", "--timeout", "15s"];
    let run = cluster.dev(&project, &up).await;
    told(&run, 4, &["store", "AdmissionRefused", "runAsNonRoot"]);
    let theirs = format!("Namespace {namespace}");
    removed(&cluster, &project, &namespace, &[&theirs]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_the_cluster_refuses_ends_the_command_though_others_wait_for_it() {
    let Some(cluster) = cluster("refused object").await else {
        return;
    };
    let name = unique("refused");
    let namespace = format!("{name}-t");
    let project = two_services(&name);
    let _guard = cluster.guard(&namespace);
    edit(
        &project,
        "store.yaml",
        "labels: {app: store}",
        "labels: {app: other}",
    );
    let run = cluster.dev(&project, &["up", "-e", "t"]).await;
    told(&run, 1, &["Deployment store", "Invalid", "selector"]);
    removed(&cluster, &project, &namespace, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_does_not_end_is_told_with_what_holds_it() {
    let Some(cluster) = cluster("terminating namespace").await else {
        return;
    };
    let name = unique("held");
    let namespace = format!("{name}-t");
    let project = Project::new(&[
        (
            "dev.yaml",
            &format!("app: {name}\nservices: {{web: {{manifests: web.yaml}}}}\n"),
        ),
        (
            "web.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n",
        ),
    ]);
    let _guard = cluster.guard(&namespace);
    let first = cluster.dev(&project, &["up", "-e", "t"]).await;
    assert_eq!(first.code, 0, "{}", first.stderr);
    let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), &namespace);
    let hold = |finalizers: serde_json::Value| {
        Patch::Merge(json!({"metadata": {"finalizers": finalizers}}))
    };
    let params = PatchParams::default();
    maps.patch("web", &params, &hold(json!(["example.org/hold"])))
        .await
        .unwrap();
    let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(cluster.client.clone());
    namespaces
        .delete(&namespace, &DeleteParams::default())
        .await
        .unwrap();

    let patient = |verb| [verb, "-e", "t", "--timeout", "10s"];
    let up = cluster.dev(&project, &patient("up")).await;
    told(&up, 4, &["NamespaceTerminating", "example.org/hold"]);
    let down = cluster.dev(&project, &patient("down")).await;
    told(&down, 4, &["example.org/hold"]);

    maps.patch("web", &params, &hold(serde_json::Value::Null))
        .await
        .unwrap();
    removed(&cluster, &project, &namespace, &[]).await;
}

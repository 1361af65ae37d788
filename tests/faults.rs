//! What can go wrong between `dev` and a cluster: each gives one clear error and the right exit code.

use serde_json::json;

use crate::support::app::{two_services, unique};
use crate::support::cluster::{Cluster, cluster};
use crate::support::project::{Project, Run, run};

async fn dev(project: &Project, cluster: &Cluster, args: &[&str]) -> Run {
    let mut command = project.command();
    command
        .args(args)
        .env("KUBECONFIG", &cluster.kubeconfig)
        .env("DEV_CLUSTER_UID", &cluster.uid);
    tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap()
}

fn told(run: &Run, code: i32, words: &[&str]) {
    assert_eq!(run.code, code, "{}", run.stderr);
    for word in words {
        assert!(
            run.stderr.contains(word),
            "\"{word}\" is not in: {}",
            run.stderr
        );
    }
    assert_eq!(run.stderr.matches("Error:").count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("Hint:"), "{}", run.stderr);
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
    let project = two_services(&name);
    let _guard = cluster.guard(&format!("{name}-t"));
    let text = std::fs::read_to_string(project.root().join("store.yaml")).unwrap();
    project.write(
        "store.yaml",
        text.replace(
            &crate::support::cluster::image(),
            "localhost:1/no/such:image",
        ),
    );
    let run = dev(&project, &cluster, &["up", "-e", "t", "--timeout", "15s"]).await;
    told(
        &run,
        4,
        &["store", "ImagePull", "localhost:1/no/such:image"],
    );
    let down = dev(&project, &cluster, &["down", "-e", "t"]).await;
    assert_eq!(down.code, 0, "{}", down.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_told_with_the_last_lines() {
    let Some(cluster) = cluster("crash loop").await else {
        return;
    };
    let name = unique("crash");
    let project = two_services(&name);
    let _guard = cluster.guard(&format!("{name}-t"));
    let text = std::fs::read_to_string(project.root().join("store.yaml")).unwrap();
    project.write(
        "store.yaml",
        text.replace("[/testbox, serve]", "[/testbox, fail, no such table]"),
    );
    let run = dev(&project, &cluster, &["up", "-e", "t", "--timeout", "20s"]).await;
    told(&run, 4, &["store", "CrashLoop", "no such table"]);
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
    let quotas = kube::Api::<k8s_openapi::api::core::v1::ResourceQuota>::namespaced(
        cluster.client.clone(),
        &namespace,
    );
    let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": {"pods": "0"}}});
    quotas
        .create(&Default::default(), &serde_json::from_value(quota).unwrap())
        .await
        .unwrap();
    let run = dev(&project, &cluster, &["up", "-e", "t", "--timeout", "15s"]).await;
    told(&run, 4, &["store", "QuotaExceeded", "small"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named_and_nothing_is_written() {
    let Some(cluster) = cluster("missing right").await else {
        return;
    };
    let name = unique("right");
    let namespace = format!("{name}-t");
    let project = two_services(&name);
    // An account without any rights, and a kubeconfig with its token.
    let _guard = cluster.namespace(&namespace).await;
    let accounts = kube::Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(
        cluster.client.clone(),
        &namespace,
    );
    let request =
        serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 3600}}));
    let account = json!({"metadata": {"name": "nobody"}});
    accounts
        .create(
            &Default::default(),
            &serde_json::from_value(account).unwrap(),
        )
        .await
        .unwrap();
    let token = accounts
        .create_token_request("nobody", &Default::default(), &request.unwrap())
        .await;
    let token = token.unwrap().status.unwrap().token;
    let own = std::fs::read_to_string(&cluster.kubeconfig).unwrap();
    let mut uid = cluster.uid.clone();
    let cases = [
        // Without the right to read kube-system the cluster is known by its certificate authority.
        (token.as_str(), "OtherCluster"),
        (token.as_str(), "MissingRight"),
        ("expired", "Unauthenticated"),
    ];
    for (token, reason) in cases {
        project.write("kubeconfig", with_token(&own, token));
        let mut command = project.command();
        command
            .args(["up", "-e", "t"])
            .env("KUBECONFIG", project.root().join("kubeconfig"))
            .env("DEV_CLUSTER_UID", &uid);
        let run = tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap();
        told(&run, 3, &[reason]);
        assert!(
            token == "expired" || !run.stderr.contains(token),
            "the token is told"
        );
        if reason == "OtherCluster" {
            let authority = run
                .stderr
                .split_whitespace()
                .find(|word| word.starts_with("ca:"));
            uid = authority.unwrap().trim_end_matches(',').to_owned();
        }
    }
    assert_eq!(
        cluster
            .names::<k8s_openapi::api::core::v1::Service>(&namespace)
            .await,
        Vec::<String>::new()
    );
}

/// The same kubeconfig with a token in place of its user's credentials.
fn with_token(kubeconfig: &str, token: &str) -> String {
    let mut value: serde_json::Value =
        dev::manifest::yaml::from_str(kubeconfig, std::path::Path::new("kubeconfig")).unwrap();
    for user in value["users"].as_array_mut().unwrap() {
        user["user"] = json!({"token": token});
    }
    value.to_string()
}

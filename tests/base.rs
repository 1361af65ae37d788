//! `dev deploy`, and what `--base-version` and `--remove` mean, on a real cluster.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use serde_json::{Value, json};

use crate::support::app::{two_services, unique};
use crate::support::cluster::cluster;
use crate::support::project::told;
use crate::support::proxy::Proxy;

#[tokio::test(flavor = "multi_thread")]
async fn the_base_is_made_shown_compared_and_removed() {
    let Some(cluster) = cluster("deploy").await else {
        return;
    };
    let base = unique("base");
    let project = two_services(&base);
    let text = std::fs::read_to_string(project.root().join("dev.yaml")).unwrap();
    project.write("dev.yaml", format!("base: {base}\n{text}"));
    let _guard = cluster.guard(&base);
    let proxy = Proxy::start(cluster.client.clone()).await;
    let counted = proxy.kubeconfig(&project.root());
    let dev = async |args: &[&str]| cluster.dev_as(&project, &counted, args).await;

    let preview = dev(&["deploy", "--dry-run"]).await;
    assert_eq!(preview.code, 0, "{}", preview.stderr);
    assert!(preview.stderr.contains("7 to create"), "{}", preview.stderr);
    let diff = dev(&["diff", "--base-version", "--exit-code"]).await;
    assert_eq!(
        (diff.code, &diff.stdout),
        (1, &preview.stdout),
        "{}",
        diff.stderr
    );
    assert_eq!(proxy.writes(), Vec::<String>::new());
    let before = dev(&["status", "--base-version", "-o", "json"]).await;
    let before: Value = serde_json::from_str(&before.stdout).unwrap();
    assert_eq!(before["state"], "absent");

    let first = dev(&["deploy", "-o", "json"]).await;
    assert_eq!(first.code, 0, "{}", first.stderr);
    let report: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(report["namespace"], json!(base));
    let rendered = dev(&["render", "--base-version", "-o", "json"]).await;
    let rendered: Value = serde_json::from_str(&rendered.stdout).unwrap();
    for object in rendered["items"].as_array().unwrap() {
        assert_eq!(object["metadata"]["namespace"], json!(base));
        assert_eq!(object["metadata"]["labels"]["dev/version"], "base");
    }
    let status = dev(&["status", "--base-version", "-o", "json"]).await;
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let states: Vec<&Value> = status["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| &service["state"])
        .collect();
    assert_eq!(states, ["ready", "ready"]);

    proxy.arm(None);
    let second = dev(&["deploy"]).await;
    assert_eq!(second.code, 0, "{}", second.stderr);
    let diff = dev(&["diff", "--base-version", "--exit-code"]).await;
    assert_eq!((diff.code, diff.stdout.as_str()), (0, ""));
    assert_eq!(proxy.writes(), Vec::<String>::new());

    // What others put there stays, and the namespace with it.
    let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), &base);
    let theirs = serde_json::from_value(json!({"metadata": {"name": "theirs"}})).unwrap();
    maps.create(&Default::default(), &theirs).await.unwrap();
    let preview = dev(&["deploy", "--remove", "--dry-run"]).await;
    assert_eq!(preview.code, 0, "{}", preview.stderr);
    assert!(
        preview.stdout.contains("- Deployment web"),
        "{}",
        preview.stdout
    );
    assert_eq!(proxy.writes(), Vec::<String>::new());
    let removed = dev(&["deploy", "--remove"]).await;
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    assert!(
        removed.stderr.contains("ConfigMap theirs"),
        "{}",
        removed.stderr
    );
    assert_eq!(cluster.objects_in(&base).await, ["ConfigMap theirs"]);

    // Made again, only one service this time; without the foreign object everything goes.
    maps.delete("theirs", &Default::default()).await.unwrap();
    let one = dev(&["deploy", "store"]).await;
    assert_eq!(one.code, 0, "{}", one.stderr);
    let there = cluster.objects_in(&base).await;
    assert!(there.contains(&"Deployment store".to_owned()), "{there:?}");
    assert!(!there.contains(&"Deployment web".to_owned()), "{there:?}");
    let removed = dev(&["deploy", "--remove"]).await;
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    assert_eq!(cluster.left_over(&base).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_whose_namespace_was_there_keeps_it() {
    let Some(cluster) = cluster("deploy into a namespace").await else {
        return;
    };
    let base = unique("given");
    let project = two_services(&base);
    let _guard = cluster.namespace(&base).await;
    for args in [
        &["deploy", "--no-wait", "--base", &base][..],
        &["deploy", "--remove", "--base", &base],
    ] {
        let run = cluster.dev(&project, args).await;
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
    }
    let namespaces = Api::<Namespace>::all(cluster.client.clone());
    assert!(namespaces.get_opt(&base).await.unwrap().is_some());
    assert_eq!(cluster.objects_in(&base).await, Vec::<String>::new());
}

#[test]
fn without_a_base_there_is_nothing_to_deploy_to() {
    let project = two_services("shop");
    project.write(
        "kubeconfig",
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n",
    );
    let kubeconfig = project.root().join("kubeconfig");
    for args in [
        &["deploy"][..],
        &["deploy", "--remove"],
        &["deploy", "--remove", "--dry-run"],
        &["render", "--base-version"],
    ] {
        let mut command = project.command();
        let run = crate::support::project::run(command.args(args).env("KUBECONFIG", &kubeconfig));
        told(&run, 2, &["there is no base", "base: NAMESPACE"]);
    }
}

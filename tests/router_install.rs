//! `dev router install`, `status`, `uninstall`, `admit`, `revoke` on a real cluster.

use serde_json::{Value, json};

use crate::support::app::unique;
use crate::support::cluster::cluster;
use crate::support::project::{Project, run};
use crate::support::routers::{Routers, restricted_service};

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_writes_once_and_its_end_leaves_the_namespace_as_it_was() {
    let base = unique("router");
    let objects = [
        restricted_service("web", "web"),
        restricted_service("store", "store"),
    ]
    .concat();
    let Some(routers) = Routers::new("router install", &base, &objects).await else {
        return;
    };
    let before = routers.objects().await;

    let dry = routers.good(&["router", "install", "--dry-run"]).await;
    assert!(
        dry.stdout.contains("Deployment dev-router"),
        "{}",
        dry.stdout
    );
    assert_eq!(routers.proxy.writes(), [""; 0]);

    let first = routers.json(&["router", "install"]).await;
    assert_eq!(first["routers"], 2, "{first}");
    assert!(!routers.proxy.writes().is_empty());

    let status = routers.json(&["router", "status"]).await;
    let pods = status["routers"].as_array().unwrap();
    assert_eq!(pods.len(), 2, "{status}");
    let nodes: Vec<&Value> = pods.iter().map(|pod| &pod["node"]).collect();
    assert_ne!(nodes[0], nodes[1], "the routers are on one node");
    assert!(
        pods.iter()
            .all(|pod| pod["ready"] == true && pod["synced"] == true),
        "{status}"
    );
    assert_eq!(status["control"]["ready"], 1, "{status}");
    let names: Vec<&Value> = status["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["store", "web"]);
    assert!(
        status["services"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["state"] == "base"),
        "{status}"
    );

    // What people wrote into the list meanwhile stays.
    let env = format!("{base}-ann");
    routers.good(&["router", "admit", &env]).await;
    let second = routers.json(&["router", "install"]).await;
    assert_eq!(routers.proxy.writes(), [""; 0], "{second}");
    let status = routers.json(&["router", "status"]).await;
    assert_eq!(
        status["environments"],
        json!([{"namespace": env, "env": "ann"}])
    );

    routers.good(&["router", "uninstall"]).await;
    assert_eq!(routers.objects().await, before);
    assert_eq!(routers.outside().await, [""; 0]);
    let again = routers.json(&["router", "uninstall"]).await;
    assert_eq!(again["removed"], json!([]));
    assert_eq!(routers.proxy.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_refused_before_the_first_write() {
    let base = unique("router");
    let Some(routers) = Routers::new("router install refused", &base, &[]).await else {
        return;
    };
    let refused = async |user: Option<&str>, args: &[&str], reason: &str| {
        let run = routers
            .dev_as(user, &[&["router", "install"], args].concat())
            .await;
        assert_ne!(run.code, 0, "{reason}");
        assert!(run.stderr.contains(reason), "{reason}: {}", run.stderr);
        assert_eq!(routers.proxy.writes(), [""; 0], "{reason}");
        run.stderr
    };
    refused(
        None,
        &["--base", "dev-test-no-such-base"],
        "NamespaceMissing",
    )
    .await;

    // The rights of the base's administrator do not reach beyond the base.
    let admin = routers.user("admin", "ClusterRole", "admin").await;
    let told = refused(Some(&admin), &[], "MissingRight").await;
    assert!(told.contains("clusterroles"), "{told}");

    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    routers.cluster.put(&base, &[quota]).await;
    routers.cluster.await_quota(&base, "none").await;
    refused(None, &[], "QuotaExceeded").await;

    routers
        .cluster
        .label_namespace(&base, "istio-injection", "enabled")
        .await;
    refused(None, &[], "ServiceMesh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_sees_the_status_with_the_rights_of_its_role() {
    let base = unique("router");
    let Some(routers) =
        Routers::new("router status", &base, &restricted_service("web", "web")).await
    else {
        return;
    };
    routers.good(&["router", "install"]).await;
    let stranger = format!("{base}-stranger");
    let nothing = routers.dev_as(Some(&stranger), &["router", "status"]).await;
    assert_eq!(nothing.code, 3, "{}", nothing.stderr);

    let user = routers.user("ann", "Role", "dev-router-status").await;
    let run = routers
        .dev_as(Some(&user), &["router", "status", "-o", "json"])
        .await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    let status: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(status["problems"], json!([]), "{status}");
    let pods = status["routers"].as_array().unwrap();
    assert!(pods.iter().all(|pod| pod["synced"] == true), "{status}");

    let admit = routers
        .dev_as(Some(&user), &["router", "admit", &format!("{base}-ann")])
        .await;
    assert_eq!(admit.code, 3, "{}", admit.stderr);
    assert!(admit.stderr.contains("MissingRight"), "{}", admit.stderr);
    assert_eq!(routers.proxy.writes(), [""; 0]);
    routers.good(&["router", "uninstall", "--now"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admissions_at_the_same_time_are_all_there() {
    const MANY: usize = 8;
    let Some(cluster) = cluster("router admit").await else {
        return;
    };
    let base = unique("admit");
    let list =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dev-admission"}});
    let _guard = cluster.base(&base, &[list]).await;
    let project = Project::new(&[]);
    let dev = |args: Vec<String>| {
        let mut command = project.command();
        command
            .args(["router"])
            .args(args)
            .args(["--base", &base])
            .env("KUBECONFIG", &cluster.kubeconfig)
            .env("DEV_CLUSTER_UID", &cluster.uid);
        tokio::task::spawn_blocking(move || run(&mut command))
    };
    let admit = |number: usize| dev(vec!["admit".into(), format!("{base}-e{number}")]);
    let all: Vec<_> = (0..MANY).map(admit).collect();
    for run in all {
        let run = run.await.unwrap();
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    let status = async || -> Value {
        let run = dev(vec!["status".into(), "-o".into(), "json".into()])
            .await
            .unwrap();
        serde_json::from_str(&run.stdout).unwrap()
    };
    let mut envs: Vec<String> = status().await["environments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["env"].as_str().unwrap().to_owned())
        .collect();
    envs.sort();
    let expected: Vec<String> = (0..MANY).map(|number| format!("e{number}")).collect();
    assert_eq!(envs, expected);

    // A name belongs to whoever was first.
    let taken = dev(vec![
        "admit".into(),
        "mallory".into(),
        "--env".into(),
        "e1".into(),
    ])
    .await
    .unwrap();
    assert_eq!(taken.code, 1, "{}", taken.stderr);
    assert!(taken.stderr.contains("NameTaken"), "{}", taken.stderr);
    let gone = dev(vec!["revoke".into(), "e1".into()]).await.unwrap();
    assert_eq!(gone.code, 0, "{}", gone.stderr);
    assert_eq!(
        status().await["environments"].as_array().unwrap().len(),
        MANY - 1
    );
}

//! `dev up` killed with SIGKILL at every write that it makes: one `dev down` afterwards leaves nothing.

use std::process::{Command, Stdio};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};

use crate::support::app::{two_services, unique};
use crate::support::cluster::{Cluster, cluster, long};
use crate::support::project::{Project, run};
use crate::support::proxy::{Kill, Moment, Proxy};

/// Starts `dev up` as a process of its own that can be killed.
fn start(project: &Project, proxy: &Proxy, uid: &str) -> std::process::Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("dev"));
    command
        .args(["up", "-e", "t", "-q"])
        .current_dir(project.root())
        .env_clear()
        .env("HOME", project.root())
        .env("KUBECONFIG", proxy.kubeconfig(&project.root()))
        .env("DEV_CLUSTER_UID", uid)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

async fn left_over(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let mut left = cluster.names::<Deployment>(namespace).await;
    left.extend(cluster.names::<Service>(namespace).await);
    left.extend(cluster.names::<Secret>(namespace).await);
    left.extend(cluster.names::<ConfigMap>(namespace).await);
    left.extend(cluster.names::<ServiceAccount>(namespace).await);
    if cluster.has_namespace(namespace).await {
        left.push(format!("Namespace {namespace}"));
    }
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_write_leaves_nothing_after_one_down() {
    let Some(cluster) = cluster("kill").await else {
        return;
    };
    let proxy = Proxy::start(cluster.client.clone()).await;

    // How many writes there are, by a run that nobody kills.
    let name = unique("kill");
    let project = two_services(&name);
    let namespace = format!("{name}-t");
    let _guard = cluster.guard(&namespace);
    proxy.arm(None);
    let mut child = start(&project, &proxy, &cluster.uid);
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap())
        .await
        .unwrap();
    assert!(status.success());
    let writes = proxy.writes().len();
    assert!(writes >= 9, "{:?}", proxy.writes());

    let all: Vec<(usize, Moment)> = (1..=writes)
        .flat_map(|write| [(write, Moment::Before), (write, Moment::After)])
        .collect();
    // A few of them in every run: the namespace, the inventory, an object in the middle, the last.
    let few = |(write, moment): &(usize, Moment)| {
        let last = *write == writes && *moment == Moment::Before;
        last || ([1, 2, writes / 2].contains(write) && *moment == Moment::After)
    };
    let chosen: Vec<_> = all
        .into_iter()
        .filter(|point| long() || few(point))
        .collect();
    let mut failed = Vec::new();
    for (write, moment) in &chosen {
        let (write, moment) = (*write, *moment);
        let name = unique("kill");
        let project = two_services(&name);
        let namespace = format!("{name}-t");
        let _guard = cluster.guard(&namespace);
        proxy.arm(None);
        let mut child = start(&project, &proxy, &cluster.uid);
        let pid = i32::try_from(child.id()).unwrap();
        proxy.arm(Some(Kill { pid, write, moment }));
        let status = tokio::task::spawn_blocking(move || child.wait().unwrap())
            .await
            .unwrap();
        assert!(
            !status.success(),
            "write {write} {moment:?}: it was not killed"
        );
        proxy.arm(None);
        let mut down = project.command();
        down.args(["down", "-e", "t"])
            .env("KUBECONFIG", &cluster.kubeconfig)
            .env("DEV_CLUSTER_UID", &cluster.uid);
        let down = tokio::task::spawn_blocking(move || run(&mut down))
            .await
            .unwrap();
        let left = left_over(&cluster, &namespace).await;
        if down.code != 0 || !left.is_empty() {
            failed.push(format!(
                "write {write} {moment:?}: {left:?} {}",
                down.stderr
            ));
        }
    }
    println!(
        "{} kills at {writes} writes, {} left something",
        chosen.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "{failed:#?}");
}

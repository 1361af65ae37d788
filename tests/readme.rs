//! The tour of the README: each of its blocks is run as it stands there, one after the other.

use std::path::Path;
use std::process::Command;

use crate::support::app::unique;
use crate::support::cluster::cluster;

/// The blocks of the tour, without the one that makes a cluster.
fn tour() -> Vec<String> {
    let readme = include_str!("../README.md");
    let (_, tour) = readme.split_once("## The five-minute tour").unwrap();
    let (tour, _) = tour.split_once("\n## ").unwrap();
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in tour.lines() {
        match (line.trim(), &mut block) {
            ("```sh", _) => block = Some(String::new()),
            ("```", Some(_)) => blocks.extend(block.take()),
            (text, Some(block)) => {
                block.push_str(text);
                block.push('\n');
            }
            _ => {}
        }
    }
    blocks.retain(|block| !block.contains("cluster up"));
    blocks
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_works_when_it_is_pasted() {
    let Some(cluster) = cluster("the tour of the README").await else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (user, other) = (unique("tour"), unique("pr"));
    let _guards = [
        cluster.guard(&format!("hello-{user}")),
        cluster.guard(&format!("hello-{other}")),
    ];
    let blocks = tour();
    assert!(blocks.len() >= 5, "{blocks:?}");
    // Names and a port that no other run has; nothing else is changed.
    // Taken and given back at once: what is held cannot be listened on.
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port().to_string()
    };
    let script = blocks.concat();
    let script = script.replace("pr-12", &other).replace("8080", &port);
    assert!(
        script.contains(&other) && script.contains(&port),
        "{script}"
    );
    let home = tempfile::tempdir().unwrap();
    let bin = Path::new(assert_cmd::cargo::cargo_bin!("dev"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command
        .args(["-e", "-c", &script])
        .current_dir(root)
        .env_clear()
        .env("HOME", home.path())
        .env("USER", &user)
        .env(
            "PATH",
            format!("{}:{path}", bin.parent().unwrap().display()),
        )
        .env("KUBECONFIG", &cluster.kubeconfig)
        .env("DEV_CLUSTER_UID", &cluster.uid);
    if let Some(registry) = std::env::var_os("DEV_REGISTRY") {
        command.env("DEV_REGISTRY", registry);
    }
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    for words in [
        "dev.yaml is valid: 2 services, 4 objects".to_owned(),
        "+ Deployment clock".to_owned(),
        format!("{user} is up in namespace hello-{user}: 4 created"),
        format!("Hello from {user}"),
        "web listens on port 8080".to_owned(),
        "1 updated, 3 unchanged".to_owned(),
        "profile ci (--profile)".to_owned(),
        format!("hello-{other}: 4 objects and the namespace removed"),
        format!("hello-{user}: 4 objects and the namespace removed"),
    ] {
        assert!(said.contains(&words), "\"{words}\" is not in: {said}");
    }
    for env in [&user, &other] {
        let left = cluster.left_over(&format!("hello-{env}")).await;
        assert_eq!(left, Vec::<String>::new());
    }
}

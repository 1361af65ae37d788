//! The example application, by its own project file: built, pushed, brought up under `restricted` Pod Security, used, removed.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use serde_json::{Value, json};

use crate::support::app::unique;
use crate::support::cluster::{Cluster, cluster};
use crate::support::project::{Run, command_in, run};

struct Shop {
    cluster: Cluster,
    home: tempfile::TempDir,
    env: String,
}

impl Shop {
    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/bookshop")
    }

    async fn dev(&self, args: &[&str]) -> Run {
        let mut command = command_in(&Self::folder(), self.home.path());
        command
            .args(["-e", &self.env])
            .args(args)
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .env("DEV_CLUSTER_UID", &self.cluster.uid);
        // What the images are made with keeps its caches in the person's home.
        for name in ["DEV_REGISTRY", "GOPATH", "GOMODCACHE", "GOCACHE", "GOFLAGS"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .unwrap_or_default();
        for (name, below) in [("GOMODCACHE", "go/pkg/mod"), ("GOCACHE", ".cache/go-build")] {
            if std::env::var_os(name).is_none() {
                command.env(name, home.join(below));
            }
        }
        command.env("XDG_CACHE_HOME", home.join(".cache"));
        tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap()
    }
}

/// Writes of `dev` in a namespace, by the API server's own record.
fn audited_writes(log: &Path, namespace: &str) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| {
            event["userAgent"]
                .as_str()
                .is_some_and(|agent| agent.starts_with("dev/"))
        })
        .filter(|event| event["objectRef"]["namespace"] == namespace)
        .filter(|event| !matches!(event["verb"].as_str(), Some("get" | "list" | "watch")))
        .map(|event| format!("{} {}", event["verb"], event["requestURI"]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bookshop_answers_and_an_unchanged_one_is_not_written_to() {
    let Some(cluster) = cluster("bookshop").await else {
        return;
    };
    let Some(log) = std::env::var_os("DEV_CLUSTER_AUDIT_LOG").map(PathBuf::from) else {
        crate::support::cluster::left_out(
            "bookshop: it needs the bundled cluster's audit log and registry",
        );
        return;
    };
    let shop = Shop {
        env: unique("shop"),
        home: tempfile::tempdir().unwrap(),
        cluster,
    };
    let namespace = format!("bookshop-{}", shop.env);
    let _guard = shop.cluster.namespace(&namespace).await;
    let restricted =
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let namespaces = Api::<Namespace>::all(shop.cluster.client.clone());
    let patch = kube::api::Patch::Merge(&restricted);
    namespaces
        .patch(&namespace, &Default::default(), &patch)
        .await
        .unwrap();

    let up = shop.dev(&["up"]).await;
    assert_eq!(up.code, 0, "{}", up.stderr);
    assert!(
        !audited_writes(&log, &namespace).is_empty(),
        "the audit log names dev's writes"
    );
    assert!(!shop.cluster.names::<Pod>(&namespace).await.is_empty());

    let url = shop.dev(&["url", "web"]).await.stdout.trim().to_owned();
    let versions =
        ["web", "reviews", "ratings", "details"].map(|name| format!("{name}={}", shop.env));
    let check = Command::new(Shop::folder().join("check"))
        .args([url.as_str(), "--wait", "30"])
        .args(versions)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stderr) + String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{url}: {said}");

    let before = audited_writes(&log, &namespace).len();
    let again = shop.dev(&["up", "-o", "json"]).await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    let report: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(report["changes"]["unchanged"], 19, "{report}");
    let diff = shop.dev(&["diff", "--exit-code"]).await;
    assert_eq!((diff.code, diff.stdout.as_str()), (0, ""));
    assert_eq!(
        audited_writes(&log, &namespace)[before..],
        [] as [String; 0]
    );

    let down = shop.dev(&["down"]).await;
    assert_eq!(down.code, 0, "{}", down.stderr);
    assert_eq!(
        shop.cluster.names::<Deployment>(&namespace).await,
        Vec::<String>::new()
    );
}

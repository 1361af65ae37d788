//! `dev up`, `diff`, `status`, `down` on a real cluster.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use crate::support::app::{two_services, unique};
use crate::support::cluster::{Cluster, cluster};
use crate::support::project::{Project, Run, run, told};
use crate::support::proxy::Proxy;

/// An application in a cluster that counts writes.
struct App {
    cluster: Cluster,
    proxy: Proxy,
    project: Project,
    namespace: String,
    _guard: crate::support::cluster::Guard,
}

impl App {
    async fn new(test: &str) -> Option<Self> {
        let cluster = cluster(test).await?;
        let name = unique("up");
        let namespace = format!("{name}-t");
        let proxy = Proxy::start(cluster.client.clone()).await;
        Some(Self {
            _guard: cluster.guard(&namespace),
            project: two_services(&name),
            cluster,
            proxy,
            namespace,
        })
    }

    /// Runs `dev` through the proxy, off the runtime that serves the proxy.
    async fn dev(&self, args: &[&str]) -> Run {
        self.proxy.arm(None);
        self.run(args, self.proxy.kubeconfig(&self.project.root()))
            .await
    }

    /// Runs `dev` without the proxy, which passes no WebSocket on.
    async fn direct(&self, args: &[&str]) -> Run {
        self.run(args, self.cluster.kubeconfig.clone()).await
    }

    async fn run(&self, args: &[&str], kubeconfig: std::path::PathBuf) -> Run {
        let mut command = self.project.command();
        command
            .args(["-e", "t"])
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("DEV_CLUSTER_UID", &self.cluster.uid);
        tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap()
    }

    async fn up(&self, args: &[&str]) -> Run {
        let run = self.dev(&[&["up"], args].concat()).await;
        assert_eq!(run.code, 0, "{}", run.stderr);
        run
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn up_makes_what_diff_shows_and_a_second_one_writes_nothing() {
    let Some(app) = App::new("up").await else {
        return;
    };
    let before = app.dev(&["diff", "--exit-code"]).await;
    assert_eq!(before.code, 1, "{}", before.stderr);
    assert!(app.proxy.writes().is_empty(), "{:?}", app.proxy.writes());

    let first = app.up(&["-o", "json"]).await;
    let report: serde_json::Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(report["changes"]["create"], 7);
    for service in report["services"].as_array().unwrap() {
        assert_eq!(service["state"], "ready", "{service}");
    }

    let diff = app.dev(&["diff", "--exit-code"]).await;
    assert_eq!((diff.code, diff.stdout.as_str()), (0, ""));
    let second = app.up(&[]).await;
    assert_eq!(
        app.proxy.writes(),
        Vec::<String>::new(),
        "{}",
        second.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_writes_the_changed_object_and_a_removed_object_is_pruned() {
    let Some(app) = App::new("up: change and prune").await else {
        return;
    };
    app.up(&[]).await;
    app.up(&["--set", "text=other"]).await;
    let written: Vec<String> = app.proxy.writes();
    let changed = |kind: &str| written.iter().any(|write| write.contains(kind));
    assert!(
        changed("deployments/web") && changed("configmaps/web"),
        "{written:?}"
    );
    assert!(!changed("services/") && !changed("secrets/"), "{written:?}");

    app.project.write(
        "store.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: only}\n",
    );
    app.up(&["--set", "text=other"]).await;
    assert_eq!(
        app.cluster.names::<Deployment>(&app.namespace).await,
        ["web"]
    );
    assert_eq!(
        app.cluster.names::<Secret>(&app.namespace).await,
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_another_manager_owns_is_named_and_not_overwritten() {
    let Some(app) = App::new("up: conflict").await else {
        return;
    };
    app.up(&[]).await;
    let maps = kube::Api::<ConfigMap>::namespaced(app.cluster.client.clone(), &app.namespace);
    let edit = serde_json::json!({"data": {"text": "by hand"}});
    let params = kube::api::PatchParams {
        field_manager: Some("somebody".to_owned()),
        ..Default::default()
    };
    maps.patch("web", &params, &kube::api::Patch::Merge(&edit))
        .await
        .unwrap();
    let diff = app.dev(&["diff"]).await;
    assert!(diff.stdout.contains("by hand"), "{}", diff.stdout);
    let run = app.dev(&["up"]).await;
    assert_eq!(run.code, 1, "{}", run.stderr);
    for word in ["ConfigMap web", "data.text", "somebody"] {
        assert!(
            run.stderr.contains(word),
            "\"{word}\" is not in: {}",
            run.stderr
        );
    }
    assert_eq!(
        maps.get("web").await.unwrap().data.unwrap()["text"],
        "by hand"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn down_leaves_nothing_of_ours_and_everything_of_others() {
    let Some(app) = App::new("down").await else {
        return;
    };
    app.up(&[]).await;
    let maps = kube::Api::<ConfigMap>::namespaced(app.cluster.client.clone(), &app.namespace);
    let foreign =
        serde_json::from_value(serde_json::json!({"metadata": {"name": "foreign"}})).unwrap();
    maps.create(&Default::default(), &foreign).await.unwrap();
    let keep = serde_json::json!({"metadata": {"annotations": {"dev/keep": "true"}}});
    maps.patch("web", &Default::default(), &kube::api::Patch::Merge(&keep))
        .await
        .unwrap();

    let run = app.dev(&["down"]).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("ConfigMap foreign"), "{}", run.stderr);
    let mut left = app.cluster.names::<ConfigMap>(&app.namespace).await;
    left.sort();
    assert_eq!(left, ["foreign", "kube-root-ca.crt", "web"]);
    assert_eq!(
        app.cluster.names::<Deployment>(&app.namespace).await,
        Vec::<String>::new()
    );

    maps.delete("foreign", &Default::default()).await.unwrap();
    maps.delete("web", &Default::default()).await.unwrap();
    app.up(&[]).await;
    let run = app.dev(&["down"]).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(!app.cluster.has_namespace(&app.namespace).await);
    let again = app.dev(&["down"]).await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(app.proxy.writes().is_empty(), "{:?}", app.proxy.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_made_or_owns_is_refused_by_name() {
    let Some(app) = App::new("up: foreign objects").await else {
        return;
    };
    let _namespace = app.cluster.namespace(&app.namespace).await;
    let maps = kube::Api::<ConfigMap>::namespaced(app.cluster.client.clone(), &app.namespace);
    let foreign = serde_json::from_value(
        serde_json::json!({"metadata": {"name": "web"}, "data": {"text": "theirs"}}),
    )
    .unwrap();
    maps.create(&Default::default(), &foreign).await.unwrap();
    let run = app.dev(&["up"]).await;
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("ConfigMap web"), "{}", run.stderr);
    assert_eq!(app.proxy.writes(), Vec::<String>::new());
    assert_eq!(
        maps.get("web").await.unwrap().data.unwrap()["text"],
        "theirs"
    );
    // What looks says it as what writes does, with all that would change.
    for args in [&["diff"][..], &["up", "--dry-run"]] {
        let run = app.dev(args).await;
        told(&run, 1, &["ConfigMap web", "was not made by dev"]);
        assert!(run.stdout.contains("! ConfigMap web"), "{}", run.stdout);
        assert!(run.stdout.contains("+ Deployment web"), "{}", run.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_logs_and_exec_work_on_what_is_up() {
    let Some(app) = App::new("status, logs, exec").await else {
        return;
    };
    app.up(&[]).await;
    let status = app.dev(&["status", "-o", "json"]).await;
    let shown: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(shown["services"].as_array().unwrap().len(), 2, "{shown}");
    let run = app
        .direct(&["exec", "web", "--", "/testbox", "print", "hello"])
        .await;
    assert_eq!(
        (run.code, run.stdout.trim()),
        (0, "hello"),
        "{}",
        run.stderr
    );
    let run = app
        .direct(&["exec", "web", "--", "/testbox", "fail", "no"])
        .await;
    assert_eq!(run.code, 1, "{}", run.stderr);
    let run = app.dev(&["logs", "-o", "json"]).await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    for typo in [
        &["logs", "wbe"][..],
        &["logs", "-f", "wbe"],
        &["exec", "wbe", "--", "ls"],
        &["url", "wbe"],
        &["url", "wbe", "--forward"],
    ] {
        let run = app.dev(typo).await;
        told(&run, 2, &["\"wbe\"", "did you mean \"web\"?"]);
    }
}

//! Flags of `dev up` and `dev down` that change what is done, and which environments a command is about, on a real cluster.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::Value;

use crate::support::app::{two_services, unique};
use crate::support::cluster::{Cluster, Guard, cluster};
use crate::support::project::{Project, Run, run, told};
use crate::support::proxy::Proxy;

struct App {
    cluster: Cluster,
    project: Project,
    namespace: String,
    _guard: Guard,
}

impl App {
    async fn new(test: &str) -> Option<Self> {
        let cluster = cluster(test).await?;
        let name = unique("flag");
        let namespace = format!("{name}-t");
        Some(Self {
            _guard: cluster.guard(&namespace),
            project: two_services(&name),
            namespace,
            cluster,
        })
    }

    async fn dev(&self, args: &[&str]) -> Run {
        let args = [&["-e", "t"], args].concat();
        self.cluster.dev(&self.project, &args).await
    }

    async fn good(&self, args: &[&str]) -> Run {
        let run = self.dev(args).await;
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        run
    }

    fn edit(&self, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.project.root().join("store.yaml")).unwrap();
        assert!(text.contains(old), "{old} is not in: {text}");
        self.project.write("store.yaml", text.replace(old, new));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_changes_and_writes_nothing() {
    let Some(app) = App::new("up --dry-run").await else {
        return;
    };
    let proxy = Proxy::start(app.cluster.client.clone()).await;
    let counted = proxy.kubeconfig(&app.project.root());
    let args = ["up", "-e", "t", "--dry-run"];
    let preview = app.cluster.dev_as(&app.project, &counted, &args).await;
    assert_eq!(preview.code, 0, "{}", preview.stderr);
    for object in ["Deployment", "store", "+  text: hello"] {
        assert!(preview.stdout.contains(object), "{}", preview.stdout);
    }
    assert!(
        !preview.stdout.contains("not-a-secret"),
        "values of Secrets are masked: {}",
        preview.stdout
    );
    assert_eq!(proxy.writes(), Vec::<String>::new());
    assert!(!app.cluster.has_namespace(&app.namespace).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_waiting_what_is_not_ready_is_no_failure() {
    let Some(app) = App::new("up --no-wait").await else {
        return;
    };
    app.edit("port: http}, periodSeconds", "port: 1}, periodSeconds");
    let run = app.good(&["up", "--no-wait", "-o", "json"]).await;
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let state = |report: &Value, name: &str| {
        let services = report["services"].as_array().unwrap();
        let service = services.iter().find(|service| service["service"] == name);
        service.unwrap()["state"].clone()
    };
    assert_ne!(state(&report, "store"), "ready", "{report}");
    // What needs it is applied all the same.
    let there = app.cluster.names::<Deployment>(&app.namespace).await;
    assert_eq!(there, ["store", "web"]);
    let run = app.dev(&["up", "--timeout", "5s"]).await;
    told(&run, 4, &["store"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_manifests_lost_stays_without_pruning() {
    let Some(app) = App::new("up --no-prune").await else {
        return;
    };
    app.good(&["up", "--no-wait"]).await;
    app.edit(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: store}\nstringData: {password: not-a-secret}\n",
        "",
    );
    let secrets = async || app.cluster.names::<Secret>(&app.namespace).await;
    app.good(&["up", "--no-wait", "--no-prune"]).await;
    assert_eq!(secrets().await, ["store"]);
    app.good(&["up", "--no-wait"]).await;
    assert_eq!(secrets().await, Vec::<String>::new());
    // What was left once is still known: it goes with the environment.
    app.good(&["down"]).await;
    assert_eq!(
        app.cluster.left_over(&app.namespace).await,
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_changes_only_by_making_the_object_anew() {
    let Some(app) = App::new("up --recreate").await else {
        return;
    };
    app.good(&["up"]).await;
    let deployments = Api::<Deployment>::namespaced(app.cluster.client.clone(), &app.namespace);
    let uid = async |name: &str| deployments.get(name).await.unwrap().metadata.uid;
    let before = (uid("store").await, uid("web").await);
    app.edit(
        "matchLabels: {app: store}",
        "matchLabels: {app: store, tier: data}",
    );
    app.edit("labels: {app: store}", "labels: {app: store, tier: data}");
    let refused = app.dev(&["up"]).await;
    told(&refused, 1, &["Deployment store", "selector", "--recreate"]);
    assert_eq!((uid("store").await, uid("web").await), before);
    let shown = app.good(&["diff", "--recreate"]).await;
    assert!(shown.stdout.contains("tier"), "{}", shown.stdout);
    app.good(&["up", "--recreate"]).await;
    let after = (uid("store").await, uid("web").await);
    assert_ne!(after.0, before.0);
    assert_eq!(after.1, before.1, "only what has to be made anew is");
    let unchanged = app.dev(&["diff", "--exit-code"]).await;
    assert_eq!(unchanged.code, 0, "{}", unchanged.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_kept_where_that_is_asked_for() {
    let Some(app) = App::new("down --keep-namespace").await else {
        return;
    };
    app.good(&["up", "--no-wait"]).await;
    app.good(&["down", "--keep-namespace"]).await;
    assert!(app.cluster.has_namespace(&app.namespace).await);
    assert_eq!(
        app.cluster.objects_in(&app.namespace).await,
        Vec::<String>::new()
    );
    app.good(&["up", "--no-wait"]).await;
    app.good(&["down"]).await;
    assert!(!app.cluster.has_namespace(&app.namespace).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_environments_are_listed_and_a_persons_own_are_removed() {
    let Some(cluster) = cluster("status --all, down --all-mine").await else {
        return;
    };
    let name = unique("many");
    let project = two_services(&name);
    let dev = async |user: &str, args: &[&str]| {
        let mut command = project.command();
        command
            .args(args)
            .env("USER", user)
            .env("KUBECONFIG", &cluster.kubeconfig)
            .env("DEV_CLUSTER_UID", &cluster.uid);
        let run = tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap();
        assert_eq!(run.code, 0, "{user} {args:?}: {}", run.stderr);
        run
    };
    let envs = [("ann", "ann"), ("ann", "pr-12"), ("annette", "annette")];
    let _guards = envs.map(|(_, env)| cluster.guard(&format!("{name}-{env}")));
    for (user, env) in envs {
        dev(user, &["up", "-e", env, "--no-wait", "store"]).await;
    }
    let listed = async || -> Vec<String> {
        let all = dev("ann", &["status", "--all", "-o", "json"]).await.stdout;
        let all: Value = serde_json::from_str(&all).unwrap();
        let all = all.as_array().unwrap().iter();
        let mut names: Vec<String> = all
            .map(|one| {
                assert_eq!(one["app"], name.as_str(), "another application's: {one}");
                one["env"].as_str().unwrap().to_owned()
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(listed().await, ["ann", "annette", "pr-12"]);
    let table = dev("ann", &["status", "--all"]).await.stdout;
    assert!(table.contains(&format!("{name}-pr-12")), "{table}");

    dev("ann", &["down", "--all-mine"]).await;
    assert_eq!(listed().await, ["annette"]);
    dev("annette", &["down", "--all-mine"]).await;
    assert_eq!(listed().await, Vec::<String>::new());
    let nothing = dev("annette", &["down", "--all-mine"]).await;
    assert!(nothing.stderr.contains("no environment"), "{nothing:?}");
}

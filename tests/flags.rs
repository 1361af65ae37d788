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
    assert_eq!(report["waited"], false, "{report}");
    let again = app.good(&["up", "--no-wait"]).await;
    let last = again.stdout.lines().last().unwrap_or_default();
    assert!(
        last.contains("is applied") && last.contains("not waited for"),
        "{last}"
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_removes_services_is_named_before_they_go() {
    let Some(app) = App::new("up -p").await else {
        return;
    };
    let file = app.project.root().join("dev.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let profiles = "profiles:\n  small: {services: [store], vars: {text: small}}\n  other: {vars: {text: other}}\n";
    app.project.write("dev.yaml", format!("{text}{profiles}"));
    app.good(&["up", "--no-wait", "-p", "other"]).await;
    for args in [
        &["up", "--no-wait", "-p", "small", "--dry-run"][..],
        &["diff", "-p", "small"],
        &["up", "--no-wait", "-p", "small"],
    ] {
        let run = app.good(args).await;
        let said = |words: &str| {
            let at = run.stderr.find(words);
            at.unwrap_or_else(|| panic!("{words} is not in: {}", run.stderr))
        };
        let named = said("profile small (--profile): only store");
        let goes = said("web is not in it: its 4 objects go");
        if args == ["up", "--no-wait", "-p", "small"] {
            let deleted = said("deleted ");
            assert!(named < deleted && goes < deleted, "{}", run.stderr);
        }
    }
    assert_eq!(
        app.cluster.names::<Deployment>(&app.namespace).await,
        ["store"]
    );
    // Without a change there is nothing to say.
    let run = app.good(&["up", "--no-wait", "-p", "small"]).await;
    assert!(!run.stderr.contains("profile"), "{}", run.stderr);
    let wrong = app.dev(&["up", "-p", "smal"]).await;
    told(&wrong, 2, &["\"smal\"", "did you mean \"small\"?"]);
    // A service that dev.yaml lost is told too.
    app.good(&["up", "--no-wait"]).await;
    let lost = text.replace("  web: {manifests: web.yaml, needs: [store]}\n", "");
    app.project.write("dev.yaml", lost);
    let run = app.good(&["up", "--no-wait"]).await;
    assert!(
        run.stderr
            .contains("dev.yaml has no service web any more: its 4 objects go"),
        "{}",
        run.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn down_shows_what_would_go_and_says_what_is_not_there() {
    let Some(app) = App::new("down --dry-run").await else {
        return;
    };
    app.good(&["up", "--no-wait"]).await;
    let proxy = Proxy::start(app.cluster.client.clone()).await;
    let counted = proxy.kubeconfig(&app.project.root());
    let dev = async |args: &[&str]| {
        let args = [args, &["-e", "t"]].concat();
        app.cluster.dev_as(&app.project, &counted, &args).await
    };
    let before = app.cluster.objects_in(&app.namespace).await;
    let preview = dev(&["down", "--dry-run"]).await;
    assert_eq!(preview.code, 0, "{}", preview.stderr);
    for object in ["Deployment store", "Secret store", "ServiceAccount web"] {
        let line = format!("- {object}");
        assert!(preview.stdout.contains(&line), "{}", preview.stdout);
    }
    let namespace = format!("- Namespace {}", app.namespace);
    assert!(preview.stdout.contains(&namespace), "{}", preview.stdout);
    assert_eq!(proxy.writes(), Vec::<String>::new());
    assert_eq!(app.cluster.objects_in(&app.namespace).await, before);

    let app_name = app.namespace.strip_suffix("-t").unwrap();
    let unknown = app.cluster.dev(&app.project, &["down", "-e", "typo"]).await;
    assert_eq!(unknown.code, 0, "{}", unknown.stderr);
    for words in [
        &format!("{app_name} has no environment \"typo\""),
        "there are: t",
    ] {
        assert!(unknown.stderr.contains(words), "{}", unknown.stderr);
    }
    app.good(&["down"]).await;
    let last = app.good(&["down"]).await;
    assert!(
        last.stderr.contains("no environment \"t\""),
        "{}",
        last.stderr
    );
    assert!(last.stderr.contains("there is none"), "{}", last.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proposed_carries_the_flags_that_were_given() {
    let Some(app) = App::new("hints").await else {
        return;
    };
    let status = app.good(&["status", "-f", "dev.yaml"]).await;
    let command = "`dev up -e t -f dev.yaml`";
    assert!(status.stderr.contains(command), "{}", status.stderr);
    let logs = app.dev(&["logs", "--file", "dev.yaml"]).await;
    told(&logs, 1, &[command]);
    let base = app
        .cluster
        .dev(
            &app.project,
            &["status", "--base-version", "--base", "dev-test-nobase"],
        )
        .await;
    assert_eq!(base.code, 0, "{}", base.stderr);
    let command = "`dev deploy --base dev-test-nobase`";
    assert!(base.stderr.contains(command), "{}", base.stderr);
    assert!(!base.stderr.contains("dev up"), "{}", base.stderr);
    for args in [
        &["status", "--base-version"][..],
        &["diff", "--base-version"],
        &["render", "--base-version"],
        &["deploy"],
    ] {
        let run = app.dev(args).await;
        told(&run, 2, &["there is no base", "base: NAMESPACE"]);
        assert!(!run.stderr.contains("dev up"), "{args:?}: {}", run.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_is_shown_and_taken_back() {
    let Some(cluster) = cluster("admit --forget").await else {
        return;
    };
    let name = unique("admit");
    let project = two_services(&name);
    let _guard = cluster.guard(&format!("{name}-tester"));
    // A cluster that is local needs no admission: a kubeconfig elsewhere, and a home of its own, make it unknown.
    let kubeconfig = project.root().join("elsewhere");
    std::fs::copy(&cluster.kubeconfig, &kubeconfig).unwrap();
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let context = text
        .lines()
        .find_map(|line| line.strip_prefix("current-context:"));
    let context = context.unwrap().trim().trim_matches('"').to_owned();
    let dev = |args: &[&str]| {
        let mut command = project.command();
        run(command.args(args).env("KUBECONFIG", &kubeconfig))
    };
    let refused = dev(&["up", "--no-wait", "store"]);
    told(
        &refused,
        3,
        &["not admitted", &format!("`dev admit --context {context}`")],
    );
    let unnamed = dev(&["admit"]);
    told(&unnamed, 2, &[&format!("`dev admit --context {context}`")]);

    let admitted = dev(&["admit", "--context", &context, "-o", "json"]);
    assert_eq!(admitted.code, 0, "{}", admitted.stderr);
    let admitted: Value = serde_json::from_str(&admitted.stdout).unwrap();
    assert_eq!(admitted["admitted"]["uid"], cluster.uid.as_str());
    assert_eq!(admitted["admitted"]["context"], context.as_str());
    let quiet = dev(&["admit", "--context", &context, "-q"]);
    assert_eq!(
        (quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()),
        (0, "", "")
    );
    let up = dev(&["up", "--no-wait", "store"]);
    assert_eq!(up.code, 0, "{}", up.stderr);
    assert_eq!(dev(&["down"]).code, 0);

    let forgotten = dev(&["admit", "--forget", "--context", &context]);
    assert_eq!(forgotten.code, 0, "{}", forgotten.stderr);
    assert!(
        forgotten.stderr.contains(&cluster.uid),
        "{}",
        forgotten.stderr
    );
    let again = dev(&["up", "--no-wait", "store"]);
    told(&again, 3, &["not admitted"]);
    let nothing = dev(&["admit", "--forget", "--context", &context]);
    assert_eq!(nothing.code, 0, "{}", nothing.stderr);
    assert!(
        nothing.stderr.contains("was not admitted"),
        "{}",
        nothing.stderr
    );
}

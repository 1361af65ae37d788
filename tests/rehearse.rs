//! What the cluster would refuse is told before the first write, with the file, the line and the field.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use crate::support::app::{two_services, unique};
use crate::support::cluster::{Cluster, Guard, cluster};
use crate::support::project::{Project, Run, run, told};
use crate::support::proxy::Proxy;

/// An application behind a proxy that counts writes.
struct App {
    cluster: Cluster,
    proxy: Proxy,
    project: Project,
    namespace: String,
    _guard: Guard,
}

impl App {
    async fn new(test: &str) -> Option<Self> {
        let cluster = cluster(test).await?;
        let name = unique("rehearse");
        let namespace = format!("{name}-t");
        Some(Self {
            _guard: cluster.guard(&namespace),
            proxy: Proxy::start(cluster.client.clone()).await,
            project: two_services(&name),
            cluster,
            namespace,
        })
    }

    async fn dev(&self, args: &[&str]) -> Run {
        self.proxy.arm(None);
        let mut command = self.project.command();
        command
            .args(["-e", "t"])
            .args(args)
            .env("KUBECONFIG", self.proxy.kubeconfig(&self.project.root()))
            .env("DEV_CLUSTER_UID", &self.cluster.uid);
        tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap()
    }

    /// Replaces a part of `store.yaml`; the line (from 1) on which the new part is.
    fn edit(&self, old: &str, new: &str) -> usize {
        let text = std::fs::read_to_string(self.project.root().join("store.yaml")).unwrap();
        let at = text
            .find(old)
            .unwrap_or_else(|| panic!("no {old} in: {text}"));
        self.project.write("store.yaml", text.replacen(old, new, 1));
        text[..at].lines().count() + usize::from(text[..at].ends_with('\n'))
    }

    async fn up(&self) {
        let run = self.dev(&["up"]).await;
        assert_eq!(run.code, 0, "{}", run.stderr);
    }

    fn assert_nothing_written(&self) {
        assert_eq!(self.proxy.writes(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_do_not_exist_and_wrong_types_are_told_before_anything_is_made() {
    let Some(app) = App::new("rehearse: form").await else {
        return;
    };
    for (old, new, field, problem) in [
        (
            "spec:\n  selector",
            "spec:\n  replicas: two\n  selector",
            "spec.replicas",
            "expected numeric",
        ),
        (
            "        ports: [",
            "        imagePullPolicyy: Always\n        ports: [",
            "imagePullPolicyy",
            "not declared in schema",
        ),
    ] {
        app.edit(old, new);
        let text = std::fs::read_to_string(app.project.root().join("store.yaml")).unwrap();
        let key = field.rsplit('.').next().unwrap();
        let line = text.lines().position(|line| line.contains(key)).unwrap() + 1;
        let place = format!("store.yaml:{line}:");
        for args in [&["up"][..], &["up", "--dry-run"]] {
            let run = app.dev(args).await;
            told(
                &run,
                2,
                &["Malformed", "Deployment store", &place, field, problem],
            );
            app.assert_nothing_written();
            assert!(!app.cluster.has_namespace(&app.namespace).await);
        }
        let diff = app.dev(&["diff"]).await;
        assert!(diff.stdout.contains(&place), "{}", diff.stdout);
        app.edit(new, old);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_valid_is_told_before_the_first_change_of_what_runs() {
    let Some(app) = App::new("rehearse: validity").await else {
        return;
    };
    app.up().await;
    let line = app.edit("containerPort: 8080", "containerPort: 80800");
    app.edit(
        "stringData: {password: not-a-secret}",
        "stringData: {password: changed}",
    );
    let run = app.dev(&["up"]).await;
    let place = format!("store.yaml:{line}:");
    told(
        &run,
        1,
        &[
            "Invalid",
            "Deployment store",
            &place,
            "containerPort",
            "80800",
        ],
    );
    app.assert_nothing_written();
    app.edit("containerPort: 80800", "containerPort: 8080");
    let diff = app.dev(&["diff"]).await;
    assert_eq!(diff.code, 0, "{}", diff.stderr);
    assert!(diff.stdout.contains("Secret"), "{}", diff.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_new_namespace_what_is_not_valid_is_told_before_the_first_object() {
    let Some(app) = App::new("rehearse: new namespace").await else {
        return;
    };
    let line = app.edit("containerPort: 8080", "containerPort: 80800");
    let run = app.dev(&["up"]).await;
    let place = format!("store.yaml:{line}:");
    told(
        &run,
        1,
        &["Invalid", &place, "80800", "was made", "dev down"],
    );
    let mut made = app.cluster.names::<ConfigMap>(&app.namespace).await;
    made.retain(|name| name != "kube-root-ca.crt");
    assert_eq!(made, ["dev-inventory-t"]);
    let left = app.cluster.objects_in(&app.namespace).await;
    assert_eq!(left, ["ConfigMap dev-inventory-t"], "no object of it");
    let down = app.dev(&["down"]).await;
    assert_eq!(down.code, 0, "{}", down.stderr);
    assert!(!app.cluster.has_namespace(&app.namespace).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_plan_itself_settles_is_no_error() {
    let Some(app) = App::new("rehearse: one after the other").await else {
        return;
    };
    // A kind that is defined here, and a pod whose account is made here: neither is known to the server beforehand.
    let kind = unique("rehearse").replace('-', "");
    let group = format!("{kind}.example.org");
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("shelves.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "shelves", "kind": "Shelf"}, "versions": [{
            "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                "properties": {"spec": {"type": "object", "properties": {"a": {"type": "integer"}}}}}}}]}});
    let shelf = json!({"apiVersion": format!("{group}/v1"), "kind": "Shelf", "metadata": {"name": "x"}, "spec": {"a": 1}});
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "mine"}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {"serviceAccountName": "mine",
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "a", "image": crate::support::cluster::image(), "args": ["sleep", "1000"]}]}});
    let env = crate::support::api::Env::new(&app.cluster.kubeconfig, &unique("settled")).await;
    let _guard = app.cluster.guard(&env.namespace);
    env.up(&[definition.clone(), shelf.clone(), account, pod])
        .await
        .unwrap();
    // A field that the definition gets now.
    let mut wider = definition;
    wider["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        ["b"] = json!({"type": "integer"});
    let mut shelf = shelf;
    shelf["spec"]["b"] = json!(2);
    let objects = [wider, shelf];
    let plan = env.plan(&objects, &Default::default()).await.unwrap();
    let place = |_: &dev::plan::Change, _: &[String]| None;
    let plan = dev::cluster::apply::rehearse(&env.cluster, plan, &place).await;
    assert_eq!(plan.counts().blocked, 0, "{plan:?}");
    env.down(std::time::Duration::from_secs(60), &|_| ())
        .await
        .unwrap();
}

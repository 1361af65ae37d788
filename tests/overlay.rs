//! Overlays on a real cluster: copies beside borrowed services, of a base that `dev` did not make.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use kube::Api;
use serde_json::{Value, json};

use crate::support::app::unique;
use crate::support::base::{service, stream};
use crate::support::cluster::{Cluster, Guard, cluster};
use crate::support::project::{Project, Run, run};
use crate::support::proxy::Proxy;

/// A base with `web`, `store` and `cache`, and a project that knows the first two.
struct Overlay {
    cluster: Cluster,
    proxy: Proxy,
    project: Project,
    base: String,
    namespace: String,
    _guards: [Guard; 2],
}

/// What the pods of `web` refer to.
fn web_needs(more: &[Value]) -> Value {
    let mut sources = vec![json!({"configMapRef": {"name": "shared"}})];
    sources.extend(more.iter().cloned());
    json!({"serviceAccountName": "web", "envFrom": sources})
}

fn web(message: &str, needs: &Value, volumes: Value) -> Vec<Value> {
    let mut objects = service(
        "web",
        message,
        json!({"serviceAccountName": needs["serviceAccountName"], "volumes": volumes}),
    );
    objects[0]["spec"]["template"]["spec"]["containers"][0]["envFrom"] = needs["envFrom"].clone();
    objects
}

impl Overlay {
    async fn new(test: &str, needs: &[Value], volumes: Value) -> Option<Self> {
        let cluster = cluster(test).await?;
        let base = unique("overlay");
        let namespace = format!("{base}-t");
        let mut objects = vec![
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"GREETING": "hello"}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"PASSWORD": "not-a-secret"}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}),
        ];
        objects.extend(service("web", "web of the base", json!({})));
        objects.extend(service("store", "store of the base", json!({})));
        objects.extend(service("cache", "cache of the base", json!({})));
        objects[2]["metadata"]["annotations"] = json!({"example.org/role": "admin"});
        let base_guard = cluster.base(&base, &objects).await;
        let dev_yaml = format!(
            "app: {base}\nbase: {base}\nservices:\n  web: {{manifests: web.yaml, needs: [store]}}\n  store: {{manifests: store.yaml}}\n"
        );
        let project = Project::new(&[
            ("dev.yaml", &dev_yaml),
            (
                "web.yaml",
                &stream(&web("web of t", &web_needs(needs), volumes)),
            ),
            (
                "store.yaml",
                &stream(&service("store", "store of t", json!({}))),
            ),
        ]);
        Some(Self {
            _guards: [base_guard, cluster.guard(&namespace)],
            proxy: Proxy::start(cluster.client.clone()).await,
            cluster,
            project,
            base,
            namespace,
        })
    }

    async fn run(&self, args: &[&str], kubeconfig: PathBuf) -> Run {
        let args = [&["-e", "t"], args].concat();
        self.cluster.dev_as(&self.project, &kubeconfig, &args).await
    }

    /// Runs `dev`, and counts its writes.
    async fn dev(&self, args: &[&str]) -> Run {
        self.proxy.arm(None);
        self.run(args, self.proxy.kubeconfig(&self.project.root()))
            .await
    }

    /// The same, which must succeed.
    async fn good(&self, args: &[&str]) -> Run {
        let run = self.dev(args).await;
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        run
    }

    /// What a request from inside the copy of `web` is answered; `Err` where it is not.
    async fn try_get(&self, url: &str) -> Result<String, String> {
        let args = ["exec", "web", "--", "/testbox", "get", url];
        let run = self.run(&args, self.cluster.kubeconfig.clone()).await;
        match run.code {
            0 => Ok(run.stdout.trim().to_owned()),
            _ => Err(run.stderr),
        }
    }

    /// What it is answered at the second try: the nodes learn of a new address some time after its Service is there, and a
    /// connection that was begun before has to be begun again.
    async fn get(&self, url: &str) -> String {
        match self.try_get(url).await {
            Ok(answer) => answer,
            Err(_) => self.try_get(url).await.unwrap(),
        }
    }

    async fn service(&self, name: &str) -> Service {
        let services = Api::<Service>::namespaced(self.cluster.client.clone(), &self.namespace);
        services.get(name).await.unwrap()
    }

    async fn admission(&self, data: Value) {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dev-admission"}, "data": data});
        self.cluster.put(&self.base, &[map]).await;
    }
}

fn kind(service: &Service) -> &str {
    service.spec.as_ref().unwrap().type_.as_deref().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_is_copied_and_the_rest_answers_by_its_short_name() {
    let Some(app) = Overlay::new("overlay", &[], json!([])).await else {
        return;
    };
    let before = app.cluster.versions(&app.base).await;
    let diff = app.dev(&["diff", "web", "--overlay", "--exit-code"]).await;
    assert_eq!(diff.code, 1, "{}", diff.stderr);
    assert!(
        diff.stdout
            .contains(&format!("cache.{}.svc.cluster.local", app.base)),
        "{}",
        diff.stdout
    );
    let rendered = app.good(&["render", "web", "--overlay"]).await;
    assert!(
        rendered.stdout.contains("ExternalName"),
        "{}",
        rendered.stdout
    );
    assert!(app.proxy.writes().is_empty(), "{:?}", app.proxy.writes());

    let up = app.good(&["up", "web", "--overlay"]).await;
    assert!(up.stderr.contains("has no routers"), "{}", up.stderr);
    assert!(
        up.stderr.contains("ConfigMap shared is copied"),
        "{}",
        up.stderr
    );
    assert!(up.stderr.contains("without the roles"), "{}", up.stderr);
    assert!(
        up.stdout
            .contains(&format!("borrowed from {}: cache, store", app.base)),
        "{}",
        up.stdout
    );
    assert_eq!(app.get("http://store").await, "store of the base");
    assert_eq!(app.get("http://cache").await, "cache of the base");
    assert_eq!(app.get("http://web").await, "web of t");

    let maps = Api::<ConfigMap>::namespaced(app.cluster.client.clone(), &app.namespace);
    let shared = maps.get("shared").await.unwrap();
    assert_eq!(shared.data.unwrap()["GREETING"], "hello");
    let accounts = Api::<ServiceAccount>::namespaced(app.cluster.client.clone(), &app.namespace);
    let account = accounts
        .get("web")
        .await
        .unwrap()
        .metadata
        .annotations
        .unwrap();
    assert!(!account.contains_key("example.org/role"), "{account:?}");

    app.good(&["up", "web", "--overlay"]).await;
    assert!(app.proxy.writes().is_empty(), "{:?}", app.proxy.writes());
    app.good(&["up", "--overlay"]).await;
    assert!(app.proxy.writes().is_empty(), "{:?}", app.proxy.writes());
    let status = app.good(&["status", "-o", "json"]).await;
    let shown: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(shown["services"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(shown["overlay"]["borrowed"], json!(["cache", "store"]));
    assert_eq!(shown["overlay"]["routing"]["state"], "noRouter");

    app.good(&["down"]).await;
    assert_eq!(app.cluster.left_over(&app.namespace).await, [""; 0]);
    assert_eq!(
        app.cluster.versions(&app.base).await,
        before,
        "the base was written to"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_answers_while_it_is_copied_and_while_it_is_given_back() {
    let Some(app) = Overlay::new("overlay: there and back", &[], json!([])).await else {
        return;
    };
    let app = Arc::new(app);
    app.good(&["up", "web", "--overlay"]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (answer_tx, mut answer_rx) = tokio::sync::watch::channel(Err(String::new()));
    let asking = tokio::spawn({
        let (app, stop) = (Arc::clone(&app), Arc::clone(&stop));
        async move {
            let mut answers = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let answer = app.try_get("http://store").await;
                answers.push(answer.clone());
                let _before = answer_tx.send_replace(answer);
            }
            answers
        }
    });
    let mut seen = async |text: &str| {
        let wanted = answer_rx.wait_for(|answer| answer.as_deref() == Ok(text));
        let wanted = tokio::time::timeout(std::time::Duration::from_secs(60), wanted);
        wanted.await.expect("in time").unwrap();
    };
    seen("store of the base").await;
    app.good(&["up", "store", "--overlay"]).await;
    let (store, web) = (app.service("store").await, app.service("web").await);
    assert_eq!(
        (kind(&store), kind(&web)),
        ("ClusterIP", "ClusterIP"),
        "what is copied stays copied"
    );
    seen("store of t").await;
    let uid = store.metadata.uid;

    app.good(&["down", "store"]).await;
    let store = app.service("store").await;
    assert_eq!(
        (kind(&store), store.metadata.uid.clone()),
        ("ExternalName", uid),
        "the Service was never away"
    );
    seen("store of the base").await;
    let status = app.good(&["status", "-o", "json"]).await;
    let shown: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(shown["services"].as_array().unwrap().len(), 1, "{shown}");

    stop.store(true, Ordering::Relaxed);
    let answers = asking.await.unwrap();
    // Until its node knows the new address, connections fail: between two versions and nowhere else.
    let mut last: Option<&String> = None;
    let mut failed = 0;
    for answer in &answers {
        match answer {
            Err(_) => failed += 1,
            Ok(text) => {
                let switched = last.is_some_and(|last| last != text);
                assert!(failed == 0 || switched, "without a switch: {answers:?}");
                failed = 0;
                last = Some(text);
            }
        }
    }
    assert_eq!(failed, 0, "at the end: {answers:?}");
    app.good(&["down"]).await;
    assert_eq!(app.cluster.left_over(&app.namespace).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_may_become_a_full_copy() {
    let Some(app) = Overlay::new("overlay: full", &[], json!([])).await else {
        return;
    };
    app.good(&["up", "web", "--overlay"]).await;
    app.good(&["up", "--no-wait"]).await;
    let services = app.cluster.names::<Service>(&app.namespace).await;
    assert_eq!(
        services,
        ["store", "web"],
        "an alias of what dev.yaml does not have goes"
    );
    assert_eq!(kind(&app.service("store").await), "ClusterIP");
    // From now on it is a full copy: naming a service updates it there.
    app.admission(json!({"environments": "[]"})).await;
    app.good(&["up", "web", "--no-wait"]).await;
    assert_eq!(
        app.cluster.names::<Service>(&app.namespace).await,
        ["store", "web"]
    );
    let refused = app.dev(&["down", "store"]).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    app.good(&["down"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_along_only_where_the_base_shares_them() {
    let secret = json!({"secretRef": {"name": "db"}});
    let Some(app) = Overlay::new("overlay: secrets", &[secret], json!([])).await else {
        return;
    };
    let refused = app.dev(&["up", "web", "--overlay", "-o", "json"]).await;
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    for word in [
        "SecretNotShared",
        "Secret db",
        "create configmap dev-admission",
    ] {
        assert!(
            refused.stderr.contains(word),
            "\"{word}\" is not in: {}",
            refused.stderr
        );
    }
    assert!(app.proxy.writes().is_empty(), "{:?}", app.proxy.writes());

    app.admission(json!({"secrets": "[\"db\"]"})).await;
    let up = app.good(&["up", "web"]).await;
    assert!(up.stderr.contains("Secret db is copied"), "{}", up.stderr);
    let secrets = Api::<Secret>::namespaced(app.cluster.client.clone(), &app.namespace);
    let copied = secrets.get("db").await.unwrap().data.unwrap();
    assert_eq!(copied["PASSWORD"].0, b"not-a-secret");
    app.good(&["down"]).await;
    assert_eq!(app.cluster.left_over(&app.namespace).await, [""; 0]);

    // One that the person put there is used, and stays theirs.
    let _guard = app.cluster.namespace(&app.namespace).await;
    app.admission(json!({"secrets": "[]"})).await;
    let mine = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"PASSWORD": "mine"}});
    app.cluster.put(&app.namespace, &[mine]).await;
    app.good(&["up", "web"]).await;
    app.good(&["down"]).await;
    assert_eq!(app.cluster.objects_in(&app.namespace).await, ["Secret db"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_never_taken_over_silently() {
    let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    let Some(app) = Overlay::new("overlay: claims", &[], volumes).await else {
        return;
    };
    let refused = app.dev(&["up", "web", "--overlay"]).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    for word in ["ClaimNotChosen", "dev.yaml:4", "claims: {data: empty}"] {
        assert!(
            refused.stderr.contains(word),
            "\"{word}\" is not in: {}",
            refused.stderr
        );
    }
    assert!(app.proxy.writes().is_empty(), "{:?}", app.proxy.writes());
    let claims = format!(
        "app: {0}\nbase: {0}\nservices:\n  web: {{manifests: web.yaml, claims: {{data: scratch}}}}\n",
        app.base
    );
    app.project.write("dev.yaml", claims);
    app.good(&["up", "web", "--overlay"]).await;
    app.good(&["down"]).await;
    assert_eq!(app.cluster.left_over(&app.namespace).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_copy_of_what_dev_did_not_deploy() {
    let Some(app) = Overlay::new("overlay: live", &[], json!([])).await else {
        return;
    };
    app.project.write(
        "dev.yaml",
        format!("app: {0}\nbase: {0}\nservices:\n  web: {{manifests: web.yaml}}\n  store: {{live: true}}\n", app.base),
    );
    // Led through routers, it is copied as its owner wrote it.
    let original = json!({"selector": {"app": "store"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]});
    let shadow = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "store-dev-base",
        "labels": {"app.kubernetes.io/managed-by": "dev", "dev/shadow": "store"},
        "annotations": {"dev/original": original.to_string()}},
        "spec": {"clusterIP": "None", "selector": {"app": "store"}, "ports": [{"name": "http", "port": 80}]}});
    let routed = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "store"},
        "spec": {"selector": {"app": "dev-router"}, "ports": [{"name": "http", "port": 80, "targetPort": 20000}]}});
    app.cluster.put(&app.base, &[shadow, routed]).await;
    app.good(&["up", "web", "store", "--overlay"]).await;
    assert_eq!(app.get("http://store").await, "store of the base");
    assert_eq!(kind(&app.service("store").await), "ClusterIP");
    let services = app.cluster.names::<Service>(&app.namespace).await;
    assert_eq!(services, ["cache", "store", "web"], "no alias of a shadow");
    app.good(&["down"]).await;
    assert_eq!(app.cluster.left_over(&app.namespace).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_is_not_admitted_is_told_and_who_may_admits_it() {
    let Some(app) = Overlay::new("overlay: admission", &[], json!([])).await else {
        return;
    };
    app.admission(json!({"environments": "[{\"namespace\":\"other\",\"env\":\"other\"}]"}))
        .await;
    // A Service without pods: routers that do not answer.
    let router = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "dev-router"},
        "spec": {"selector": {"app": "dev-router"}, "ports": [{"name": "status", "port": 15090}]}});
    app.cluster.put(&app.base, &[router]).await;
    let up = app.dev(&["up", "web"]).await;
    assert_eq!(up.code, 4, "{}", up.stderr);
    for word in [
        "NotAdmitted",
        &format!("dev router admit {}", app.namespace),
    ] {
        assert!(
            up.stderr.contains(word),
            "\"{word}\" is not in: {}",
            up.stderr
        );
    }
    assert_eq!(
        app.get("http://web").await,
        "web of t",
        "it runs all the same"
    );
    app.good(&["up", "web", "--no-wait"]).await;

    let up = app.dev(&["up", "web", "-y", "--timeout", "2s"]).await;
    assert_eq!(up.code, 4, "{}", up.stderr);
    assert!(up.stderr.contains("NotRouted"), "{}", up.stderr);
    let maps = Api::<ConfigMap>::namespaced(app.cluster.client.clone(), &app.base);
    let listed = async || {
        let data = maps.get("dev-admission").await.unwrap().data.unwrap();
        serde_json::from_str::<Value>(&data["environments"]).unwrap()
    };
    let other = json!({"namespace": "other", "env": "other"});
    assert_eq!(
        listed().await,
        json!([other, {"namespace": app.namespace, "env": "t"}])
    );
    let down = app.good(&["down"]).await;
    assert!(down.stderr.contains("does not admit"), "{}", down.stderr);
    assert_eq!(listed().await, json!([other]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_base_it_says_what_to_do() {
    let Some(app) = Overlay::new("overlay: no base", &[], json!([])).await else {
        return;
    };
    let absent = app
        .dev(&["up", "web", "--overlay", "--base", "dev-test-no-such"])
        .await;
    assert_eq!(absent.code, 2, "{}", absent.stderr);
    assert!(absent.stderr.contains("dev deploy"), "{}", absent.stderr);
    let nothing = app.dev(&["up", "--overlay"]).await;
    assert_eq!(nothing.code, 2, "{}", nothing.stderr);
    assert!(
        nothing.stderr.contains("NothingToCopy"),
        "{}",
        nothing.stderr
    );
    let mut none = app.project.command();
    app.project.write(
        "dev.yaml",
        "app: x\nservices: {web: {manifests: web.yaml}}\n",
    );
    none.args(["up", "web", "--overlay"])
        .env("KUBECONFIG", &app.cluster.kubeconfig);
    let none = tokio::task::spawn_blocking(move || run(&mut none))
        .await
        .unwrap();
    assert_eq!(none.code, 2, "{}", none.stderr);
    assert!(none.stderr.contains("NoBase"), "{}", none.stderr);
}

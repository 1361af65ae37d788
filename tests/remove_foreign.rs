//! `dev down` beside what others have in the same namespace: nothing of theirs goes, not by labels that they copied, not by what
//! owns it, and not with the namespace.

use std::time::Duration;

use dev::cluster::remove::{NamespaceEnd, Removed};
use dev::manifest::ObjectKey;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use crate::support::api::Env;
use crate::support::app::unique;
use crate::support::cluster::{Cluster, Guard, cluster, image};

const LONG: Duration = Duration::from_secs(120);

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

fn labels(env: &Env) -> Value {
    json!({"app.kubernetes.io/managed-by": "dev", "dev/app": "test", "dev/env": env.stamp.env})
}

fn claim(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "labels": labels},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}})
}

/// A StatefulSet of one pod with a claim, from a template that carries the environment's labels as `dev` writes them.
fn stateful_set(env: &Env) -> Value {
    let mut template = claim("data", labels(env));
    template.as_object_mut().unwrap().shift_remove("apiVersion");
    template.as_object_mut().unwrap().shift_remove("kind");
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, "spec": {
        "serviceName": "web", "selector": {"matchLabels": {"app": "web"}}, "volumeClaimTemplates": [template],
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"terminationGracePeriodSeconds": 0,
            "containers": [{"name": "a", "image": image(), "args": ["sleep", "1000"]}]}}}})
}

async fn start(cluster: &Cluster, word: &str) -> (Env, Guard) {
    let env = Env::new(&cluster.kubeconfig, &unique(word)).await;
    let guard = cluster.guard(&env.namespace);
    (env, guard)
}

async fn await_claim(cluster: &Cluster, env: &Env, name: &str) {
    let claims = Api::<PersistentVolumeClaim>::namespaced(cluster.client.clone(), &env.namespace);
    let there = |found: Option<&PersistentVolumeClaim>| found.is_some();
    await_condition(claims, name, there).await.unwrap();
}

fn names(keys: &[ObjectKey]) -> Vec<String> {
    let mut names: Vec<String> = keys.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

async fn down(env: &Env) -> Removed {
    let removed = env.down(LONG, &|_| ()).await.unwrap();
    assert_eq!(removed.failure(), None);
    removed
}

#[tokio::test]
async fn claims_with_copied_labels_stay_and_those_of_our_sets_go() {
    let Some(cluster) = cluster("claims_with_copied_labels_stay_and_those_of_our_sets_go").await
    else {
        return;
    };
    let (env, _guard) = start(&cluster, "claim").await;
    env.up(&[stateful_set(&env), claim("own", Value::Null)])
        .await
        .unwrap();
    await_claim(&cluster, &env, "data-web-0").await;
    let theirs = ["backup", "data-web-old", "data-other-0", "cache-web-0"];
    let objects = theirs.map(|name| claim(name, labels(&env)));
    cluster.put(&env.namespace, &objects).await;

    let removed = down(&env).await;
    let mut left = cluster.names::<PersistentVolumeClaim>(&env.namespace).await;
    left.sort();
    assert_eq!(
        left,
        ["backup", "cache-web-0", "data-other-0", "data-web-old"]
    );
    assert_eq!(removed.foreign.len(), theirs.len(), "{removed:?}");
    assert!(
        matches!(&removed.namespace, NamespaceEnd::Kept(why) if why.contains("PersistentVolumeClaim backup")),
        "{removed:?}"
    );
}

#[tokio::test]
async fn claims_of_a_set_that_was_pruned_go_too() {
    let Some(cluster) = cluster("claims_of_a_set_that_was_pruned_go_too").await else {
        return;
    };
    let (env, _guard) = start(&cluster, "pruned").await;
    env.up(&[stateful_set(&env), config_map("x")])
        .await
        .unwrap();
    await_claim(&cluster, &env, "data-web-0").await;
    env.up(&[config_map("x")]).await.unwrap();
    let claims = cluster.names::<PersistentVolumeClaim>(&env.namespace).await;
    assert_eq!(claims, ["data-web-0"], "data outlives its set");
    let removed = down(&env).await;
    assert_eq!(removed.namespace, NamespaceEnd::Deleted, "{removed:?}");
}

/// An owner as `ownerReferences` name it.
fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": uid}])
}

fn secret(name: &str, owners: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "ownerReferences": owners}})
}

async fn uid(cluster: &Cluster, env: &Env, config_map: &str) -> String {
    let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), &env.namespace);
    let there = |found: Option<&ConfigMap>| found.is_some();
    let found = await_condition(maps, config_map, there).await.unwrap();
    found.unwrap().metadata.uid.unwrap()
}

#[tokio::test]
async fn what_only_looks_machine_made_keeps_the_namespace() {
    let Some(cluster) = cluster("what_only_looks_machine_made_keeps_the_namespace").await else {
        return;
    };
    let (env, _guard) = start(&cluster, "looks").await;
    env.up(&[config_map("own")]).await.unwrap();
    let namespaces = Api::<Namespace>::all(cluster.client.clone());
    let outside = namespaces.get("kube-public").await.unwrap();
    let outside = outside.metadata.uid.unwrap();
    let everywhere = uid(&cluster, &env, "kube-root-ca.crt").await;
    let token = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata":
        {"name": "token", "annotations": {"kubernetes.io/service-account.name": "default"}}});
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [],
        "ports": [], "metadata": {"name": "slice", "labels": {"kubernetes.io/service-name": "database"}}});
    let endpoints =
        json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "election"}});
    let template = json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "template"}, "template":
        {"spec": {"containers": [{"name": "a", "image": image()}]}}});
    let revision = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "revision"}, "revision": 1, "data": {}});
    let theirs = [
        secret("outside", owner("v1", "Namespace", "kube-public", &outside)),
        secret(
            "ambient",
            owner("v1", "ConfigMap", "kube-root-ca.crt", &everywhere),
        ),
        token,
        slice,
        endpoints,
        template,
        revision,
    ];
    cluster.put(&env.namespace, &theirs).await;
    cluster.put(&env.namespace, &[config_map("foreign")]).await;
    let foreign = uid(&cluster, &env, "foreign").await;
    let dependent = secret("dependent", owner("v1", "ConfigMap", "foreign", &foreign));
    cluster.put(&env.namespace, &[dependent]).await;

    let removed = down(&env).await;
    assert!(
        matches!(removed.namespace, NamespaceEnd::Kept(_)),
        "{removed:?}"
    );
    // What an object of somebody else owns goes with that one, and is not told by itself.
    let told = [
        "ConfigMap foreign",
        "ControllerRevision revision",
        "EndpointSlice slice",
        "Endpoints election",
        "PodTemplate template",
        "Secret ambient",
        "Secret outside",
        "Secret token",
    ];
    assert_eq!(names(&removed.foreign), told);
    assert_eq!(names(&removed.removed), ["ConfigMap own"]);
    let secrets = cluster
        .names::<k8s_openapi::api::core::v1::Secret>(&env.namespace)
        .await;
    assert_eq!(secrets.len(), 4, "{secrets:?}");
}

#[tokio::test]
async fn what_dev_applied_goes_although_another_object_owns_it() {
    let Some(cluster) = cluster("what_dev_applied_goes_although_another_object_owns_it").await
    else {
        return;
    };
    let (env, _guard) = start(&cluster, "owned").await;
    env.up(&[config_map("own")]).await.unwrap();
    cluster.put(&env.namespace, &[config_map("foreign")]).await;
    let foreign = uid(&cluster, &env, "foreign").await;
    // As an operator does that adopts what its custom resource names.
    let owners = owner("v1", "ConfigMap", "foreign", &foreign);
    let patch = Patch::Merge(json!({"metadata": {"ownerReferences": owners}}));
    let maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), &env.namespace);
    let adopter = PatchParams {
        field_manager: Some("adopter".into()),
        ..PatchParams::default()
    };
    maps.patch("own", &adopter, &patch).await.unwrap();

    let removed = down(&env).await;
    assert_eq!(names(&removed.removed), ["ConfigMap own"]);
    assert!(maps.get_opt("own").await.unwrap().is_none());
    assert!(maps.get_opt("foreign").await.unwrap().is_some());
}

//! Removing an environment from a real cluster: what controllers made, what is held, what may not be removed.

use std::sync::Mutex;
use std::time::Duration;

use dev::cluster::Cluster;
use dev::cluster::remove::{NamespaceEnd, list_environments};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Config};
use serde_json::{Value, json};

use crate::support::api::Env;
use crate::support::app::unique;
use crate::support::cluster::{cluster, image};

const LONG: Duration = Duration::from_secs(120);

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

fn workload(kind: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "a", "image": image(), "args": ["sleep", "1000"]}]}}}});
    let spec = object["spec"].as_object_mut().unwrap();
    spec.extend(more.as_object().unwrap().clone());
    object
}

/// Returns when the namespace holds so many objects of a kind.
async fn await_count<K>(api: &Api<K>, count: usize)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + kube::Resource,
{
    use futures::StreamExt;
    let list = api.list(&ListParams::default()).await.unwrap();
    let mut seen = list.items.len();
    let version = list.metadata.resource_version.unwrap();
    let params = WatchParams::default().timeout(60);
    let mut events = api.watch(&params, &version).await.unwrap().boxed();
    while seen < count {
        match events.next().await.expect("in time").unwrap() {
            WatchEvent::Added(_) => seen += 1,
            WatchEvent::Deleted(_) => seen -= 1,
            WatchEvent::Modified(_) | WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => panic!("{status:?}"),
        }
    }
}

#[tokio::test]
async fn pods_are_gone_when_it_says_so() {
    let Some(cluster) = cluster("pods_are_gone_when_it_says_so").await else {
        return;
    };
    let env = Env::new(&cluster.kubeconfig, &unique("pods")).await;
    let _guard = cluster.guard(&env.namespace);
    // Somebody else's object keeps the namespace, so that its end hides nothing.
    env.up(&[workload("Deployment", json!({}))]).await.unwrap();
    let secrets = Api::<Secret>::namespaced(cluster.client.clone(), &env.namespace);
    let theirs = serde_json::from_value(json!({"metadata": {"name": "theirs"}})).unwrap();
    secrets.create(&Default::default(), &theirs).await.unwrap();
    let pods = Api::<Pod>::namespaced(cluster.client.clone(), &env.namespace);
    await_count(&pods, 2).await;

    let removed = env.down(LONG, &|_| ()).await.unwrap();
    assert_eq!(
        pods.list(&ListParams::default()).await.unwrap().items.len(),
        0
    );
    assert_eq!(removed.foreign.len(), 1, "{removed:?}");
    assert!(matches!(&removed.namespace, NamespaceEnd::Kept(why) if why.contains("Secret theirs")));
    assert!(env.down(LONG, &|_| ()).await.unwrap().is_nothing());
}

#[tokio::test]
async fn claims_that_a_stateful_set_made_go_with_it() {
    let Some(cluster) = cluster("claims_that_a_stateful_set_made_go_with_it").await else {
        return;
    };
    let env = Env::new(&cluster.kubeconfig, &unique("claims")).await;
    let _guard = cluster.guard(&env.namespace);
    let labels =
        json!({"app.kubernetes.io/managed-by": "dev", "dev/app": "test", "dev/env": env.stamp.env});
    let set = workload(
        "StatefulSet",
        json!({"serviceName": "web", "podManagementPolicy": "Parallel",
        "volumeClaimTemplates": [{"metadata": {"name": "data", "labels": labels},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}]}),
    );
    env.up(std::slice::from_ref(&set)).await.unwrap();
    assert!(
        env.plan(&[set], &Default::default())
            .await
            .unwrap()
            .is_empty()
    );
    let claims = Api::<PersistentVolumeClaim>::namespaced(cluster.client.clone(), &env.namespace);
    await_count(&claims, 2).await;
    let removed = env.down(LONG, &|_| ()).await.unwrap();
    let removed_claims = removed
        .removed
        .iter()
        .filter(|key| key.kind == "PersistentVolumeClaim");
    assert_eq!(removed_claims.count(), 2, "{removed:?}");
    assert_eq!(removed.namespace, NamespaceEnd::Deleted);
}

#[tokio::test]
async fn what_a_finalizer_holds_is_told_and_the_next_run_goes_on() {
    let Some(cluster) = cluster("what_a_finalizer_holds_is_told_and_the_next_run_goes_on").await
    else {
        return;
    };
    let env = Env::new(&cluster.kubeconfig, &unique("held")).await;
    let _guard = cluster.guard(&env.namespace);
    env.up(&[config_map("free"), config_map("held")])
        .await
        .unwrap();
    let api = Api::<ConfigMap>::namespaced(cluster.client.clone(), &env.namespace);
    let finalizers = |value: Value| Patch::Merge(json!({"metadata": {"finalizers": value}}));
    let params = PatchParams::default();
    api.patch("held", &params, &finalizers(json!(["example.org/hold"])))
        .await
        .unwrap();

    let told = Mutex::new(Vec::new());
    let tell = |text: &str| told.lock().unwrap().push(text.to_owned());
    let error = env.down(Duration::from_secs(3), &tell).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("DeletionPending"), "{error:?}");
    assert_eq!(
        error.causes(),
        ["ConfigMap held waits for example.org/hold"]
    );
    assert!(
        told.into_inner()
            .unwrap()
            .contains(&"ConfigMap held waits for example.org/hold".to_owned())
    );
    assert!(api.get_opt("free").await.unwrap().is_none());

    api.patch("held", &params, &finalizers(Value::Null))
        .await
        .unwrap();
    let removed = env.down(LONG, &|_| ()).await.unwrap();
    assert_eq!(removed.namespace, NamespaceEnd::Deleted);
}

#[tokio::test]
async fn two_environments_in_one_namespace_do_not_touch_each_other() {
    let Some(cluster) = cluster("two_environments_in_one_namespace_do_not_touch_each_other").await
    else {
        return;
    };
    let shared = unique("shared");
    let _guard = cluster.namespace(&shared).await;
    let mut one = Env::new(&cluster.kubeconfig, &unique("one")).await;
    one.namespace = shared.clone();
    let mut two = one.clone();
    two.stamp.env = unique("two");
    one.up(&[config_map("one")]).await.unwrap();
    two.up(&[config_map("two")]).await.unwrap();
    assert!(
        one.plan(&[config_map("one")], &Default::default())
            .await
            .unwrap()
            .is_empty()
    );
    let error = two
        .up(&[config_map("two"), config_map("one")])
        .await
        .unwrap_err();
    assert_eq!(
        error.reason_code(),
        Some("OwnedByAnotherEnvironment"),
        "{error:?}"
    );

    let listed = list_environments(&one.cluster, Some("test")).await.unwrap();
    let here: Vec<&str> = listed
        .iter()
        .filter(|env| env.namespace == shared)
        .map(|env| env.env.as_str())
        .collect();
    assert_eq!(here.len(), 2, "{listed:?}");

    let removed = one.down(LONG, &|_| ()).await.unwrap();
    assert!(
        matches!(removed.namespace, NamespaceEnd::Kept(_)),
        "{removed:?}"
    );
    assert!(
        two.plan(&[config_map("two")], &Default::default())
            .await
            .unwrap()
            .is_empty()
    );
    two.down(LONG, &|_| ()).await.unwrap();
    assert!(cluster.has_namespace(&shared).await, "dev did not make it");
    let left: Vec<String> = cluster.names::<ConfigMap>(&shared).await;
    assert_eq!(left, ["kube-root-ca.crt"]);
}

#[tokio::test]
async fn without_a_right_the_rest_is_removed_and_the_right_is_named() {
    let Some(cluster) = cluster("without_a_right_the_rest_is_removed_and_the_right_is_named").await
    else {
        return;
    };
    let env = Env::new(&cluster.kubeconfig, &unique("rights")).await;
    let _guard = cluster.guard(&env.namespace);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    env.up(&[config_map("x"), secret]).await.unwrap();
    // Everything in the namespace, but Secrets only to be looked at.
    let role = json!({"metadata": {"name": "jane"}, "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]});
    let binding = json!({"metadata": {"name": "jane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "jane"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    let roles = Api::<Role>::namespaced(cluster.client.clone(), &env.namespace);
    roles
        .create(&Default::default(), &serde_json::from_value(role).unwrap())
        .await
        .unwrap();
    let bindings = Api::<RoleBinding>::namespaced(cluster.client.clone(), &env.namespace);
    bindings
        .create(
            &Default::default(),
            &serde_json::from_value(binding).unwrap(),
        )
        .await
        .unwrap();

    let mut read = Kubeconfig::read_from(&cluster.kubeconfig).unwrap();
    for user in &mut read.auth_infos {
        user.auth_info.as_mut().unwrap().impersonate = Some("jane".into());
    }
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .unwrap();
    let mut jane = env.clone();
    jane.cluster = Cluster::from_config(config, "jane".into()).await.unwrap();
    let removed = jane.down(LONG, &|_| ()).await.unwrap();
    let failure = removed.failure().unwrap();
    assert_eq!(failure.reason_code(), Some("MissingRight"), "{failure:?}");
    assert!(
        failure
            .message()
            .contains("jane has not the right to delete secrets"),
        "{failure}"
    );
    assert!(
        removed.removed.iter().any(|key| key.name == "x"),
        "{removed:?}"
    );
    assert!(matches!(removed.namespace, NamespaceEnd::Kept(_)));
    let left = cluster.names::<Secret>(&env.namespace).await;
    assert_eq!(left, ["s"]);
}

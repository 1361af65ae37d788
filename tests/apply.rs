//! Planning and applying against a real API server: what it makes of objects of all kinds, and what it refuses.

use std::sync::Mutex;

use async_trait::async_trait;
use dev::cluster::apply::{Observer, Progress};
use dev::error::Result;
use dev::plan::{Action, PlanOptions, render_diff};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::api::Env;
use crate::support::app::unique;
use crate::support::cluster::{cluster, image};

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

#[tokio::test]
async fn objects_of_all_kinds_are_written_once() {
    let Some(cluster) = cluster("objects_of_all_kinds_are_written_once").await else {
        return;
    };
    let env = Env::new(&cluster.kubeconfig, &unique("kinds")).await;
    let _guard = cluster.guard(&env.namespace);
    let objects = include_str!("../src/plan/compare/tests/recorded/desired.json");
    let mut objects: Vec<Value> = serde_json::from_str(objects).unwrap();
    for object in &mut objects {
        object["metadata"]
            .as_object_mut()
            .unwrap()
            .shift_remove("namespace");
    }
    let applied = env.up(&objects).await.unwrap();
    assert_eq!(applied.written, objects.len());

    // A finished apply is not seen as one to do, even once controllers have had their say.
    for _ in 0..2 {
        let plan = env.plan(&objects, &PlanOptions::default()).await.unwrap();
        let diff = render_diff(&plan).unwrap();
        assert!(plan.is_empty(), "{diff}");
    }
    let removed = env
        .down(std::time::Duration::from_secs(120), &|_| ())
        .await
        .unwrap();
    assert_eq!(removed.failure(), None);
    let shelves = env
        .cluster
        .resource("recording.example.org/v1", "Shelf")
        .await
        .unwrap();
    let definition = removed
        .removed
        .iter()
        .any(|key| key.kind == "CustomResourceDefinition");
    assert!(
        shelves.is_some() && definition,
        "what is in no namespace is removed by the record: {removed:?}"
    );
    assert!(!cluster.has_namespace(&env.namespace).await);
}

#[tokio::test]
async fn what_was_removed_from_the_manifest_is_removed_from_the_object() {
    let Some(cluster) =
        cluster("what_was_removed_from_the_manifest_is_removed_from_the_object").await
    else {
        return;
    };
    let env = Env::new(&cluster.kubeconfig, &unique("less")).await;
    let _guard = cluster.guard(&env.namespace);
    let mut object = config_map("x");
    object["data"]["b"] = json!("2");
    env.up(&[object]).await.unwrap();
    let api = Api::<ConfigMap>::namespaced(cluster.client.clone(), &env.namespace);
    let theirs = json!({"data": {"theirs": "3"}});
    api.patch("x", &PatchParams::default(), &Patch::Merge(&theirs))
        .await
        .unwrap();

    let plan = env
        .plan(&[config_map("x")], &PlanOptions::default())
        .await
        .unwrap();
    let diff = render_diff(&plan).unwrap();
    assert!(
        diff.contains("-  b: ") && !diff.contains("theirs"),
        "{diff}"
    );
    env.up(&[config_map("x")]).await.unwrap();
    let data = api.get("x").await.unwrap().data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["a", "theirs"]);
}

#[tokio::test]
async fn an_immutable_field_is_replaced_only_with_permission() {
    let Some(cluster) = cluster("an_immutable_field_is_replaced_only_with_permission").await else {
        return;
    };
    let env = Env::new(&cluster.kubeconfig, &unique("job")).await;
    let _guard = cluster.guard(&env.namespace);
    let job = |word: &str| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "seed"}, "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "a", "image": image(), "args": ["print", word]}]}}}})
    };
    env.up(&[job("one")]).await.unwrap();
    let api = Api::<Job>::namespaced(cluster.client.clone(), &env.namespace);
    let before = api.get("seed").await.unwrap().metadata.uid;
    let error = env.up(&[job("two")]).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("ImmutableField"), "{error:?}");
    assert_eq!(api.get("seed").await.unwrap().metadata.uid, before);

    let recreate = PlanOptions {
        recreate: true,
        ..PlanOptions::default()
    };
    env.up_with(&[job("two")], &recreate, &dev::cluster::apply::Silent)
        .await
        .unwrap();
    let after = api.get("seed").await.unwrap();
    assert_ne!(after.metadata.uid, before);
    assert!(
        env.plan(&[job("two")], &PlanOptions::default())
            .await
            .unwrap()
            .is_empty()
    );
}

/// Lets go of what holds an environment back, once it is told.
struct LetGo {
    api: Api<ConfigMap>,
    told: Mutex<Vec<String>>,
}

#[async_trait]
impl Observer for LetGo {
    fn progress(&self, progress: Progress<'_>) {
        let Progress::AwaitingNamespace(what) = progress else {
            return;
        };
        self.told.lock().unwrap().push(what.to_owned());
        let api = self.api.clone();
        tokio::spawn(async move {
            let free = json!({"metadata": {"finalizers": null}});
            api.patch("held", &PatchParams::default(), &Patch::Merge(&free))
                .await
        });
    }

    async fn ready(&self, _service: &str) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_end_of_an_earlier_environment_is_awaited() {
    let Some(cluster) = cluster("the_end_of_an_earlier_environment_is_awaited").await else {
        return;
    };
    let env = Env::new(&cluster.kubeconfig, &unique("again")).await;
    let _guard = cluster.guard(&env.namespace);
    env.up(&[config_map("x")]).await.unwrap();
    let api = Api::<ConfigMap>::namespaced(cluster.client.clone(), &env.namespace);
    let held = serde_json::from_value(
        json!({"metadata": {"name": "held", "finalizers": ["example.org/hold"]}}),
    );
    api.create(&Default::default(), &held.unwrap())
        .await
        .unwrap();
    let namespaces = Api::<Namespace>::all(cluster.client.clone());
    let before = namespaces.get(&env.namespace).await.unwrap().metadata.uid;
    namespaces
        .delete(&env.namespace, &Default::default())
        .await
        .unwrap();

    let observer = LetGo {
        api,
        told: Mutex::default(),
    };
    env.up_with(&[config_map("x")], &PlanOptions::default(), &observer)
        .await
        .unwrap();
    assert!(!observer.told.into_inner().unwrap().is_empty());
    let after = namespaces.get(&env.namespace).await.unwrap().metadata.uid;
    assert_ne!(after, before);
    assert!(
        env.plan(&[config_map("x")], &PlanOptions::default())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn what_the_server_finds_wrong_is_told_by_object_and_nothing_is_written() {
    let Some(cluster) =
        cluster("what_the_server_finds_wrong_is_told_by_object_and_nothing_is_written").await
    else {
        return;
    };
    let env = Env::new(&cluster.kubeconfig, &unique("wrong")).await;
    let _guard = cluster.guard(&env.namespace);
    let misspelt =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "y"}, "dota": {}});
    let error = env.up(&[config_map("x"), misspelt]).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("Malformed"), "{error:?}");
    assert!(error.message().contains("ConfigMap y"), "{error}");

    let unknown = json!({"apiVersion": "apps/v1", "kind": "Deploymint", "metadata": {"name": "x"}});
    let error = env.up(&[unknown]).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("UnknownKind"), "{error:?}");

    let plan = env
        .plan(&[config_map("x")], &PlanOptions::default())
        .await
        .unwrap();
    assert_eq!(plan.changes[0].action, Action::Create);
    let removed = env
        .down(std::time::Duration::from_secs(60), &|_| ())
        .await
        .unwrap();
    assert_eq!(removed.failure(), None);
    assert!(!cluster.has_namespace(&env.namespace).await);
}

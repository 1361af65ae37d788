//! Others write at the same time: what they make between the plan and the apply is never taken over, and two environments that start
//! at once do not get into each other's way.

use std::time::Duration;

use dev::cluster::apply::{Applied, ApplyOptions, Silent, apply};
use dev::error::Result;
use dev::plan::{Plan, PlanOptions};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use crate::support::api::Env;
use crate::support::app::unique;
use crate::support::cluster::{Cluster, Guard, cluster};

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": value}})
}

async fn start(cluster: &Cluster, word: &str) -> (Env, Guard) {
    let env = Env::new(&cluster.kubeconfig, &unique(word)).await;
    let guard = cluster.guard(&env.namespace);
    (env, guard)
}

async fn carry_out(env: &Env, plan: &Plan) -> Result<Applied> {
    let options = ApplyOptions {
        owner: None,
        timeout: Duration::from_secs(60),
    };
    apply(&env.cluster, plan, &options, &Silent).await
}

async fn planned(env: &Env, objects: &[Value]) -> Plan {
    env.plan(objects, &PlanOptions::default()).await.unwrap()
}

fn maps(cluster: &Cluster, env: &Env) -> Api<ConfigMap> {
    Api::namespaced(cluster.client.clone(), &env.namespace)
}

/// Makes an object as somebody else would.
async fn make(api: &Api<ConfigMap>, object: Value) {
    let object = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}

async fn assert_theirs(api: &Api<ConfigMap>, name: &str) {
    let found = api.get(name).await.unwrap();
    assert_eq!(found.metadata.labels, None, "{found:?}");
    assert_eq!(found.data.unwrap()["a"], "theirs");
}

#[tokio::test]
async fn what_others_make_after_the_plan_is_refused_and_stays() {
    let Some(cluster) = cluster("what_others_make_after_the_plan_is_refused_and_stays").await
    else {
        return;
    };
    let (env, _guard) = start(&cluster, "between").await;
    env.up(&[config_map("first", "1")]).await.unwrap();
    let objects = ["first", "x", "z"].map(|name| config_map(name, "1"));
    let plan = planned(&env, &objects).await;
    let api = maps(&cluster, &env);
    make(&api, config_map("x", "theirs")).await;
    // No field of it stands against what is applied.
    make(&api, json!({"metadata": {"name": "z"}})).await;

    let error = carry_out(&env, &plan).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("NotMadeByDev"), "{error:?}");
    let told = format!("{error:?}");
    assert!(
        told.contains("ConfigMap x") && told.contains("ConfigMap z"),
        "{told}"
    );
    assert_theirs(&api, "x").await;
    let removed = env.down(Duration::from_secs(60), &|_| ()).await.unwrap();
    assert_eq!(removed.removed.len(), 1, "{removed:?}");
    assert_theirs(&api, "x").await;
    assert_eq!(api.get("z").await.unwrap().metadata.labels, None);
}

#[tokio::test]
async fn what_was_deleted_after_the_plan_is_not_made_again_unasked() {
    let Some(cluster) = cluster("what_was_deleted_after_the_plan_is_not_made_again_unasked").await
    else {
        return;
    };
    let (env, _guard) = start(&cluster, "deleted").await;
    env.up(&[config_map("x", "1"), config_map("y", "1")])
        .await
        .unwrap();
    let plan = planned(&env, &[config_map("x", "2"), config_map("y", "2")]).await;
    let api = maps(&cluster, &env);
    for name in ["x", "y"] {
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }
    // One name was taken by somebody else.
    make(&api, config_map("y", "theirs")).await;

    let error = carry_out(&env, &plan).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("RemovedMeanwhile"), "{error:?}");
    let told = format!("{error:?}");
    assert!(
        told.contains("ConfigMap x") && told.contains("ConfigMap y"),
        "{told}"
    );
    assert!(api.get_opt("x").await.unwrap().is_none());
    assert_theirs(&api, "y").await;
}

#[tokio::test]
async fn two_runs_of_one_environment_at_once_both_end_well() {
    let Some(cluster) = cluster("two_runs_of_one_environment_at_once_both_end_well").await else {
        return;
    };
    let (env, _guard) = start(&cluster, "twice").await;
    let objects = [config_map("x", "1"), config_map("y", "1")];
    let (one, two) = (planned(&env, &objects).await, planned(&env, &objects).await);
    let (one, two) = tokio::join!(carry_out(&env, &one), carry_out(&env, &two));
    assert_eq!((one.unwrap().written, two.unwrap().written), (2, 2));
    assert!(planned(&env, &objects).await.is_empty());
}

#[tokio::test]
async fn two_environments_that_start_at_once_in_one_absent_namespace_do_not_share_it() {
    let Some(cluster) =
        cluster("two_environments_that_start_at_once_in_one_absent_namespace_do_not_share_it")
            .await
    else {
        return;
    };
    let (one, _guard) = start(&cluster, "race").await;
    let mut two = one.clone();
    two.stamp.env = unique("other");
    let objects = [config_map("x", "1")];
    let plans = (planned(&one, &objects).await, planned(&two, &objects).await);
    let results = tokio::join!(carry_out(&one, &plans.0), carry_out(&two, &plans.1));
    let (winner, error) = match results {
        (Ok(_), Err(error)) => (one, error),
        (Err(error), Ok(_)) => (two, error),
        other => panic!("one of them, and only one: {other:?}"),
    };
    assert_eq!(error.reason_code(), Some("NamespaceTaken"), "{error:?}");
    assert!(planned(&winner, &objects).await.is_empty());
    let mut names = cluster.names::<ConfigMap>(&winner.namespace).await;
    names.sort();
    let record = format!("dev-inventory-{}", winner.stamp.env);
    assert_eq!(names, [record.as_str(), "kube-root-ca.crt", "x"]);
}

#[tokio::test]
async fn two_applications_that_start_at_once_with_one_name_do_not_share_a_record() {
    let Some(cluster) =
        cluster("two_applications_that_start_at_once_with_one_name_do_not_share_a_record").await
    else {
        return;
    };
    let (one, _guard) = start(&cluster, "apps").await;
    let _namespace = cluster.namespace(&one.namespace).await;
    let mut two = one.clone();
    two.stamp.app = "bank".into();
    let plans = (
        planned(&one, &[config_map("x", "1")]).await,
        planned(&two, &[config_map("y", "1")]).await,
    );
    let results = tokio::join!(carry_out(&one, &plans.0), carry_out(&two, &plans.1));
    let error = match results {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
        other => panic!("one of them, and only one: {other:?}"),
    };
    assert_eq!(error.reason_code(), Some("NamespaceTaken"), "{error:?}");
    // The record, what every namespace has, and the object of the one.
    assert_eq!(cluster.names::<ConfigMap>(&one.namespace).await.len(), 3);
}

#[tokio::test]
async fn a_namespace_that_somebody_made_meanwhile_is_used_and_stays() {
    let Some(cluster) = cluster("a_namespace_that_somebody_made_meanwhile_is_used_and_stays").await
    else {
        return;
    };
    let (env, _guard) = start(&cluster, "made").await;
    let plan = planned(&env, &[config_map("x", "1")]).await;
    let _namespace = cluster.namespace(&env.namespace).await;
    carry_out(&env, &plan).await.unwrap();
    env.down(Duration::from_secs(60), &|_| ()).await.unwrap();
    assert!(cluster.has_namespace(&env.namespace).await);
}

#[tokio::test]
async fn the_account_that_kubernetes_makes_meanwhile_is_added_to() {
    let Some(cluster) = cluster("the_account_that_kubernetes_makes_meanwhile_is_added_to").await
    else {
        return;
    };
    let (env, _guard) = start(&cluster, "account").await;
    let objects = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"},
        "automountServiceAccountToken": false}),
    ];
    let plan = planned(&env, &objects).await;
    let namespaces = Api::<Namespace>::all(cluster.client.clone());
    let labels =
        json!({"app.kubernetes.io/managed-by": "dev", "dev/app": "test", "dev/env": env.stamp.env});
    let made =
        serde_json::from_value(json!({"metadata": {"name": env.namespace, "labels": labels}}));
    let made = made.unwrap();
    namespaces
        .create(&PostParams::default(), &made)
        .await
        .unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(cluster.client.clone(), &env.namespace);
    let there = |found: Option<&ServiceAccount>| found.is_some();
    await_condition(accounts.clone(), "default", there)
        .await
        .unwrap();

    carry_out(&env, &plan).await.unwrap();
    let account = accounts.get("default").await.unwrap();
    assert_eq!(account.automount_service_account_token, Some(false));
}

//! What happens to `dev control`: it is killed at each of its writes, it cannot reach the API server, there are no routers. Where it
//! ends up is where it would have been without.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;

use crate::support::app::unique;
use crate::support::cluster::{Guard, long};
use crate::support::control::Control;
use crate::support::left_out::left_out;
use crate::support::load::{Load, Plan};
use crate::support::proxy::Moment;
use crate::support::routers::{Routers, answer, restricted_service, until};

/// Long enough for nodes to follow a Service that is put back, before the shadow goes.
const DRAIN: [&str; 2] = ["--drain", "3s"];

/// A base with `reviews` that `ann` overrides, and routers without `control`.
async fn world(test: &str) -> Option<(Routers, Guard)> {
    let base = unique("fault");
    let objects = restricted_service("reviews", "reviews of the base");
    let routers = Routers::new(test, &base, &objects).await?;
    routers.good(&["router", "install"]).await;
    routers.without_control().await;
    let guard = ann(&routers).await;
    Some((routers, guard))
}

/// The environment `ann` with its copy of `reviews`.
async fn ann(routers: &Routers) -> Guard {
    let env = format!("{}-ann", routers.base);
    routers.good(&["router", "admit", &env]).await;
    let guard = routers.cluster.guard(&env);
    routers
        .good(&["up", "reviews", "--overlay", "-e", "ann", "--no-wait"])
        .await;
    guard
}

async fn load(routers: &Routers) -> Load {
    Load::start(&[Plan {
        to: routers.address(&routers.base, "reviews").await,
        env: None,
        kept: 0,
        new: 2,
        answers: &["reviews of the base\n"],
    }])
}

/// Runs `control` until the Service is routed, or put back; it is killed at this write and another one goes on. `false`: it came to
/// an end before that write.
async fn killed_at(routers: &Routers, write: usize, moment: Moment, routed: bool) -> bool {
    let mut first = Control::start(routers, &DRAIN).await;
    routers.proxy.arm(Some(first.kill_at(write, moment)));
    let killed = tokio::select! {
        status = first.ended() => {
            assert_eq!(status.code(), None, "{}", first.log());
            true
        }
        () = routers.settled("reviews", routed) => false,
    };
    routers.proxy.arm(None);
    first.kill().await;
    if killed {
        let second = Control::start(routers, &DRAIN).await;
        routers.settled("reviews", routed).await;
        second.kill().await;
    }
    killed
}

/// One installation for all faults: they come one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_control_it_ends_where_it_would_have_ended() {
    let Some((routers, env)) = world("control: faults").await else {
        return;
    };
    what_prometheus_reads_its_pods_by_is_left_alone(&routers).await;
    without_a_router_the_base_answers_by_itself_until_there_are_some_again(&routers).await;
    killed_at_any_write_the_next_one_ends_where_it_would_have_ended(&routers).await;
    without_the_api_server_nothing_changes_and_then_all_is_caught_up_with(&routers, env).await;
    without_control_the_routers_can_be_taken_away_all_the_same(&routers).await;
}

/// It takes the account's right to list ServiceMonitors of all namespaces, which a test without the kind would not show.
async fn what_prometheus_reads_its_pods_by_is_left_alone(routers: &Routers) {
    let before = routers.service("reviews").await;
    let cluster = &routers.cluster;
    let kinds = Api::<CustomResourceDefinition>::all(cluster.client.clone());
    let name = "servicemonitors.monitoring.coreos.com";
    if kinds.get_opt(name).await.unwrap().is_none() {
        let nodes = Api::<Node>::all(cluster.client.clone());
        let ours = ListParams::default().labels("dev/bundled-cluster=true");
        if nodes.list(&ours).await.unwrap().items.is_empty() {
            left_out(
                "control: ServiceMonitors need the kind, which is not made in somebody's cluster",
            );
            return;
        }
        // It stays: others that look at all kinds would miss it in the middle.
        let kind = json!({"metadata": {"name": name}, "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": "ServiceMonitor", "plural": "servicemonitors"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
        let kind = serde_json::from_value(kind).unwrap();
        kinds.create(&Default::default(), &kind).await.unwrap();
        await_condition(kinds.clone(), name, conditions::is_crd_established())
            .await
            .unwrap();
    }
    let monitor = json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
        "metadata": {"name": "all"}, "spec": {"selector": {}}});
    cluster
        .put(&routers.base, std::slice::from_ref(&monitor))
        .await;
    let control = Control::start(routers, &DRAIN).await;
    let told = control
        .until(|said| said["services"]["reviews"]["state"] == "refused")
        .await;
    let reason = told["services"]["reviews"]["reason"].as_str().unwrap();
    let wanted = format!(
        "ServiceMonitor {}/all scrapes its pods through it",
        routers.base
    );
    assert_eq!(reason, wanted);
    assert_eq!(told["troubles"], json!([]));
    control.kill().await;
    cluster.delete(&routers.base, &monitor).await;
    assert_eq!(routers.service("reviews").await, before);
}

async fn killed_at_any_write_the_next_one_ends_where_it_would_have_ended(routers: &Routers) {
    let before = routers.service("reviews").await;
    let reviews = routers.address(&routers.base, "reviews").await;
    // Renewals of the Lease and Events are of no account.
    routers.proxy.count_only("/services");
    let load = load(routers).await;
    routers.uninstalling(false).await;
    assert!(!killed_at(routers, usize::MAX, Moment::Before, true).await);
    let undisturbed = routers.service("reviews").await;
    routers.uninstalling(true).await;
    assert!(!killed_at(routers, usize::MAX, Moment::Before, false).await);
    assert_eq!(routers.service("reviews").await, before);
    let (mut insertions, mut removals) = (0, 0);
    for write in 1.. {
        let moments = match (long(), write % 2) {
            (true, _) => &[Moment::Before, Moment::After][..],
            (false, 0) => &[Moment::Before][..],
            (false, _) => &[Moment::After][..],
        };
        let mut more = false;
        for moment in moments {
            routers.uninstalling(false).await;
            let inserting = killed_at(routers, write, *moment, true).await;
            let routed = routers.service("reviews").await;
            assert_eq!(routed, undisturbed, "killed at write {write} {moment:?}");
            until(reviews, "x-dev-env: ann\r\n", "reviews of ann").await;

            routers.uninstalling(true).await;
            let removing = killed_at(routers, write, *moment, false).await;
            assert_eq!(
                routers.service("reviews").await,
                before,
                "killed at write {write} {moment:?}"
            );
            insertions += u32::from(inserting);
            removals += u32::from(removing);
            more |= inserting || removing;
        }
        if !more {
            break;
        }
    }
    println!("control killed at {insertions} writes of insertions and {removals} of removals");
    assert!(insertions >= 4 && removals >= 4, "{insertions} {removals}");
    load.stop()
        .await
        .none_failed("control killed at each write");
}

async fn without_the_api_server_nothing_changes_and_then_all_is_caught_up_with(
    routers: &Routers,
    env: Guard,
) {
    routers.uninstalling(false).await;
    let before = routers.service("reviews").await;
    let load = load(routers).await;
    let control = Control::start(routers, &["--unused", "1s", "--drain", "3s"]).await;
    routers.settled("reviews", true).await;
    routers.proxy.away(true);
    // Meanwhile the environment's namespace is deleted, as anybody may do.
    drop(env);
    let away = std::time::Duration::from_secs(if long() { 20 } else { 5 });
    tokio::time::sleep(away).await;
    assert!(control.status().await["services"]["reviews"]["state"] == "routed");
    routers.proxy.away(false);
    routers.settled("reviews", false).await;
    assert_eq!(routers.service("reviews").await, before);
    load.stop()
        .await
        .none_failed("control without the API server");
    drop(control);
}

async fn without_a_router_the_base_answers_by_itself_until_there_are_some_again(routers: &Routers) {
    let before = routers.service("reviews").await;
    let reviews = routers.address(&routers.base, "reviews").await;
    let control = Control::start(routers, &DRAIN).await;
    routers.settled("reviews", true).await;
    let load = load(routers).await;
    routers.scale("dev-router", 0).await;
    routers.restored("reviews").await;
    let restored = routers.service("reviews").await;
    assert_eq!(restored, before);
    let (head, body) = answer(reviews, "x-dev-env: ann\r\n").await;
    assert_eq!(body, "reviews of the base", "{head}");
    let told = control.status().await;
    let told = &told["services"]["reviews"];
    assert_eq!(told["state"], json!("waiting"), "{told}");

    routers.scale("dev-router", 2).await;
    routers.settled("reviews", true).await;
    until(reviews, "x-dev-env: ann\r\n", "reviews of ann").await;
    load.stop()
        .await
        .none_failed("no routers, and routers again");
    routers.uninstalling(true).await;
    routers.settled("reviews", false).await;
    control.kill().await;
}

async fn without_control_the_routers_can_be_taken_away_all_the_same(routers: &Routers) {
    let before = routers.service("reviews").await;
    let env = format!("{}-ann", routers.base);
    routers.cluster.gone(&env).await;
    let _env = ann(routers).await;
    let control = Control::start(routers, &DRAIN).await;
    routers.settled("reviews", true).await;
    control.kill().await;
    let load = load(routers).await;
    let gone = routers.json(&["router", "uninstall"]).await;
    assert_eq!(gone["restored"]["byDev"], json!(["reviews"]), "{gone}");
    assert_eq!(routers.service("reviews").await, before);
    assert_eq!(routers.outside().await, [""; 0]);
    load.stop()
        .await
        .none_failed("routers taken away without control");
}

//! What owners write to their Services while routers answer for them: it stands at once, and nothing of `dev` is left on it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use kube::Api;
use serde_json::{Value, json};

use crate::support::app::unique;
use crate::support::owner::{Owner, Tool, manifest};
use crate::support::routers::{Routers, restricted_service};

/// The Services of the tools in a namespace, without what two namespaces never have in common.
async fn services(routers: &Routers, namespace: &str) -> BTreeMap<&'static str, Value> {
    let api = Api::<Service>::namespaced(routers.cluster.client.clone(), namespace);
    let mut found = BTreeMap::new();
    for tool in Tool::ALL {
        let service = api.get(tool.service()).await.unwrap();
        // Annotations of tools name the namespace.
        let text = json!(service).to_string().replace(namespace, "NAMESPACE");
        let mut value: Value = serde_json::from_str(&text).unwrap();
        if matches!(tool, Tool::ByHand | Tool::Replace) {
            // These own what they change, and there is more to change in a Service that is routed.
            value["metadata"]["managedFields"] = json!([]);
        }
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            value["metadata"].as_object_mut().unwrap().remove(field);
        }
        for entry in value["metadata"]["managedFields"].as_array_mut().unwrap() {
            entry.as_object_mut().unwrap().remove("time");
        }
        for field in ["clusterIP", "clusterIPs"] {
            value["spec"].as_object_mut().unwrap().remove(field);
        }
        found.insert(tool.service(), value);
    }
    found
}

fn assert_same(found: &BTreeMap<&str, Value>, expected: &BTreeMap<&str, Value>, when: &str) {
    for (name, service) in found {
        let other = &expected[name];
        assert_eq!(service, other, "{when}: {name}\n{service:#}\n{other:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_owner_writes_stands_at_once_and_is_left_alone_until_it_is_resumed() {
    let base = unique("owner");
    // Beside it, without routers: what the same writes come to there is what they must come to.
    let twin = format!("{base}-twin");
    let mut shop = restricted_service("shop", "shop of the base");
    shop.pop();
    let mut tracks = Vec::new();
    for track in ["one", "two"] {
        let mut deployment = shop[0].clone();
        deployment["metadata"]["name"] = json!(format!("shop-{track}"));
        let labels = json!({"app": "shop", "track": track});
        deployment["spec"]["selector"]["matchLabels"] = labels.clone();
        deployment["spec"]["template"]["metadata"]["labels"] = labels;
        tracks.push(deployment);
    }
    let Some(routers) = Routers::new("control: owners", &base, &tracks).await else {
        return;
    };
    let Some(owner) = Owner::new("control: owners", &routers.cluster.kubeconfig) else {
        return;
    };
    let _twin = routers.cluster.namespace(&twin).await;
    for namespace in [&base, &twin] {
        Tool::ALL
            .iter()
            .for_each(|tool| owner.make(*tool, namespace));
    }
    routers.good(&["router", "install"]).await;
    let env = format!("{base}-ann");
    let mut own = tracks[0].clone();
    own["metadata"]["name"] = json!("own");
    let _env = routers.cluster.base(&env, &[own]).await;
    routers.good(&["router", "admit", &env]).await;
    let marks = json!({"dev/base": base, "dev/env": "ann"});
    for tool in Tool::ALL {
        let mut copy = manifest(tool, 1);
        copy["metadata"]["labels"] = marks.clone();
        routers.cluster.put(&env, &[copy]).await;
    }
    for tool in Tool::ALL {
        routers.settled(tool.service(), true).await;
    }

    let api = Api::<Service>::namespaced(routers.cluster.client.clone(), &base);
    for tool in Tool::ALL {
        owner.change(tool, &base);
        owner.change(tool, &twin);
        if tool.is_whole() {
            let spec = api.get(tool.service()).await.unwrap().spec.unwrap();
            assert_eq!(spec.selector.unwrap()["app"], "shop", "{tool:?}");
            let targets = spec
                .ports
                .unwrap()
                .into_iter()
                .map(|port| json!(port.target_port));
            let version = if tool == Tool::ByHand { 1 } else { 2 };
            let wanted = manifest(tool, version);
            let wanted = wanted["spec"]["ports"].as_array().unwrap().iter();
            assert!(
                targets.eq(wanted.map(|port| port["targetPort"].clone())),
                "{tool:?}"
            );
        }
    }
    for tool in Tool::ALL {
        routers.stood_down(tool.service()).await;
    }
    assert_same(
        &services(&routers, &base).await,
        &services(&routers, &twin).await,
        "stood down",
    );
    let status = routers.json(&["router", "status"]).await;
    for tool in Tool::ALL {
        let mut told = status["services"].as_array().unwrap().iter();
        let told = told.find(|one| one["name"] == tool.service()).unwrap();
        assert_eq!(told["state"], "stood-down", "{told}");
        let reason = match tool {
            Tool::Recreate => "the Service was deleted",
            _ => "somebody else changed its selector or ports",
        };
        assert!(
            told["reason"].as_str().unwrap().starts_with(reason),
            "{told}"
        );
    }

    for tool in Tool::ALL {
        routers.good(&["router", "resume", tool.service()]).await;
    }
    for tool in Tool::ALL {
        routers.settled(tool.service(), true).await;
    }
    routers.good(&["router", "uninstall", "--now"]).await;
    assert_same(
        &services(&routers, &base).await,
        &services(&routers, &twin).await,
        "uninstalled",
    );
}

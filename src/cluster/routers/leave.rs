//! The routers' departure: nothing new reaches them, then they go, then what belonged to them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use http::Request;
use serde_json::{Value, json};

use super::found::builtin;
use crate::cluster::remove::{Target, delete_and_await};
use crate::cluster::request::encode;
use crate::cluster::watch::{End, Seen};
use crate::cluster::{Cluster, Resource};
use crate::error::{Error, Result};
use crate::manifest::{ObjectKey, labels};
use crate::router::install::{CONTROL, EDGE, ROUTER};

/// How long the EndpointSlice controller may need.
const SLICES: Duration = Duration::from_secs(60);
/// What is left of a grace period that somebody does not want to wait for, in seconds.
const HURRY: u64 = 5;

/// Waits until no Service but the routers' own leads to a router: its selector is back, and its EndpointSlices too.
pub async fn await_departure(cluster: &Cluster, base: &str) -> Result<()> {
    let routers: BTreeSet<String> = pods(cluster, base)
        .await?
        .0
        .iter()
        .filter_map(|pod| pod["status"]["podIP"].as_str().map(str::to_owned))
        .collect();
    let slices = builtin("discovery.k8s.io/v1", "EndpointSlice");
    let collection = slices.collection(Some(base));
    let attempt = format!("see where the Services of {base} lead");
    let waiting = async {
        loop {
            let listed = cluster
                .try_list(&collection, false)
                .await
                .map_err(|failure| cluster.explain_failure(&attempt, &failure))?;
            let mut left: BTreeSet<String> = listed
                .items
                .iter()
                .filter(|slice| leads_to(slice, &routers))
                .filter_map(uid)
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            let mut see = |seen: Seen| {
                match seen {
                    Seen::There(slice) if leads_to(&slice, &routers) => left.extend(uid(&slice)),
                    Seen::There(slice) | Seen::Gone(slice) => {
                        uid(&slice).map(|uid| left.remove(&uid));
                    }
                }
                match left.is_empty() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            };
            let version = &listed.resource_version;
            match cluster
                .watch(&collection, None, version, false, &mut see)
                .await
            {
                Ok(End::Done) => return Ok(()),
                Ok(End::Stale) => {}
                Err(failure) => return Err(cluster.explain_failure(&attempt, &failure)),
            }
        }
    };
    match tokio::time::timeout(SLICES, waiting).await {
        Ok(result) => result,
        Err(_) => Err(Error::not_ready(format!(
            "Services of {base} still lead to the routers {} s after they were restored",
            SLICES.as_secs()
        ))
        .reason("EndpointsLate")
        .hint("is the cluster's controller manager at work? The routers stay until this command is run again")),
    }
}

/// Whether a slice leads to one of these addresses and belongs to a Service that is not the routers' own.
fn leads_to(slice: &Value, routers: &BTreeSet<String>) -> bool {
    let owner = slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str();
    if owner.is_some_and(|name| name == ROUTER || name == EDGE) {
        return false;
    }
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let mut addresses = endpoints.flat_map(|one| one["addresses"].as_array().into_iter().flatten());
    addresses.any(|address| {
        address
            .as_str()
            .is_some_and(|address| routers.contains(address))
    })
}

fn uid(object: &Value) -> Option<String> {
    object["metadata"]["uid"].as_str().map(str::to_owned)
}

/// Deletes the routers' Deployment and waits for the end of its pods, which end when their last connection does.
pub async fn delete_routers(
    cluster: &Cluster,
    base: &str,
    timeout: Duration,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let Some(target) = target(cluster, base, builtin("apps/v1", "Deployment"), ROUTER).await?
    else {
        return Ok(());
    };
    match delete_and_await(cluster, vec![target], timeout, tell).await {
        Err(error) if error.reason_code() == Some("DeletionPending") => Err(Error::not_ready(format!(
            "the routers in {base} still carry established connections after {} s",
            timeout.as_secs()
        ))
        .reason("ConnectionsLeft")
        .hint("new connections do not reach them any more; run the command again to wait on (--timeout waits longer)")
        .hint("--now ends what is established")),
        other => other,
    }
}

/// Shortens the grace period of routers that are going; goes on until it is dropped.
pub async fn hurry(cluster: &Cluster, base: &str) -> Result<()> {
    let resource = builtin("v1", "Pod");
    let is_slow = |pod: &Value| {
        let metadata = &pod["metadata"];
        metadata["deletionGracePeriodSeconds"].as_u64() > Some(HURRY)
    };
    loop {
        let (found, version) = pods(cluster, base).await?;
        for pod in found.iter().filter(|pod| is_slow(pod)) {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let body =
                json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": HURRY});
            let request = Request::delete(resource.object(Some(base), name))
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(body.to_string().into_bytes());
            match cluster.try_send::<Value>(request).await {
                Ok(_) => {}
                Err(failure) if failure.is_not_found() => {}
                Err(failure) => {
                    return Err(cluster.explain_failure(&format!("end the pod {name}"), &failure));
                }
            }
        }
        let mut see = |seen: Seen| match seen {
            Seen::There(pod) if is_slow(&pod) => ControlFlow::Break(()),
            Seen::There(_) | Seen::Gone(_) => ControlFlow::Continue(()),
        };
        let collection = resource.collection(Some(base));
        if let Err(failure) = cluster
            .watch(&collection, None, &version, false, &mut see)
            .await
        {
            return Err(cluster.explain_failure(&format!("watch the pods of {base}"), &failure));
        }
    }
}

/// Deletes what `control` made and no inventory lists: shadows and its Lease. Gives what was deleted.
pub async fn delete_leftovers(
    cluster: &Cluster,
    base: &str,
    timeout: Duration,
) -> Result<Vec<ObjectKey>> {
    let services = builtin("v1", "Service");
    let selector = format!(
        "{}={},{}",
        labels::MANAGED_BY,
        labels::MANAGER,
        labels::SHADOW
    );
    let path = format!(
        "{}?labelSelector={}",
        services.collection(Some(base)),
        encode(&selector)
    );
    let attempt = format!("list the shadows in {base}");
    let found: Option<Value> = cluster.get_opt(&path, &attempt).await?;
    let items = found.as_ref().and_then(|list| list["items"].as_array());
    let mut targets: Vec<Target> = items
        .into_iter()
        .flatten()
        .map(|item| target_of(item, &services, base))
        .collect();
    let lease = builtin("coordination.k8s.io/v1", "Lease");
    targets.extend(target(cluster, base, lease, CONTROL).await?);
    let keys = targets.iter().map(|target| target.key.clone()).collect();
    delete_and_await(cluster, targets, timeout, &|_| ()).await?;
    Ok(keys)
}

async fn target(
    cluster: &Cluster,
    base: &str,
    resource: Resource,
    name: &str,
) -> Result<Option<Target>> {
    let attempt = format!("read {} {name} in {base}", resource.kind);
    let path = resource.object(Some(base), name);
    let found: Option<Value> = cluster.get_opt(&path, &attempt).await?;
    Ok(found.map(|object| target_of(&object, &resource, base)))
}

fn target_of(object: &Value, resource: &Resource, base: &str) -> Target {
    Target {
        resource: resource.clone(),
        key: ObjectKey {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
            namespace: Some(base.to_owned()),
            name: object["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        },
        uid: uid(object).unwrap_or_default(),
    }
}

/// The routers' pods and the version of the list.
async fn pods(cluster: &Cluster, base: &str) -> Result<(Vec<Value>, String)> {
    let collection = builtin("v1", "Pod").collection(Some(base));
    let selector = encode(&format!("app.kubernetes.io/name={ROUTER}"));
    let path = format!("{collection}?labelSelector={selector}");
    let attempt = format!("list the routers in {base}");
    let list: Option<Value> = cluster.get_opt(&path, &attempt).await?;
    let mut list = list.unwrap_or_default();
    let version = list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    match list["items"].take() {
        Value::Array(items) => Ok((items, version)),
        _ => Ok((Vec::new(), version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_other_services_that_lead_to_a_router_are_waited_for() {
        let routers = ["10.0.0.1".to_owned()].into();
        let slice = |service: &str, address: &str| json!({"metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": [{"addresses": [address]}]});
        assert!(leads_to(&slice("reviews", "10.0.0.1"), &routers));
        assert!(!leads_to(&slice("reviews", "10.0.0.2"), &routers));
        assert!(!leads_to(&slice("dev-router", "10.0.0.1"), &routers));
        assert!(!leads_to(&slice("dev-router-edge", "10.0.0.1"), &routers));
        assert!(!leads_to(&json!({"endpoints": null}), &routers));
    }
}

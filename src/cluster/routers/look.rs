//! How it is with the routers of a base, as far as a person may see it.

use http::Request;
use serde_json::Value;

use super::found::builtin;
use crate::cluster::Cluster;
use crate::cluster::request::{Failure, encode};
use crate::cluster::router_status::{RouterStatus, Unknown};
use crate::error::{Error, Result};
use crate::router::install::{CONTROL, ROUTER};

/// What could be seen; what could not is in `unseen`, with why.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The Deployment of the routers.
    pub router: Option<Value>,
    /// The Deployment of the process that writes.
    pub control: Option<Value>,
    /// The routers' pods.
    pub pods: Vec<Value>,
    /// The Lease by which `control` leads.
    pub lease: Option<Value>,
    /// What the routers say.
    pub routers: Option<RouterStatus>,
    /// What `control` says.
    pub says: Option<Value>,
    /// What could not be seen.
    pub unseen: Vec<Error>,
}

/// Looks at the routers of a base. Missing rights and routers that do not answer make a part of it unseen, not the whole.
pub async fn look(cluster: &Cluster, base: &str) -> Result<Look> {
    let deployments = builtin("apps/v1", "Deployment");
    let pods = builtin("v1", "Pod").collection(Some(base));
    let selector = encode(&format!("app.kubernetes.io/name={ROUTER}"));
    let lease = builtin("coordination.k8s.io/v1", "Lease").object(Some(base), CONTROL);
    let says = format!("/api/v1/namespaces/{base}/services/{CONTROL}:status/proxy/v1/status");
    let (router, control, pods, lease, routers, says) = tokio::join!(
        get(cluster, deployments.object(Some(base), ROUTER)),
        get(cluster, deployments.object(Some(base), CONTROL)),
        get(cluster, format!("{pods}?labelSelector={selector}")),
        get(cluster, lease),
        cluster.router_status(base, None),
        get(cluster, says),
    );
    let mut look = Look::default();
    let mut keep = |attempt: &str, result: Result<Option<Value>, Failure>| match result {
        Ok(found) => found,
        Err(failure) => {
            let attempt = format!("{attempt} in {base}");
            look.unseen
                .push(cluster.explain_failure(&attempt, &failure));
            None
        }
    };
    let router = keep("read the Deployment of the routers", router);
    let control = keep("read the Deployment of control", control);
    let pods = keep("list the routers", pods);
    let lease = keep("read who leads", lease);
    // Where nothing is ready nobody can answer, which the rest shows.
    let says = match says {
        Err(failure) if !failure.is_forbidden() && !is_ready(control.as_ref()) => None,
        says => keep("ask control", says),
    };
    match routers {
        Ok(routers) => look.routers = Some(routers),
        Err(Unknown::NoRight(error)) => look.unseen.push(error),
        Err(Unknown::NoAnswer(error)) if is_ready(router.as_ref()) => look.unseen.push(error),
        Err(Unknown::NoAnswer(_)) => {}
    }
    look.pods = match pods.map(|mut list| list["items"].take()) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    look.router = router;
    look.control = control;
    look.lease = lease;
    look.says = says;
    Ok(look)
}

/// Whether a Deployment has a pod that is ready.
pub(super) fn is_ready(deployment: Option<&Value>) -> bool {
    deployment.is_some_and(|object| object["status"]["readyReplicas"].as_u64() > Some(0))
}

/// Reads a path; `None` where there is nothing.
async fn get(cluster: &Cluster, path: String) -> Result<Option<Value>, Failure> {
    match cluster
        .try_send::<Value>(Request::get(path).body(Vec::new()))
        .await
    {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(failure),
    }
}

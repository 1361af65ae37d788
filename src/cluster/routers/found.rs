//! What there is of routers in a base.

use serde_json::Value;

use super::look::is_ready;
use crate::cluster::{Cluster, Resource};
use crate::error::{Error, Result};
use crate::manifest::labels;
use crate::router::install::{CONTROL, Options, ROUTER};

/// What was found in a base.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The base's namespace; `None` where it may not be read.
    pub namespace: Option<Value>,
    /// Every Service of the base, the routers' own among them.
    pub services: Vec<Value>,
    /// The Deployment of the routers.
    pub router: Option<Value>,
    /// The Deployment of the process that writes.
    pub control: Option<Value>,
    /// The ConfigMap with the environments.
    pub admission: Option<Value>,
}

impl Found {
    /// What was chosen at an earlier installation.
    pub fn options(&self) -> Option<Options> {
        Options::of_deployment(self.router.as_ref()?)
    }

    /// Whether an `uninstall` began and did not end.
    pub fn is_leaving(&self) -> bool {
        let annotation =
            |object: &Value| object["metadata"]["annotations"][labels::UNINSTALL] == "true";
        self.admission.as_ref().is_some_and(annotation)
    }

    /// Whether the process that writes can be expected to do so.
    pub fn has_control(&self) -> bool {
        is_ready(self.control.as_ref())
    }

    /// Whether there is nothing of routers.
    pub fn is_nothing(&self) -> bool {
        self.router.is_none() && self.control.is_none() && self.admission.is_none()
    }
}

/// Looks for routers in a base.
///
/// # Errors
/// The base's namespace is missing or being deleted.
pub async fn find(cluster: &Cluster, base: &str) -> Result<Found> {
    let one = async |resource: Resource, name: &str| -> Result<Option<Value>> {
        let path = resource.object(Some(base), name);
        let attempt = format!("read {} {name} in {base}", resource.kind);
        cluster.get_opt(&path, &attempt).await
    };
    let services = async {
        let collection = builtin("v1", "Service").collection(Some(base));
        let listed = cluster.try_list(&collection, false).await;
        listed.map_err(|failure| {
            cluster.explain_failure(&format!("list the Services of the base {base}"), &failure)
        })
    };
    let (namespace, services, router, control, admission) = tokio::try_join!(
        namespace(cluster, base),
        services,
        one(builtin("apps/v1", "Deployment"), ROUTER),
        one(builtin("apps/v1", "Deployment"), CONTROL),
        one(builtin("v1", "ConfigMap"), labels::ADMISSION),
    )?;
    Ok(Found {
        namespace,
        services: services.items,
        router,
        control,
        admission,
    })
}

/// The namespace of a base, which must be there.
async fn namespace(cluster: &Cluster, base: &str) -> Result<Option<Value>> {
    let path = builtin("v1", "Namespace").object(None, base);
    let request = http::Request::get(path).body(Vec::new());
    match cluster.try_send::<Value>(request).await {
        Ok(found) if found["metadata"].get("deletionTimestamp").is_some() => Err(Error::failed(
            format!("the base's namespace {base} is being deleted"),
        )
        .reason("NamespaceTerminating")),
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.is_forbidden() => Ok(None),
        Err(failure) if failure.is_not_found() => Err(Error::failed(format!(
            "there is no namespace {base}, so there is no base to put routers into"
        ))
        .reason("NamespaceMissing")
        .hint("`dev deploy` makes a base from dev.yaml; --base names another one")),
        Err(failure) => {
            Err(cluster.explain_failure(&format!("read the namespace {base}"), &failure))
        }
    }
}

/// A kind that every cluster serves.
pub(super) fn builtin(api_version: &str, kind: &str) -> Resource {
    Resource::builtin(api_version, kind).expect("the kind is in the table")
}

//! Waiting, by watch, for what has to be there before the next object is applied.

use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::Value;

use crate::cluster::watch::{End, Seen};
use crate::cluster::{Cluster, Resource};
use crate::error::{Error, Result};

impl Cluster {
    /// Waits until the kind of a CustomResourceDefinition is served.
    pub(super) async fn await_definition(&self, name: &str, timeout: Duration) -> Result<()> {
        let resource = Resource {
            api_version: "apiextensions.k8s.io/v1".to_owned(),
            kind: "CustomResourceDefinition".to_owned(),
            plural: "customresourcedefinitions".to_owned(),
            namespaced: false,
        };
        self.await_object(&resource, None, name, timeout, &is_established)
            .await
    }

    /// Waits for the service account that Kubernetes makes in a new namespace: pods are refused before.
    pub(super) async fn await_service_account(
        &self,
        namespace: &str,
        timeout: Duration,
    ) -> Result<()> {
        let resource = Resource {
            api_version: "v1".to_owned(),
            kind: "ServiceAccount".to_owned(),
            plural: "serviceaccounts".to_owned(),
            namespaced: true,
        };
        self.await_object(&resource, Some(namespace), "default", timeout, &|_| true)
            .await
    }

    /// Waits until an object is there and is as wanted.
    async fn await_object(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        timeout: Duration,
        wanted: &(dyn Fn(&Value) -> bool + Sync),
    ) -> Result<()> {
        let attempt = format!("wait for {} {name}", resource.kind);
        let collection = resource.collection(namespace);
        let waiting = async {
            loop {
                let listed = self
                    .try_list(&collection, false)
                    .await
                    .map_err(|failure| self.explain_failure(&attempt, &failure))?;
                let named = |object: &Value| object["metadata"]["name"] == name && wanted(object);
                if listed.items.iter().any(named) {
                    return Ok(());
                }
                let mut see = |seen: Seen| match seen {
                    Seen::There(now) if named(&now) => ControlFlow::Break(()),
                    Seen::There(_) | Seen::Gone(_) => ControlFlow::Continue(()),
                };
                let from = listed.resource_version;
                match self
                    .watch(&collection, Some(name), &from, false, &mut see)
                    .await
                {
                    Ok(End::Done) => return Ok(()),
                    Ok(End::Stale) => {}
                    Err(failure) => return Err(self.explain_failure(&attempt, &failure)),
                }
            }
        };
        match tokio::time::timeout(timeout, waiting).await {
            Ok(result) => result,
            Err(_) => Err(Error::not_ready(format!(
                "cannot {attempt}: it is not there after {} s",
                timeout.as_secs()
            ))
            .reason("NotThere")),
        }
    }
}

fn is_established(definition: &Value) -> bool {
    definition["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

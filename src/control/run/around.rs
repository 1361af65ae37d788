//! What is read now and then, because there is no right to watch it or it may not exist: the base's own namespace, ServiceMonitors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::cluster::Cluster;
use crate::control::support::Monitor;

/// How often it is read.
const EVERY: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) monitors: Vec<Monitor>,
    troubles: Vec<String>,
}

/// What is known, kept by a task that ends with it.
pub(super) struct Around {
    known_rx: watch::Receiver<Option<Arc<Known>>>,
    task: AbortHandle,
}

impl Around {
    pub(super) fn begin(cluster: &Cluster, base: &str) -> Self {
        let (known_tx, known_rx) = watch::channel(None);
        let (client, base) = (cluster.client.clone(), base.to_owned());
        let task = tokio::spawn(async move {
            loop {
                let now = read(&client, &base).await;
                known_tx.send_if_modified(|before: &mut Option<Arc<Known>>| {
                    let changed = before.as_deref() != Some(&now);
                    *before = Some(Arc::new(now));
                    changed
                });
                tokio::time::sleep(EVERY).await;
            }
        });
        Self {
            known_rx,
            task: task.abort_handle(),
        }
    }

    /// Whether it was read once.
    pub(super) fn is_known(&self) -> bool {
        self.known_rx.borrow().is_some()
    }

    pub(super) fn now(&self) -> Arc<Known> {
        self.known_rx.borrow().clone().unwrap_or_default()
    }

    pub(super) fn troubles(&self) -> Vec<String> {
        self.now().troubles.clone()
    }

    pub(super) async fn changed(&mut self) {
        if self.known_rx.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Around {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(client: &Client, base: &str) -> Known {
    let mut known = Known::default();
    match Api::<Namespace>::all(client.clone()).get(base).await {
        Ok(namespace) => {
            known.labels = namespace.metadata.labels.unwrap_or_default();
            known.annotations = namespace.metadata.annotations.unwrap_or_default();
        }
        Err(cause) => known.troubles.push(format!(
            "the namespace cannot be read, so a mesh that is set on it goes unnoticed: {cause}"
        )),
    }
    let resource = ApiResource {
        group: "monitoring.coreos.com".to_owned(),
        version: "v1".to_owned(),
        api_version: "monitoring.coreos.com/v1".to_owned(),
        kind: "ServiceMonitor".to_owned(),
        plural: "servicemonitors".to_owned(),
    };
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    match api.list(&ListParams::default()).await {
        Ok(list) => {
            known.monitors = list
                .items
                .iter()
                .map(|found| monitor(found, base))
                .collect()
        }
        // Nobody uses them here.
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(cause) => known.troubles.push(format!(
            "ServiceMonitors cannot be read, so Services that they select go unnoticed: {cause}"
        )),
    }
    known
}

fn monitor(found: &DynamicObject, base: &str) -> Monitor {
    let namespace = found.metadata.namespace.as_deref().unwrap_or_default();
    let name = found.metadata.name.as_deref().unwrap_or_default();
    let spec = &found.data["spec"];
    let namespaces = &spec["namespaceSelector"];
    let named = namespaces["matchNames"]
        .as_array()
        .filter(|names| !names.is_empty());
    let sees_base = match named {
        _ if namespaces["any"] == true => true,
        Some(names) => names.iter().any(|name| name == base),
        None => namespace == base,
    };
    Monitor {
        name: format!("{namespace}/{name}"),
        sees_base,
        // One that cannot be read selects everything, to be careful.
        selector: serde_json::from_value(spec.get("selector").cloned().unwrap_or(Value::Null))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_monitor_looks_at_its_own_namespace_unless_it_says_otherwise() {
        let sees = |namespaces: Value| {
            let object = json!({"metadata": {"namespace": "monitoring", "name": "all"},
                "spec": {"namespaceSelector": namespaces, "selector": {"matchLabels": {"a": "b"}}}});
            let found = monitor(&serde_json::from_value(object).unwrap(), "shop");
            assert_eq!(found.selector.match_labels.unwrap()["a"], "b");
            found.sees_base
        };
        assert!(!sees(json!({})));
        assert!(sees(json!({"any": true})));
        assert!(sees(json!({"matchNames": ["shop"]})));
        assert!(!sees(json!({"matchNames": ["other"]})));
    }
}

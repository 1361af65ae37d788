//! Every Service of a base as its owner wrote it. `control` does it where it runs; where it does not, this does the same by the
//! same functions.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use serde::Serialize;
use serde_json::Value;

use super::found::builtin;
use super::patch::json_patch;
use crate::cluster::Cluster;
use crate::cluster::access::{self, Right};
use crate::cluster::watch::{End, Seen};
use crate::control::shadow::{self, Shadow};
use crate::control::{CONTROL, fields, patches};
use crate::error::{Error, Result};
use crate::manifest::labels;

/// How long `control` may do nothing before it is taken for dead.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a write that others overtook is tried again.
const TRIES: usize = 5;

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// By `control`.
    pub by_control: Vec<String>,
    /// By this process, because `control` did not.
    pub by_dev: Vec<String>,
}

/// Restores every Service of a base. `control`: it runs and was told to; it is given time.
///
/// # Errors
/// A Service that nobody can restore, by name. Routers must not be taken away then.
pub async fn restore(
    cluster: &Cluster,
    base: &str,
    control: bool,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Restored> {
    let first = routed(cluster, base).await?.0;
    let mut restored = Restored::default();
    if first.is_empty() {
        return Ok(restored);
    }
    let left = match control {
        true => await_control(cluster, base, tell).await?,
        false => first.clone(),
    };
    restored.by_control = first
        .keys()
        .filter(|name| !left.contains_key(*name))
        .cloned()
        .collect();
    if left.is_empty() {
        return Ok(restored);
    }
    let rights = [Right::core("patch", "services", base)].into();
    access::require(cluster, &format!("restore the Services of {base}"), &rights).await?;
    for name in left.into_keys() {
        tell(&format!("restoring {name}: control does not"));
        restore_one(cluster, base, &name).await?;
        restored.by_dev.push(name);
    }
    Ok(restored)
}

/// Whether routing has left its mark on a Service: it is routed, or fields of it belong to `control`.
fn is_marked(service: &Value) -> bool {
    let metadata = &service["metadata"];
    let managers = metadata["managedFields"].as_array().into_iter().flatten();
    metadata["annotations"].get(labels::RESTORE).is_some()
        || (metadata["labels"].get(labels::SHADOW).is_none()
            && managers
                .into_iter()
                .any(|entry| entry["manager"] == CONTROL))
}

/// The Services that are not as their owners wrote them, and the version of the list.
async fn routed(cluster: &Cluster, base: &str) -> Result<(BTreeMap<String, Value>, String)> {
    let collection = builtin("v1", "Service").collection(Some(base));
    let listed = cluster
        .try_list(&collection, true)
        .await
        .map_err(|failure| {
            cluster.explain_failure(&format!("list the Services of {base}"), &failure)
        })?;
    let marked = listed.items.into_iter().filter(is_marked);
    let named = marked.filter_map(|item| Some((name_of(&item)?, item)));
    Ok((named.collect(), listed.resource_version))
}

fn name_of(object: &Value) -> Option<String> {
    object["metadata"]["name"].as_str().map(str::to_owned)
}

/// Waits while `control` makes progress. Gives what it did not restore.
async fn await_control(
    cluster: &Cluster,
    base: &str,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<BTreeMap<String, Value>> {
    let collection = builtin("v1", "Service").collection(Some(base));
    loop {
        let (mut left, version) = routed(cluster, base).await?;
        if left.is_empty() {
            return Ok(left);
        }
        let before = left.len();
        tell(&names(&left));
        let mut see = |seen: Seen| {
            let (object, marked) = match seen {
                Seen::There(object) => {
                    let marked = is_marked(&object);
                    (object, marked)
                }
                Seen::Gone(object) => (object, false),
            };
            if let Some(name) = name_of(&object)
                && !marked
                && left.remove(&name).is_some()
                && !left.is_empty()
            {
                tell(&names(&left));
            }
            match left.is_empty() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let watching = cluster.watch(&collection, None, &version, true, &mut see);
        match tokio::time::timeout(PATIENCE, watching).await {
            Ok(Ok(End::Done)) => return Ok(left),
            Ok(Ok(End::Stale)) => {}
            Ok(Err(failure)) => {
                let attempt = format!("watch the Services of {base}");
                return Err(cluster.explain_failure(&attempt, &failure));
            }
            Err(_) if left.len() < before => {}
            Err(_) => return Ok(left),
        }
    }
}

fn names(left: &BTreeMap<String, Value>) -> String {
    let names: Vec<&str> = left.keys().map(String::as_str).collect();
    format!("control restores {}", names.join(", "))
}

/// Restores one Service: selector and ports first, then whose fields they are.
async fn restore_one(cluster: &Cluster, base: &str, name: &str) -> Result<()> {
    let services = builtin("v1", "Service");
    let read = async |name: &str| -> Result<Option<Service>> {
        let attempt = format!("read the Service {name} in {base}");
        cluster
            .get_opt(&services.object(Some(base), name), &attempt)
            .await
    };
    for _ in 0..TRIES {
        let Some(service) = read(name).await? else {
            return Ok(());
        };
        let shadow = read(&shadow::name(name)).await?;
        let shadow = shadow.and_then(|object| Shadow::read(&object).ok());
        let managed = service.metadata.managed_fields.clone().unwrap_or_default();
        let patch = if patches::restore_annotation(&service).is_some() {
            let original = patches::read_restore(&service)
                .or_else(|| shadow.map(|shadow| shadow.original))
                .ok_or_else(|| broken(base, name))?;
            patches::restore(&service, &original)
        } else if fields::is_stained(&managed) {
            let saved = shadow
                .map(|shadow| shadow.managed_fields)
                .unwrap_or_default();
            patches::give_back(&service, &fields::given_back(&managed, &saved))
        } else {
            return Ok(());
        };
        json_patch(cluster, &services, base, name, &patch, CONTROL).await?;
    }
    Err(Error::failed(format!(
        "cannot restore the Service {name} in {base}: others change it all the time"
    ))
    .reason("Conflict")
    .hint("run the command again"))
}

fn broken(base: &str, name: &str) -> Error {
    Error::failed(format!(
        "cannot restore the Service {name} in {base}: neither its annotation {} nor its shadow tells what it was",
        labels::RESTORE
    ))
    .reason("RestoreUnknown")
    .hint(format!(
        "apply it from its source, then take the annotation off: kubectl annotate service {name} -n {base} {}-",
        labels::RESTORE
    ))
    .hint("the routers stay until then")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_is_marked_while_it_is_routed_and_while_its_fields_are_not_given_back() {
        let routed = json!({"metadata": {"annotations": {"dev/restore": "[]"}}});
        assert!(is_marked(&routed));
        let stained = json!({"metadata": {"managedFields": [{"manager": "helm"}, {"manager": "dev-control"}]}});
        assert!(is_marked(&stained));
        let owners = json!({"metadata": {"managedFields": [{"manager": "helm"}], "annotations": {"a": "b"}}});
        assert!(!is_marked(&owners));
        // A shadow is control's own.
        let shadow = json!({"metadata": {"labels": {"dev/shadow": "web"}, "managedFields": [{"manager": "dev-control"}]}});
        assert!(!is_marked(&shadow));
    }
}

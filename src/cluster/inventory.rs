//! Reading and writing the record of what an environment owns. Two writers at once lose nothing: each write names the version
//! that it read, and a refused one reads again.

use http::Request;
use serde_json::Value;

use crate::cluster::{Cluster, Resource};
use crate::error::{Error, Result};
use crate::manifest::labels::{self, Stamp};
use crate::plan::Inventory;

/// How often a write that others overtook is tried again.
const TRIES: usize = 5;

fn resource() -> Resource {
    Resource {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        plural: "configmaps".to_owned(),
        namespaced: true,
    }
}

impl Cluster {
    /// The record in a namespace; `None` where there is none.
    ///
    /// # Errors
    /// `NamespaceTaken` for the record of another application's environment of the same name.
    pub async fn read_inventory(
        &self,
        namespace: &str,
        stamp: &Stamp,
    ) -> Result<Option<Inventory>> {
        let Some(found) = self.inventory_object(namespace, &stamp.env).await? else {
            return Ok(None);
        };
        check_owner(&found, namespace, stamp)?;
        Inventory::from_config_map(&found).map(Some)
    }

    async fn inventory_object(&self, namespace: &str, env: &str) -> Result<Option<Value>> {
        let path = resource().object(Some(namespace), &labels::inventory_name(env));
        let attempt = format!("read what the environment in {namespace} owns");
        self.get_opt(&path, &attempt).await
    }

    /// Changes the record: `change` makes the new one of what is there now. Nothing is written where that is the same. Gives whether
    /// it was written. `owner` is noted in a record that has none.
    pub(super) async fn change_inventory(
        &self,
        namespace: &str,
        stamp: &Stamp,
        owner: Option<&str>,
        change: &(dyn Fn(&Inventory) -> Inventory + Sync),
    ) -> Result<bool> {
        let env = stamp.env.as_str();
        let attempt = format!("record what the environment in {namespace} owns");
        for _ in 0..TRIES {
            let found = self.inventory_object(namespace, env).await?;
            let now = match &found {
                Some(found) => {
                    check_owner(found, namespace, stamp)?;
                    Inventory::from_config_map(found)?
                }
                None => Inventory::default(),
            };
            let next = change(&now);
            if found.is_some() && next == now {
                return Ok(false);
            }
            let mut body = next.to_config_map(stamp, namespace);
            let noted = found
                .as_ref()
                .and_then(|found| found["metadata"]["labels"][labels::OWNER].as_str());
            if let Some(owner) = noted.or(owner) {
                body["metadata"]["labels"][labels::OWNER] = Value::from(owner);
            }
            let request =
                match &found {
                    Some(found) => {
                        body["metadata"]["resourceVersion"] =
                            found["metadata"]["resourceVersion"].clone();
                        Request::put(self.written(
                            &resource().object(Some(namespace), &labels::inventory_name(env)),
                        ))
                    }
                    None => Request::post(self.written(&resource().collection(Some(namespace)))),
                };
            let request = request
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(body.to_string().into_bytes());
            match self.try_send::<Value>(request).await {
                Ok(_) => return Ok(true),
                Err(failure) if failure.is_conflict() => {}
                Err(failure) => return Err(self.explain_failure(&attempt, &failure)),
            }
        }
        Err(
            Error::failed(format!("cannot {attempt}: others change it all the time"))
                .reason("InventoryContended")
                .hint("is another dev at work on the same environment?"),
        )
    }

    fn written(&self, path: &str) -> String {
        format!("{path}?fieldManager={}", labels::MANAGER)
    }

    /// Deletes the record.
    pub(super) async fn delete_inventory(&self, namespace: &str, env: &str) -> Result<()> {
        let path = resource().object(Some(namespace), &labels::inventory_name(env));
        match self
            .try_send::<Value>(Request::delete(path).body(Vec::new()))
            .await
        {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_not_found() => Ok(()),
            Err(failure) => Err(self.explain_failure(
                &format!("delete the record of the environment in {namespace}"),
                &failure,
            )),
        }
    }
}

/// Fails for a ConfigMap with the name of the record that is the record of another application's environment, or none at all.
fn check_owner(found: &Value, namespace: &str, stamp: &Stamp) -> Result<()> {
    let label = |key: &str| found["metadata"]["labels"][key].as_str();
    let name = labels::inventory_name(&stamp.env);
    match label(labels::APP) {
        Some(app) if app != stamp.app => Err(Error::usage(format!(
            "the namespace {namespace} has an environment \"{}\" of \"{app}\" already",
            stamp.env
        ))
        .reason("NamespaceTaken")
        .hint("choose another name with --env, or another namespace with --namespace")),
        Some(_) => Ok(()),
        // Labels may be lost; who wrote it is not.
        None if is_written_by_dev(found) => Ok(()),
        None => Err(Error::failed(format!(
            "the ConfigMap {name} in {namespace} was not made by dev, and has the name of its record"
        ))
        .reason("NotMadeByDev")
        .hint(format!(
            "delete or rename it (kubectl -n {namespace} delete configmap {name}), or choose another name with --env"
        ))),
    }
}

fn is_written_by_dev(object: &Value) -> bool {
    let entries = object["metadata"]["managedFields"].as_array();
    let mut entries = entries.into_iter().flatten();
    entries.any(|entry| entry["manager"] == labels::MANAGER)
}

//! Reading and writing the record of what an environment owns. Two writers at once lose nothing: each write names the version
//! that it read, and a refused one reads again.

use http::Request;
use serde_json::{Value, json};

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

/// A record as it was read.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) inventory: Inventory,
    /// What a deletion of this version of it asks for.
    preconditions: Value,
}

/// What is done where there is no record to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is made.
    Make,
    /// Somebody deleted it: that is an error.
    Fail,
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
        let record = self.read_record(namespace, stamp).await?;
        Ok(record.map(|record| record.inventory))
    }

    /// The same with the version of it.
    pub(super) async fn read_record(
        &self,
        namespace: &str,
        stamp: &Stamp,
    ) -> Result<Option<Record>> {
        let Some(found) = self.inventory_object(namespace, &stamp.env).await? else {
            return Ok(None);
        };
        check_owner(&found, namespace, stamp)?;
        let metadata = &found["metadata"];
        Ok(Some(Record {
            inventory: Inventory::from_config_map(&found)?,
            preconditions: json!({"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}),
        }))
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
        missing: Missing,
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
                None if missing == Missing::Fail => return Err(removed(namespace)),
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
                Err(failure) => {
                    let error = self.explain_failure(&attempt, &failure);
                    return Err(unwritable(error, namespace, env));
                }
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

    /// Deletes the record as it was read; gives whether it was still that.
    pub(super) async fn delete_record(
        &self,
        namespace: &str,
        env: &str,
        record: &Record,
    ) -> Result<bool> {
        let path = resource().object(Some(namespace), &labels::inventory_name(env));
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": record.preconditions});
        let request = Request::delete(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(options.to_string().into_bytes());
        match self.try_send::<Value>(request).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_not_found() => Ok(true),
            Err(failure) if failure.is_conflict() => Ok(false),
            Err(failure) => Err(self.explain_failure(
                &format!("delete the record of the environment in {namespace}"),
                &failure,
            )),
        }
    }
}

fn removed(namespace: &str) -> Error {
    Error::failed(format!(
        "the environment in {namespace} was removed while it was brought up"
    ))
    .reason("RemovedMeanwhile")
    .hint("is `dev down` at work on it? `dev up` makes it again")
}

/// The error of a record that cannot be written.
fn unwritable(error: Error, namespace: &str, env: &str) -> Error {
    let name = labels::inventory_name(env);
    match error.reason_code() {
        // What helps for other objects does not help here.
        Some("ImmutableField") => Error::failed(format!(
            "the ConfigMap {name} in {namespace}, which lists what the environment owns, was made immutable"
        ))
        .reason("ImmutableInventory")
        .hint(format!(
            "delete it, then run `dev up`, which writes it anew: kubectl -n {namespace} delete configmap {name}"
        )),
        _ => error,
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

//! What an environment needs to know of its base: the Services there, and whom the base admits. Reads, and one write: the
//! list of environments, for those who may change it.

use std::collections::{BTreeMap, BTreeSet};

use http::Request;
use serde_json::{Value, json};

use crate::cluster::access::Right;
use crate::cluster::request::encode;
use crate::cluster::{Cluster, Resource};
use crate::control::CONTROL;
use crate::error::{Error, Result};
use crate::manifest::labels;
use crate::router::admission::Admission;
use crate::router::model::Problem;

/// The name of the routers' Service, Deployment and accounts.
pub const ROUTER: &str = "dev-router";

/// How often a write that others overtook is tried again.
const TRIES: usize = 30;

/// A base as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Its namespace.
    pub name: String,
    /// All Services of the namespace.
    pub services: Vec<Value>,
    /// Whom it admits; `None` where it has no such list.
    pub admission: Option<Admission>,
    /// Entries of the list that do not count.
    pub problems: Vec<Problem>,
}

impl Base {
    /// Whether there are routers.
    pub fn has_router(&self) -> bool {
        self.services
            .iter()
            .any(|service| service["metadata"]["name"] == ROUTER)
    }

    /// Whether there is somebody who writes for it, and gives Secrets.
    pub fn has_control(&self) -> bool {
        self.services
            .iter()
            .any(|service| service["metadata"]["name"] == CONTROL)
    }

    /// The environment that this namespace is by the base's list.
    pub fn env_of(&self, namespace: &str) -> Option<&str> {
        self.admission.as_ref()?.env_of(namespace)
    }

    /// Whether requests could be routed to environments at all.
    pub fn routes(&self) -> bool {
        self.has_router() || self.admission.is_some()
    }
}

/// Whether a namespace is one of a base's environments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is in the list now, and was not before.
    Added,
    /// It was there already.
    Already,
}

/// The right to change the list of a base.
pub fn admission_right(base: &str) -> Right {
    Right::core("patch", "configmaps", base).named(labels::ADMISSION)
}

fn config_maps() -> Resource {
    core("ConfigMap", "configmaps")
}

/// The kinds that a copy may need of a base.
fn of_core(kind: &str) -> Resource {
    let plural = match kind {
        "Secret" => "secrets",
        "PersistentVolumeClaim" => "persistentvolumeclaims",
        "ServiceAccount" => "serviceaccounts",
        _ => "configmaps",
    };
    core(kind, plural)
}

fn core(kind: &str, plural: &str) -> Resource {
    Resource {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced: true,
    }
}

impl Cluster {
    /// Reads a base. A namespace that is not there has no Services.
    pub async fn read_base(&self, name: &str) -> Result<Base> {
        let services = async {
            let collection = core("Service", "services").collection(Some(name));
            let listed = self.try_list(&collection, false).await;
            listed.map_err(|failure| {
                self.explain_failure(&format!("list the Services of the base {name}"), &failure)
            })
        };
        let (services, admission) =
            futures::future::try_join(services, self.read_admission(name)).await?;
        let (admission, problems) = match admission {
            Some(found) => {
                let (admission, problems) = Admission::read(name, &data(&found));
                (Some(admission), problems)
            }
            None => (None, Vec::new()),
        };
        Ok(Base {
            name: name.to_owned(),
            services: services.items,
            admission,
            problems,
        })
    }

    /// Whom a base admits; `None` where it has no list.
    async fn read_admission(&self, base: &str) -> Result<Option<Value>> {
        let path = config_maps().object(Some(base), labels::ADMISSION);
        let attempt = format!(
            "read which environments the base {base} admits (ConfigMap {})",
            labels::ADMISSION
        );
        self.get_opt(&path, &attempt).await
    }

    /// The names of the aliases in an environment.
    pub async fn alias_names(&self, namespace: &str) -> Result<BTreeSet<String>> {
        let path = format!(
            "{}?labelSelector={}",
            core("Service", "services").collection(Some(namespace)),
            encode(&format!("{}=true", labels::ALIAS))
        );
        let attempt = format!("list the Services of {namespace}");
        let list: Option<Value> = self.get_opt(&path, &attempt).await?;
        let items = list.as_ref().and_then(|list| list["items"].as_array());
        let names = items
            .into_iter()
            .flatten()
            .filter_map(|item| item["metadata"]["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Reads an object of the core group; `None` where there is none.
    pub async fn read_core(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        attempt: &str,
    ) -> Result<Option<Value>> {
        let path = of_core(kind).object(Some(namespace), name);
        let found: Option<Value> = self.get_opt(&path, attempt).await?;
        Ok(found.map(|mut object| {
            // Answers do not always repeat them.
            object["apiVersion"] = Value::from("v1");
            object["kind"] = Value::from(kind);
            object
        }))
    }

    /// Adds an environment to the list of a base. Entries of others stay as they are, those that do not count too.
    pub async fn admit_environment(
        &self,
        base: &str,
        namespace: &str,
        env: &str,
    ) -> Result<Admitted> {
        let wanted = json!({"namespace": namespace, "env": env});
        let changed = self
            .change_environments(base, &|entries| {
                let there = entries.iter().any(|entry| entry["namespace"] == namespace);
                (!there).then(|| entries.iter().cloned().chain([wanted.clone()]).collect())
            })
            .await?;
        Ok(if changed {
            Admitted::Added
        } else {
            Admitted::Already
        })
    }

    /// Takes an environment out of the list of a base; whether it was there.
    pub async fn dismiss_environment(&self, base: &str, namespace: &str) -> Result<bool> {
        self.change_environments(base, &|entries| {
            let left: Vec<Value> = entries
                .iter()
                .filter(|entry| entry["namespace"] != namespace)
                .cloned()
                .collect();
            (left.len() < entries.len()).then_some(left)
        })
        .await
    }

    /// Changes the list with the version that was read; `change` gives the new one, or `None` to leave it.
    async fn change_environments(
        &self,
        base: &str,
        change: &(dyn Fn(&[Value]) -> Option<Vec<Value>> + Sync),
    ) -> Result<bool> {
        let attempt = format!(
            "change which environments the base {base} admits (ConfigMap {})",
            labels::ADMISSION
        );
        for _ in 0..TRIES {
            let Some(found) = self.read_admission(base).await? else {
                return Err(Error::failed(format!("cannot {attempt}: there is none"))
                    .reason("NoRouter")
                    .hint("`dev router install` makes it"));
            };
            let entries: Vec<Value> = match found["data"]["environments"].as_str() {
                None => Vec::new(),
                Some(text) => serde_json::from_str(text).map_err(|cause| {
                    Error::failed(format!(
                        "cannot {attempt}: its `environments` is no JSON list"
                    ))
                    .reason("BrokenAdmission")
                    .caused_by(&cause)
                })?,
            };
            let Some(next) = change(&entries) else {
                return Ok(false);
            };
            let body = json!({
                "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
                "data": {"environments": Value::from(next).to_string()},
            });
            let path = format!(
                "{}?fieldManager={}",
                config_maps().object(Some(base), labels::ADMISSION),
                labels::MANAGER
            );
            let request = Request::patch(path)
                .header(http::header::CONTENT_TYPE, "application/merge-patch+json")
                .body(body.to_string().into_bytes());
            match self.try_send::<Value>(request).await {
                Ok(_) => return Ok(true),
                Err(failure) if failure.is_conflict() => {}
                Err(failure) => return Err(self.explain_failure(&attempt, &failure)),
            }
        }
        Err(
            Error::failed(format!("cannot {attempt}: others change it all the time"))
                .reason("Conflict"),
        )
    }
}

fn data(config_map: &Value) -> BTreeMap<String, String> {
    config_map["data"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

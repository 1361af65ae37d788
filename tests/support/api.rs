//! The library's own functions against the cluster under test: plan, apply, remove.

use std::collections::BTreeMap;
use std::time::Duration;

use dev::cluster::apply::{Applied, ApplyOptions, Observer, Silent, apply};
use dev::cluster::observe::observe;
use dev::cluster::remove::{DownOptions, Removed, down};
use dev::cluster::{Cluster, ConnectOptions};
use dev::error::Result;
use dev::manifest::labels::Stamp;
use dev::manifest::{Manifest, Origin};
use dev::plan::{Desired, Plan, PlanOptions, plan};
use serde_json::Value;

/// One environment.
#[derive(Clone)]
pub struct Env {
    /// The cluster under test.
    pub cluster: Cluster,
    /// Whose environment.
    pub stamp: Stamp,
    /// Its namespace.
    pub namespace: String,
}

impl Env {
    /// An environment of this name, on the cluster of this kubeconfig; its namespace has the same name.
    pub async fn new(kubeconfig: &std::path::Path, name: &str) -> Self {
        let cluster = Cluster::connect(&ConnectOptions {
            context: None,
            kubeconfig: Some(kubeconfig.to_owned()),
            ..ConnectOptions::default()
        })
        .await
        .unwrap();
        Self {
            cluster,
            stamp: Stamp {
                app: "test".into(),
                env: name.into(),
                base: None,
                version: name.into(),
            },
            namespace: name.into(),
        }
    }

    /// These objects of one service, desired.
    pub fn desired(&self, objects: &[Value]) -> Desired {
        let manifest = |value: &Value| Manifest {
            value: value.clone(),
            origin: Origin {
                service: "it".into(),
                place: None,
            },
        };
        Desired {
            stamp: self.stamp.clone(),
            namespace: self.namespace.clone(),
            objects: objects.iter().map(manifest).collect(),
            needs: BTreeMap::from([("it".to_owned(), Vec::new())]),
        }
    }

    /// What would be done.
    pub async fn plan(&self, objects: &[Value], options: &PlanOptions) -> Result<Plan> {
        let desired = self.desired(objects);
        plan(&desired, &observe(&self.cluster, &desired).await?, options)
    }

    /// Makes it so.
    pub async fn up(&self, objects: &[Value]) -> Result<Applied> {
        self.up_with(objects, &PlanOptions::default(), &Silent)
            .await
    }

    /// Makes it so, with these permissions, telling this observer.
    pub async fn up_with(
        &self,
        objects: &[Value],
        options: &PlanOptions,
        observer: &dyn Observer,
    ) -> Result<Applied> {
        let plan = self.plan(objects, options).await?;
        let apply_options = ApplyOptions {
            owner: None,
            timeout: Duration::from_secs(60),
        };
        apply(&self.cluster, &plan, &apply_options, observer).await
    }

    /// Removes it.
    pub async fn down(&self, timeout: Duration, tell: &(dyn Fn(&str) + Sync)) -> Result<Removed> {
        let options = DownOptions {
            keep_namespace: false,
            timeout,
        };
        down(&self.cluster, &self.stamp, &self.namespace, &options, tell).await
    }
}

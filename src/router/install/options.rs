//! What a person chose about the routers. It is kept on their Deployment, so that an upgrade need not be told again.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::router::collector::Collector;
use crate::router::model::Edge;

/// Annotation of the Deployment of the routers: its [`Options`] as JSON.
pub const ANNOTATION: &str = "dev/options";

/// What a person chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    /// How many routers.
    pub replicas: u32,
    /// How long established connections may go on when a router goes, in seconds.
    pub grace: u64,
    /// The entry for requests from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeOptions>,
    /// Where requests with an environment are reported to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collector: Option<Collector>,
    /// The base's Secrets that may be copied into environments.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub secrets: BTreeSet<String>,
}

/// The entry for requests from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeOptions {
    /// Where requests go.
    #[serde(flatten)]
    pub edge: Edge,
    /// How it is reached.
    pub exposure: Exposure,
}

/// How the entry is reached from outside the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum Exposure {
    /// Not at all: an Ingress or a Gateway of yours leads to it
    #[default]
    #[value(name = "ClusterIP")]
    ClusterIP,
    /// By a port of every node
    #[value(name = "NodePort")]
    NodePort,
    /// By an address of its own
    #[value(name = "LoadBalancer")]
    LoadBalancer,
}

impl Exposure {
    /// The `spec.type` of the Service that it takes; none for what `dev-router` itself does.
    pub fn service_type(self) -> Option<&'static str> {
        match self {
            Self::ClusterIP => None,
            Self::NodePort => Some("NodePort"),
            Self::LoadBalancer => Some("LoadBalancer"),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            replicas: 2,
            grace: 900,
            edge: None,
            collector: None,
            secrets: BTreeSet::new(),
        }
    }
}

impl Options {
    /// What is kept on the Deployment of an earlier installation. One that cannot be read counts as none.
    pub fn of_deployment(deployment: &Value) -> Option<Self> {
        let text = deployment["metadata"]["annotations"][ANNOTATION].as_str()?;
        serde_json::from_str(text).ok()
    }

    /// How long established connections may go on.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::collector::Spans;
    use serde_json::json;

    #[test]
    fn what_was_chosen_is_remembered() {
        let options = Options {
            replicas: 3,
            edge: Some(EdgeOptions {
                edge: Edge {
                    service: "web".into(),
                    port: 80,
                    domain: "shop.localhost".into(),
                },
                exposure: Exposure::NodePort,
            }),
            collector: Some(Collector::parse(Spans::Zipkin, "zipkin").unwrap()),
            ..Options::default()
        };
        let text = serde_json::to_string(&options).unwrap();
        let deployment = json!({"metadata": {"annotations": {(ANNOTATION): text}}});
        assert_eq!(Options::of_deployment(&deployment), Some(options));
        // Options of an older version have their defaults.
        let old = json!({"metadata": {"annotations": {(ANNOTATION): "{\"grace\": 60}"}}});
        let read = Options::of_deployment(&old).unwrap();
        assert_eq!((read.grace, read.replicas), (60, 2));
        assert_eq!(Options::of_deployment(&json!({"metadata": {}})), None);
    }
}

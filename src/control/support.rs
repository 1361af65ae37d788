//! PURE: which Services can be routed, in one table. `docs/support.md` is written from it.
//!
//! Refused is everything that would be worse off behind the routers than without them; a limit is something that people who change
//! the Service or look at it should know.

mod docs;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service, ServiceSpec};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Serialize;

use crate::control::network::Network;
use crate::control::routing::Routing;
use crate::control::shadow::Shadow;

pub use docs::page;
pub use rows::TABLE;

/// The label by which the routers' pods are known; its value is `dev-router`.
pub const ROUTER_LABEL: &str = "app.kubernetes.io/name";

/// What is said about a row's Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Routed, with nothing to be known.
    Supported,
    /// Routed, with a limit.
    Limited,
    /// Not routed.
    Refused,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// A stable CamelCase word.
    pub id: &'static str,
    /// Which Services.
    pub what: &'static str,
    /// Whether they are routed.
    pub verdict: Verdict,
    /// The limit or the reason, and what can be done. Empty for what is simply supported.
    pub why: &'static str,
    /// Whether a Service is one of them, with what in particular it is.
    check: fn(&Subject<'_>) -> Option<String>,
}

/// A row that applies to a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The row's word.
    pub id: &'static str,
    /// One sentence without a full stop.
    pub text: String,
}

/// What the table says about a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Why it is not routed. Empty: it can be.
    pub refused: Vec<Finding>,
    /// What is to be known.
    pub limits: Vec<Finding>,
}

impl Judgement {
    /// The reasons in one sentence; `None`: it can be routed.
    pub fn refusal(&self) -> Option<String> {
        let texts: Vec<&str> = self
            .refused
            .iter()
            .map(|found| found.text.as_str())
            .collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

/// What is around the Services of a base.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The base's namespace.
    pub base: String,
    /// The labels of that namespace, as far as they may be read.
    pub namespace_labels: BTreeMap<String, String>,
    /// Its annotations.
    pub namespace_annotations: BTreeMap<String, String>,
    /// Its pods, the routers' left out.
    pub pods: Vec<Arc<Pod>>,
    /// Its NetworkPolicies.
    pub policies: Vec<Arc<NetworkPolicy>>,
    /// The ServiceMonitors that may look at it.
    pub monitors: Vec<Monitor>,
    /// The labels of the routers' pods.
    pub router_labels: BTreeMap<String, String>,
}

/// A ServiceMonitor (`monitoring.coreos.com/v1`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Monitor {
    /// Its namespace and name.
    pub name: String,
    /// Whether it looks at Services of the base's namespace.
    pub sees_base: bool,
    /// Which Services.
    pub selector: LabelSelector,
}

/// A Service as its owner wrote it, also while it is routed.
pub(in crate::control) struct Subject<'a> {
    service: &'a Service,
    routing: &'a Routing,
    pods: Vec<&'a Pod>,
    around: &'a Surroundings,
}

/// Judges a Service. `routing`: its selector and ports as their owner wrote them.
pub fn judge(service: &Service, routing: &Routing, around: &Surroundings) -> Judgement {
    let selected = |pod: &&Arc<Pod>| {
        let labels = pod.metadata.labels.as_ref();
        !routing.selector.is_empty()
            && routing
                .selector
                .iter()
                .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    };
    let subject = Subject {
        service,
        routing,
        pods: around
            .pods
            .iter()
            .filter(selected)
            .map(|pod| &**pod)
            .collect(),
        around,
    };
    let mut judgement = Judgement::default();
    for row in TABLE {
        let list = match row.verdict {
            Verdict::Supported => continue,
            Verdict::Limited => &mut judgement.limits,
            Verdict::Refused => &mut judgement.refused,
        };
        if let Some(text) = (row.check)(&subject) {
            list.push(Finding { id: row.id, text });
        }
    }
    judgement
}

/// Judges a Service as it is now, which may be routed. `shadow`: its shadow, where it has one.
pub fn judge_live(service: &Service, shadow: Option<&Service>, around: &Surroundings) -> Judgement {
    let live = Routing::of(service);
    let shadow = shadow.and_then(|shadow| Shadow::read(shadow).ok());
    let owners = match shadow {
        Some(shadow) => live.owners(&shadow.original, &shadow.listeners),
        None => live,
    };
    judge(service, &owners, around)
}

impl Subject<'_> {
    fn spec(&self) -> &ServiceSpec {
        static EMPTY: std::sync::LazyLock<ServiceSpec> =
            std::sync::LazyLock::new(ServiceSpec::default);
        self.service.spec.as_ref().unwrap_or(&EMPTY)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        let annotations = self.service.metadata.annotations.as_ref()?;
        annotations.get(name).map(String::as_str)
    }

    fn name(&self) -> &str {
        self.service.metadata.name.as_deref().unwrap_or_default()
    }

    fn network(&self) -> Network<'_> {
        Network {
            base: &self.around.base,
            namespace: &self.around.namespace_labels,
            policies: &self.around.policies,
            pods: &self.around.pods,
            router: &self.around.router_labels,
        }
    }
}

#[cfg(test)]
mod tests;

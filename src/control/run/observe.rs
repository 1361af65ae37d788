//! From the mirrors to what is decided upon.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::Value;

use super::acks::{Acks, Asked};
use super::around::Known;
use super::own::Own;
use super::status::ServiceReport;
use crate::cluster::Cluster;
use crate::cluster::mirror::{Mirror, Mirrors, Select};
use crate::control::ROUTER;
use crate::control::decide::{Act, Backends, Observed, Router, State, Step, Template};
use crate::control::secrets::{Wishes, wishes};
use crate::control::shadow;
use crate::control::support::{Judgement, ROUTER_LABEL, Surroundings, judge_live};
use crate::manifest::labels;
use crate::router::admission::Admission;

/// Annotation of the admission list: `true` takes everything away.
const UNINSTALL: &str = "dev/uninstall";

/// The sets of objects that are watched.
pub(super) struct Watched {
    base: String,
    mirrors: Mirrors,
    services: Mirror<Service>,
    slices: Mirror<EndpointSlice>,
    overrides: Mirror<Service>,
    pods: Mirror<Pod>,
    policies: Mirror<NetworkPolicy>,
    admission: Mirror<ConfigMap>,
    deployment: Mirror<Deployment>,
    own: Own,
}

/// What is decided upon, and what is told about it.
pub(super) struct View {
    pub(super) observed: Observed,
    pub(super) routers: Vec<Asked>,
    pub(super) problems: Vec<String>,
    judgements: BTreeMap<String, Judgement>,
    overridden_by: BTreeMap<String, Vec<String>>,
}

impl Watched {
    pub(super) fn begin(cluster: &Cluster, base: &str) -> Self {
        let mut mirrors = Mirrors::new(cluster.client.clone());
        let all = || Select::all().without_managed_fields();
        Self {
            base: base.to_owned(),
            services: mirrors.namespaced(base, Select::all()),
            slices: mirrors.namespaced(base, all()),
            overrides: mirrors.everywhere(
                Select::labels(format!("{}={base}", labels::BASE)).without_managed_fields(),
            ),
            pods: mirrors.namespaced(base, all()),
            policies: mirrors.namespaced(base, all()),
            admission: mirrors.namespaced(base, Select::name(labels::ADMISSION)),
            deployment: mirrors.namespaced(base, Select::name(ROUTER)),
            own: Own::default(),
            mirrors,
        }
    }

    pub(super) fn is_synced(&self) -> bool {
        self.mirrors.is_synced()
    }

    pub(super) fn troubles(&self) -> Vec<String> {
        self.mirrors.troubles()
    }

    pub(super) async fn changed(&mut self) {
        self.mirrors.changed().await;
    }

    /// Takes in what a step has made of an object.
    pub(super) fn wrote(&mut self, act: &Act, object: Value) {
        let name = match &act.step {
            Step::CreateShadow(_) | Step::UpdateShadow(_) | Step::DeleteShadow => {
                shadow::name(&act.service)
            }
            Step::Patch(..) => act.service.clone(),
            Step::LabelRouters(_) => return,
        };
        let after = match act.step {
            Step::DeleteShadow => None,
            _ => match serde_json::from_value(object) {
                Ok(after) => Some(after),
                // The watch will tell.
                Err(_) => return,
            },
        };
        let before = self.all_services().remove(&name);
        self.own.wrote(&name, before.as_deref(), after);
    }

    fn all_services(&mut self) -> BTreeMap<String, Arc<Service>> {
        let seen = self.services.objects();
        let seen = seen
            .iter()
            .map(|((_, name), service)| (name.clone(), Arc::clone(service)));
        self.own.on_top_of(seen.collect())
    }

    pub(super) fn observe(&mut self, around: &Known, acks: &Acks) -> View {
        let mut services = BTreeMap::new();
        let mut shadows = BTreeMap::new();
        for (name, service) in self.all_services() {
            match shadow::of(&service).map(str::to_owned) {
                Some(of) if shadow::name(&of) == name => shadows.insert(of, service),
                // Not ours, whatever it says.
                Some(_) | None => services.insert(name, service),
            };
        }
        let admission = self.admission.objects();
        let admission = admission.values().next();
        let admitted = admission.is_some_and(|map| !is_leaving(map));
        let empty = BTreeMap::new();
        let data = admission
            .and_then(|map| map.data.as_ref())
            .unwrap_or(&empty);
        let (list, problems) = Admission::read(&self.base, data);
        let overridden_by = self.overridden_by(&list);
        let template = self.template();
        let around = self.surroundings(around, template.as_ref());
        let judgements = judgements(&services, &shadows, &overridden_by, &around);
        let refusals = judgements
            .iter()
            .filter_map(|(name, judgement)| Some((name.clone(), judgement.refusal()?)))
            .collect();
        let (routers, asked) = self.routers(acks);
        View {
            observed: Observed {
                services,
                shadows,
                backends: backends(self.slices.objects().values()),
                wanted: overridden_by.keys().cloned().collect(),
                admitted,
                refusals,
                routers,
                template,
                reserved: BTreeSet::new(),
            },
            routers: asked,
            problems: problems.iter().map(ToString::to_string).collect(),
            judgements,
            overridden_by,
        }
    }

    /// The Secrets that environments wish for, and whether the list of what is shared was read without doubt: what it does not
    /// have any more is taken away then.
    pub(super) fn wishes(&self) -> (Wishes, bool) {
        let admission = self.admission.objects();
        let Some(map) = admission.values().next() else {
            return (Wishes::default(), false);
        };
        let empty = BTreeMap::new();
        let (list, problems) = Admission::read(&self.base, map.data.as_ref().unwrap_or(&empty));
        let services = self.overrides.objects();
        let wishes = wishes(&list, services.values().map(|service| &**service));
        // Copies outlive the routers: the environments are still there.
        (wishes, problems.is_empty() && !is_leaving(map))
    }

    /// The admitted namespaces that have a Service of their own, by its name. An alias or another name in the DNS is none.
    fn overridden_by(&self, list: &Admission) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for ((namespace, name), service) in self.overrides.objects().iter() {
            let type_ = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
            if list.env_of(namespace).is_some() && type_ != Some("ExternalName") {
                found
                    .entry(name.clone())
                    .or_default()
                    .push(namespace.clone());
            }
        }
        found
    }

    fn template(&self) -> Option<Template> {
        let deployments = self.deployment.objects();
        let spec = deployments.values().next()?.spec.as_ref()?;
        let metadata = spec.template.metadata.as_ref();
        Some(Template {
            labels: metadata
                .and_then(|metadata| metadata.labels.clone())
                .unwrap_or_default(),
            replicas: usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or_default(),
        })
    }

    fn surroundings(&self, known: &Known, template: Option<&Template>) -> Surroundings {
        let pods = self.pods.objects();
        let others = pods.values().filter(|pod| !is_router(pod)).cloned();
        Surroundings {
            base: self.base.clone(),
            namespace_labels: known.labels.clone(),
            namespace_annotations: known.annotations.clone(),
            pods: others.collect(),
            policies: self.policies.objects().values().cloned().collect(),
            monitors: known.monitors.clone(),
            router_labels: template
                .map(|template| template.labels.clone())
                .unwrap_or_default(),
        }
    }

    fn routers(&self, acks: &Acks) -> (Vec<Router>, Vec<Asked>) {
        let pods = self.pods.objects();
        let mut routers = Vec::new();
        let mut asked = Vec::new();
        for pod in pods.values().filter(|pod| is_router(pod)) {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let ready = is_ready(pod);
            let ip = pod
                .status
                .as_ref()
                .and_then(|status| status.pod_ip.as_ref()?.parse().ok());
            routers.push(Router {
                pod: pod.metadata.name.clone().unwrap_or_default(),
                labels: pod.metadata.labels.clone().unwrap_or_default(),
                ready,
                acked: acks.of(&uid),
            });
            if let Some(ip) = ip {
                asked.push(Asked { uid, ip, ready });
            }
        }
        (routers, asked)
    }
}

impl View {
    /// The shadow of a Service, as it was observed.
    pub(super) fn shadow(&self, service: &str) -> Option<&Service> {
        self.observed.shadows.get(service).map(|shadow| &**shadow)
    }

    /// What is told about Services.
    pub(super) fn services(
        &self,
        states: &BTreeMap<String, State>,
    ) -> BTreeMap<String, ServiceReport> {
        let report = |(name, state): (&String, &State)| {
            let judgement = self.judgements.get(name).cloned().unwrap_or_default();
            let report = ServiceReport {
                state: state.clone(),
                overridden_by: self.overridden_by.get(name).cloned().unwrap_or_default(),
                limits: judgement.limits,
                refused: judgement.refused,
            };
            (name.clone(), report)
        };
        states.iter().map(report).collect()
    }
}

/// Judges the Services that matter, as their owners wrote them.
fn judgements(
    services: &BTreeMap<String, Arc<Service>>,
    shadows: &BTreeMap<String, Arc<Service>>,
    overridden_by: &BTreeMap<String, Vec<String>>,
    around: &Surroundings,
) -> BTreeMap<String, Judgement> {
    let names: BTreeSet<&String> = overridden_by.keys().chain(shadows.keys()).collect();
    let judged = names.into_iter().filter_map(|name| {
        let service = services.get(name)?;
        let shadow = shadows.get(name).map(|shadow| &**shadow);
        Some((name.clone(), judge_live(service, shadow, around)))
    });
    judged.collect()
}

/// Addresses by Service, from the slices that Kubernetes keeps.
fn backends<'a>(
    slices: impl Iterator<Item = &'a Arc<EndpointSlice>>,
) -> BTreeMap<String, Backends> {
    let mut found: BTreeMap<String, Backends> = BTreeMap::new();
    for slice in slices {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|labels| labels.get("kubernetes.io/service-name"))
        else {
            continue;
        };
        let backends = found.entry(service.clone()).or_default();
        for endpoint in &slice.endpoints {
            let addresses = endpoint
                .addresses
                .iter()
                .filter_map(|address| address.parse::<IpAddr>().ok());
            let addresses: Vec<IpAddr> = addresses.collect();
            // What is not said counts as ready, by the API's own rule.
            let ready = endpoint
                .conditions
                .as_ref()
                .and_then(|conditions| conditions.ready)
                .unwrap_or(true);
            if ready {
                backends.ready.extend(&addresses);
            }
            backends.all.extend(addresses);
        }
    }
    found
}

fn is_router(pod: &Arc<Pod>) -> bool {
    let labels = pod.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(ROUTER_LABEL))
        .map(String::as_str)
        == Some(ROUTER)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// Whether everything is being taken away.
fn is_leaving(admission: &ConfigMap) -> bool {
    let annotations = admission.metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get(UNINSTALL))
        .map(String::as_str)
        == Some("true")
}

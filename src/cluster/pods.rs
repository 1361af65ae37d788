//! Which pods are a service's, and which of them to talk to.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, Service};
use kube::api::{ListParams, ObjectMeta};
use kube::{Api, Client};

use crate::cluster::errors;
use crate::error::{Error, Result, did_you_mean};
use crate::manifest::labels;

/// The pods of a service in a namespace, as a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSet {
    /// The service's name, as the person gave it.
    pub service: String,
    /// The namespace.
    pub namespace: String,
    /// The label selector.
    pub selector: String,
}

impl PodSet {
    /// Finds the pods of a service: those that `dev` labelled with it, of [`nearest`] environment; else those that the
    /// Service of this name selects (a base that something else made).
    pub async fn find(client: &Client, namespace: &str, service: &str, env: &str) -> Result<Self> {
        let labelled = format!("{}={service}", labels::SERVICE);
        let set = |selector: String| Self {
            service: service.to_owned(),
            namespace: namespace.to_owned(),
            selector,
        };
        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        let found = pods
            .list_metadata(&ListParams::default().labels(&labelled))
            .await;
        let found = found.map_err(|error| refused("list pods", namespace, &error))?;
        if !found.items.is_empty() {
            let envs = found.items.iter().map(|pod| env_of(&pod.metadata));
            return Ok(set(match nearest(envs, env) {
                Some(env) => format!("{labelled},{}={env}", labels::ENV),
                None => labelled,
            }));
        }
        let services = Api::<Service>::namespaced(client.clone(), namespace);
        let all = services.list(&ListParams::default()).await;
        let all = all
            .map_err(|error| refused("list services", namespace, &error))?
            .items;
        match service_of(&all, service, env) {
            Some(object) => match selector_of(object) {
                Some(selector) => Ok(set(selector)),
                None if has_label(object, service) => Ok(set(labelled)),
                None => Err(Error::failed(format!(
                    "the Service {service} in namespace {namespace} selects no pods"
                ))
                .hint("it is an alias, or its endpoints are kept by something else")),
            },
            None => Err(unknown(service, namespace, &all)),
        }
    }

    /// The pods as they are now, those that are being removed included.
    pub async fn list(&self, client: &Client) -> Result<Vec<Pod>> {
        let pods = Api::<Pod>::namespaced(client.clone(), &self.namespace);
        let found = pods
            .list(&ListParams::default().labels(&self.selector))
            .await;
        let found = found.map_err(|error| refused("list pods", &self.namespace, &error))?;
        Ok(found.items)
    }

    /// The error of a service that has no pods.
    pub fn no_pods(&self) -> Error {
        Error::failed(format!(
            "{} has no pods in namespace {}",
            self.service, self.namespace
        ))
        .reason("NoPods")
        .hint("`dev status` says why; `dev up` makes them")
    }
}

/// Reads the Service object of a service.
///
/// # Errors
/// There is none; the nearest name is told.
pub async fn service_object(
    client: &Client,
    namespace: &str,
    service: &str,
    env: &str,
) -> Result<Service> {
    let services = Api::<Service>::namespaced(client.clone(), namespace);
    let all = services.list(&ListParams::default()).await;
    let all = all
        .map_err(|error| refused("list services", namespace, &error))?
        .items;
    match service_of(&all, service, env) {
        Some(object) => Ok(object.clone()),
        None => Err(unknown(service, namespace, &all)),
    }
}

/// Which environment's objects of a namespace are meant: `env`'s own; else those of the base; else whosever are there. Several
/// versions of a service may live in one namespace.
pub fn nearest<'a>(envs: impl Iterator<Item = Option<&'a str>>, env: &str) -> Option<&'a str> {
    let rank = |found: &&str| match *found {
        found if found == env => 0,
        labels::BASE_VERSION => 1,
        _ => 2,
    };
    envs.flatten().min_by_key(rank)
}

/// The environment that an object is labelled with.
pub fn env_of(metadata: &ObjectMeta) -> Option<&str> {
    let labels = metadata.labels.as_ref()?;
    labels.get(labels::ENV).map(String::as_str)
}

/// The Service objects that `dev` labelled with a service, of [`nearest`] environment.
pub fn services_of<'a>(all: &'a [Service], service: &str, env: &str) -> Vec<&'a Service> {
    let labelled = || all.iter().filter(|one| has_label(one, service));
    let meant = nearest(labelled().map(|one| env_of(&one.metadata)), env);
    labelled()
        .filter(|one| env_of(&one.metadata) == meant)
        .collect()
}

/// The Service object of a service: the one that `dev` labelled and that has its name, else any labelled one that selects
/// pods, else the one with that name.
pub fn service_of<'a>(all: &'a [Service], service: &str, env: &str) -> Option<&'a Service> {
    let named = |one: &&Service| one.metadata.name.as_deref() == Some(service);
    let own = services_of(all, service, env);
    let mine = || own.iter().copied();
    mine()
        .find(named)
        .or_else(|| mine().find(|one| selector_of(one).is_some()))
        .or_else(|| all.iter().find(named))
}

fn has_label(object: &Service, service: &str) -> bool {
    let labels = object.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(labels::SERVICE))
        .map(String::as_str)
        == Some(service)
}

/// A Service's selector as a label selector.
pub fn selector_of(object: &Service) -> Option<String> {
    let selector = object.spec.as_ref()?.selector.as_ref()?;
    let pairs: Vec<_> = selector
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

/// The pod to talk to: a ready one before a running one, the newest first. Pods that ended or are being removed are none.
pub fn pick(pods: &[Pod]) -> Option<&Pod> {
    pods.iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter(|pod| phase(pod) == "Running")
        .max_by_key(|pod| {
            let created = pod.metadata.creation_timestamp.as_ref();
            (is_ready(pod), created.map(|time| time.0))
        })
}

/// Whether the pod takes requests.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// `Running`, `Pending`, …; empty where it has no status yet.
pub fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// The pod's name.
pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// The statuses of all containers: init, main, ephemeral.
pub fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        let main = status.container_statuses.iter().flatten();
        let ephemeral = status.ephemeral_container_statuses.iter().flatten();
        init.chain(main).chain(ephemeral)
    })
}

/// The names of the pod's containers, the main ones first.
pub fn containers(pod: &Pod) -> Vec<&str> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let main = spec.containers.iter().map(|one| one.name.as_str());
    let init = spec.init_containers.iter().flatten();
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    main.chain(init.map(|one| one.name.as_str()))
        .chain(ephemeral.map(|one| one.name.as_str()))
        .collect()
}

/// The container that is meant where none is named: the annotation of kubectl, else the first.
pub fn default_container(pod: &Pod) -> Option<&str> {
    let annotations = pod.metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get("kubectl.kubernetes.io/default-container"))
        .map(String::as_str)
        .filter(|name| containers(pod).contains(name))
        .or_else(|| containers(pod).first().copied())
}

/// The error of a container that no pod of the service has.
pub fn no_container(service: &str, container: &str, names: &[&str]) -> Error {
    Error::usage(format!("{service} has no container {container}"))
        .reason("NoContainer")
        .maybe_hint(did_you_mean(container, names.iter().copied()))
        .hint(format!("its containers: {}", names.join(", ")))
}

fn unknown(service: &str, namespace: &str, all: &[Service]) -> Error {
    let names: Vec<_> = all
        .iter()
        .filter_map(|one| one.metadata.name.as_deref())
        .collect();
    let there = match names.as_slice() {
        [] => format!("namespace {namespace} has no services: `dev up` makes them"),
        names => format!("services there: {}", names.join(", ")),
    };
    Error::failed(format!("no service {service} in namespace {namespace}"))
        .reason("NoService")
        .maybe_hint(did_you_mean(service, names))
        .hint(there)
}

/// The error of a request that failed.
pub(super) fn refused(verb: &str, namespace: &str, error: &kube::Error) -> Error {
    let attempt = format!("{verb} in namespace {namespace}");
    let route = errors::Route {
        server: "the address of this context",
        proxy: None,
    };
    errors::explain(route, attempt, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_version_comes_before_the_base_and_that_before_others() {
        let there = |envs: &[&'static str]| nearest(envs.iter().copied().map(Some), "ann");
        assert_eq!(there(&["base", "bob", "ann"]), Some("ann"));
        assert_eq!(there(&["bob", "base"]), Some("base"));
        assert_eq!(there(&["bob"]), Some("bob"));
        assert_eq!(nearest([None].into_iter(), "ann"), None);
    }
}

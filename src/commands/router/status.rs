//! `dev router status`

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::base::Base;
use crate::cluster::routers::{self, Look};
use crate::commands::Context;
use crate::error::Result;
use crate::manifest::labels;
use crate::router::admission::Admitted;
use crate::router::install::{CONTROL, EDGE, ROUTER};
use crate::ui::table;

/// Show routers, environments and how it is with each service
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev router status --base bookshop
  dev router status -o json | jq '.services[] | select(.state != \"base\")'

It takes the rights of the Role dev-router-status in the base; what may not be read is left out,
and said.")]
pub struct Status {}

/// All of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    base: String,
    installed: bool,
    routers: Vec<RouterPod>,
    /// How many there should be.
    wanted: u64,
    control: Control,
    services: Vec<ServiceState>,
    environments: Vec<Admitted>,
    /// Where requests from outside come in.
    #[serde(skip_serializing_if = "Option::is_none")]
    edge: Option<crate::router::model::Edge>,
    /// What is wrong, or could not be seen.
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RouterPod {
    name: String,
    node: String,
    ready: bool,
    going: bool,
    image: String,
    /// Whether it has read the cluster; `None` where it did not say.
    synced: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Control {
    ready: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
    /// When it last renewed its Lease (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    renewed: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceState {
    name: String,
    /// `base`, `routed`, `stood-down`, or what `control` calls it.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What is to be known about it while it is routed.
    limits: Vec<String>,
    /// Environment → ready endpoints, by the router that knows the fewest.
    environments: BTreeMap<String, usize>,
    /// Routers whose Envoy has acknowledged it.
    acknowledged: usize,
}

impl Status {
    /// Shows it.
    pub async fn run(self, context: &Context, base: &str) -> Result<()> {
        let cluster = context.connect().await?;
        let (read, look) =
            tokio::try_join!(cluster.read_base(base), routers::look(&cluster, base))?;
        let shown = shown(&read, &look);
        let ui = &context.ui;
        ui.data(&shown, text)?;
        if ui.format() == crate::ui::Format::Table {
            for problem in &shown.problems {
                ui.note(problem);
            }
        }
        if !shown.installed {
            ui.note(format!(
                "there are no routers in {base}: dev router install --base {base}"
            ));
        }
        Ok(())
    }
}

/// PURE: what was read, put together.
fn shown(read: &Base, look: &Look) -> Shown {
    let admission = read.admission.clone().unwrap_or_default();
    let mut problems: Vec<String> = read.problems.iter().map(ToString::to_string).collect();
    problems.extend(look.unseen.iter().map(ToString::to_string));
    problems.extend(look.routers.iter().flat_map(|routers| routers.errors()));
    let says = look.says.as_ref();
    let troubles = says.and_then(|says| says["troubles"].as_array());
    let troubles = troubles.into_iter().flatten().filter_map(Value::as_str);
    problems.extend(troubles.map(|trouble| format!("control: {trouble}")));
    let number = |object: &Option<Value>, path: &str| {
        let value = object
            .as_ref()
            .and_then(|object| object.pointer(path)?.as_u64());
        value.unwrap_or(0)
    };
    let lease = |field: &str| {
        let value = look.lease.as_ref()?["spec"][field].as_str()?;
        Some(value.to_owned()).filter(|text| !text.is_empty())
    };
    Shown {
        base: read.name.clone(),
        installed: read.has_router() || look.router.is_some(),
        routers: look.pods.iter().map(|pod| router_pod(pod, look)).collect(),
        wanted: number(&look.router, "/spec/replicas"),
        control: Control {
            ready: number(&look.control, "/status/readyReplicas"),
            leader: lease("holderIdentity"),
            renewed: lease("renewTime"),
        },
        services: services(read, look),
        environments: admission.environments,
        edge: admission.edge,
        problems,
    }
}

fn router_pod(pod: &Value, look: &Look) -> RouterPod {
    let text = |path: &str| {
        let value = pod.pointer(path).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let name = text("/metadata/name");
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    let says = look.routers.iter().flat_map(|routers| &routers.pods);
    RouterPod {
        ready: conditions.into_iter().any(is_ready),
        going: pod["metadata"].get("deletionTimestamp").is_some(),
        node: text("/spec/nodeName"),
        image: text("/spec/containers/0/image"),
        synced: says
            .into_iter()
            .find(|one| one.pod == name)
            .map(|one| one.synced),
        name,
    }
}

fn services(read: &Base, look: &Look) -> Vec<ServiceState> {
    let name_of = |service: &Value| service["metadata"]["name"].as_str().map(str::to_owned);
    let shadow_of = |service: &Value| {
        let label = service["metadata"]["labels"][labels::SHADOW].as_str()?;
        Some((label.to_owned(), service.clone()))
    };
    let shadows: BTreeMap<String, Value> = read.services.iter().filter_map(shadow_of).collect();
    let own = |name: &str| [ROUTER, CONTROL, EDGE].contains(&name);
    let mut states = Vec::new();
    for service in &read.services {
        let Some(name) = name_of(service) else {
            continue;
        };
        if own(&name) || service["metadata"]["labels"].get(labels::SHADOW).is_some() {
            continue;
        }
        let said = said_of(&name, look);
        let (state, reason) = state(service, shadows.get(&name), said);
        let limits = said.and_then(|said| said["limits"].as_array());
        let limits = limits.into_iter().flatten();
        let limits = limits.filter_map(|limit| limit["text"].as_str().map(str::to_owned));
        let (environments, acknowledged) = acknowledged(&name, look);
        states.push(ServiceState {
            name,
            state,
            reason,
            limits: limits.collect(),
            environments,
            acknowledged,
        });
    }
    states.sort_by(|one, other| one.name.cmp(&other.name));
    states
}

/// What `control` says of a service.
fn said_of<'a>(name: &str, look: &'a Look) -> Option<&'a Value> {
    let says = look.says.as_ref()?;
    says.get("services")?.get(name)
}

/// How it is with a service: what `control` says, else what the objects show.
fn state(
    service: &Value,
    shadow: Option<&Value>,
    said: Option<&Value>,
) -> (String, Option<String>) {
    let told = said.and_then(|said| said["state"].as_str());
    let why = said
        .and_then(|said| said["reason"].as_str())
        .map(str::to_owned);
    if let Some(state) = told.filter(|state| *state != "unused") {
        return (state.to_owned(), why);
    }
    let annotation = |object: &Value, name: &str| {
        object["metadata"]["annotations"][name]
            .as_str()
            .map(str::to_owned)
    };
    if annotation(service, labels::RESTORE).is_some() {
        return ("routed".to_owned(), None);
    }
    match shadow {
        None => ("base".to_owned(), None),
        Some(shadow) => match annotation(shadow, labels::STAND_DOWN) {
            Some(text) => {
                let reason = serde_json::from_str::<Value>(&text).ok();
                let reason = reason.and_then(|it| it["reason"].as_str().map(str::to_owned));
                ("stood-down".to_owned(), reason.or(Some(text)))
            }
            None => ("changing".to_owned(), None),
        },
    }
}

/// The environments that every router leads to, and how many routers know the service.
fn acknowledged(name: &str, look: &Look) -> (BTreeMap<String, usize>, usize) {
    let pods = look.routers.iter().flat_map(|routers| &routers.pods);
    let known: Vec<_> = pods
        .into_iter()
        .filter_map(|pod| pod.acked.get(name))
        .collect();
    let mut least: BTreeMap<String, usize> = BTreeMap::new();
    let ports = || known.iter().flat_map(|acked| acked.ports.values());
    let envs: BTreeSet<&String> = ports().flat_map(|port| port.envs.keys()).collect();
    for env in envs {
        let counts = known.iter().map(|acked| {
            let of_ports = acked.ports.values().filter_map(|port| port.envs.get(env));
            of_ports.copied().max().unwrap_or(0)
        });
        least.insert(env.clone(), counts.min().unwrap_or(0));
    }
    (least, known.len())
}

/// The form for people.
fn text(shown: &Shown) -> String {
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let routers: Vec<Vec<String>> = shown
        .routers
        .iter()
        .map(|pod| {
            let ready = match pod.going {
                true => "going".to_owned(),
                false => yes(pod.ready),
            };
            vec![
                pod.name.clone(),
                pod.node.clone(),
                ready,
                pod.synced.map_or("?".to_owned(), yes),
                version(&pod.image),
            ]
        })
        .collect();
    let count = shown
        .routers
        .iter()
        .filter(|pod| pod.ready && !pod.going)
        .count();
    let services: Vec<Vec<String>> = shown
        .services
        .iter()
        .map(|service| {
            let envs = service.environments.iter().map(|(env, ready)| match ready {
                0 => format!("{env} (not ready)"),
                _ => env.clone(),
            });
            let acknowledged = match service.acknowledged {
                0 => String::new(),
                known => format!("{known}/{count}"),
            };
            vec![
                service.name.clone(),
                service.state.clone(),
                acknowledged,
                envs.collect::<Vec<_>>().join(", "),
                service.reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let environments: Vec<Vec<String>> = shown
        .environments
        .iter()
        .map(|entry| vec![entry.env.clone(), entry.namespace.clone()])
        .collect();
    let leader = match (&shown.control.leader, shown.control.ready) {
        (Some(leader), _) => format!("control: {} ready, led by {leader}", shown.control.ready),
        (None, ready) => format!("control: {ready} ready, no leader"),
    };
    let parts = [
        table(&["ROUTER", "NODE", "READY", "SYNCED", "VERSION"], &routers),
        if shown.installed {
            leader
        } else {
            String::new()
        },
        table(
            &["SERVICE", "STATE", "ROUTERS", "ENVIRONMENTS", ""],
            &services,
        ),
        table(&["ENVIRONMENT", "NAMESPACE"], &environments),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n\n")
}

/// The tag of a reference.
fn version(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    let tag = name.split_once(['@', ':']).map_or(name, |(_, tag)| tag);
    tag.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::router_status::RouterStatus;
    use serde_json::json;

    fn service(name: &str, annotations: Value, labels: Value) -> Value {
        json!({"metadata": {"name": name, "annotations": annotations, "labels": labels}})
    }

    fn look(says: Value) -> Look {
        let pod = |name: &str, ready: usize| json!({"pod": name, "synced": true, "acked": {"reviews": {"ports": {"9080": {"listener": 20001, "envs": {"ann": ready}}}}}});
        Look {
            routers: RouterStatus::read(json!([pod("a", 2), pod("b", 1)])),
            says: Some(says),
            ..Look::default()
        }
    }

    #[test]
    fn a_service_is_what_control_says_else_what_the_objects_show() {
        let base = Base {
            name: "shop".into(),
            services: vec![
                service("web", json!({}), json!({})),
                service("reviews", json!({"dev/restore": "[]"}), json!({})),
                service("ratings", json!({}), json!({})),
                service("queue", json!({}), json!({})),
                service(
                    "ratings-dev-base",
                    json!({"dev/stand-down": "{\"reason\": \"Helm wrote to it\"}"}),
                    json!({"dev/shadow": "ratings"}),
                ),
                service("dev-router", json!({}), json!({})),
            ],
            ..Base::default()
        };
        let says = json!({"services": {"queue": {"state": "refused", "reason": "it speaks UDP"}, "web": {"state": "unused"}}});
        let shown = shown(&base, &look(says));
        let states: Vec<(&str, &str, Option<&str>)> = shown
            .services
            .iter()
            .map(|one| (one.name.as_str(), one.state.as_str(), one.reason.as_deref()))
            .collect();
        assert_eq!(
            states,
            [
                ("queue", "refused", Some("it speaks UDP")),
                ("ratings", "stood-down", Some("Helm wrote to it")),
                ("reviews", "routed", None),
                ("web", "base", None),
            ]
        );
        let reviews = &shown.services[2];
        assert_eq!(
            reviews.environments,
            BTreeMap::from([("ann".to_owned(), 1)])
        );
        assert_eq!(reviews.acknowledged, 2);
        assert!(shown.installed);
    }

    #[test]
    fn versions_are_tags() {
        assert_eq!(
            version("localhost:5000/a/dev-router:0.1.0-abc"),
            "0.1.0-abc"
        );
        assert_eq!(version("dev-router"), "dev-router");
    }
}

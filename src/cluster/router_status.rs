//! What the routers of a base have taken over, read through the API server's proxy: it takes no more than the right to
//! `services/proxy` of `dev-router:status`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Request;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::cluster::access::Right;
use crate::cluster::base::ROUTER;
use crate::cluster::request::Failure;
use crate::error::{Error, Result};

/// The port of the routers' Service that tells their state.
const PORT: &str = "status";
/// How long one request may be kept waiting by the routers, in seconds; less than the API server's own limit.
const HANG: u64 = 20;
/// The pause between two questions that were answered at once.
const PAUSE: Duration = Duration::from_millis(100);

/// One router pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RouterPod {
    /// Its name.
    pub pod: String,
    /// Whether it has seen the cluster's objects.
    pub synced: bool,
    /// What Envoy has acknowledged, by service of the base.
    pub acked: BTreeMap<String, AckedService>,
    /// What is wrong with it.
    pub errors: Vec<String>,
}

/// What Envoy has acknowledged of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct AckedService {
    /// By port of the Service.
    #[serde(default)]
    pub ports: BTreeMap<String, AckedPort>,
    /// Whether requests to the Service reach the routers; those of an older version do not tell.
    #[serde(default = "yes")]
    pub switched: bool,
}

fn yes() -> bool {
    true
}

/// What Envoy has acknowledged of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AckedPort {
    /// The environments that override it, with how many ready endpoints each has.
    pub envs: BTreeMap<String, usize>,
}

/// The state of all routers of a base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterStatus {
    /// Every router pod.
    pub pods: Vec<RouterPod>,
}

impl RouterStatus {
    /// Reads the routers' answer: a list of pods, or an object that holds one.
    pub fn read(answer: Value) -> Option<Self> {
        let list = match answer {
            Value::Array(_) => answer,
            Value::Object(mut object) => match object.shift_remove("pods") {
                Some(pods) => pods,
                None => Value::Array(vec![Value::Object(object)]),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
        let pods = serde_json::from_value(list).ok()?;
        Some(Self { pods })
    }

    /// Whether this environment's requests for the service reach the routers, and every router pod leads them to a ready version.
    pub fn leads(&self, service: &str, env: &str) -> bool {
        let leads = |pod: &RouterPod| {
            pod.acked.get(service).is_some_and(|acked| {
                let mut ports = acked.ports.values();
                acked.switched
                    && ports.any(|port| port.envs.get(env).is_some_and(|ready| *ready > 0))
            })
        };
        !self.pods.is_empty() && self.pods.iter().all(leads)
    }

    /// What the pods say is wrong, each line once.
    pub fn errors(&self) -> Vec<String> {
        let mut errors: Vec<String> = Vec::new();
        for pod in &self.pods {
            let mut said: Vec<String> = pod
                .errors
                .iter()
                .map(|error| format!("{}: {error}", pod.pod))
                .collect();
            if !pod.synced {
                said.push(format!("{}: has not read the cluster yet", pod.pod));
            }
            errors.extend(said);
        }
        errors
    }
}

/// What waiting for routes came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awaited {
    /// The services that are not led although they could be.
    pub late: BTreeSet<String>,
    /// The services that `control` does not route, with why.
    pub refused: BTreeMap<String, String>,
    /// What is wrong with the routers, and what `control` waits for, one line each.
    pub errors: Vec<String>,
}

/// Why the routers' state is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The right to ask is missing.
    NoRight(Error),
    /// No router answers.
    NoAnswer(Error),
}

/// The right to ask the routers of a base.
pub fn status_right(base: &str) -> Right {
    Right::core("get", "services/proxy", base).named(&format!("{ROUTER}:{PORT}"))
}

/// The path of a question to the routers, by way of the API server.
pub(super) fn proxied(base: &str, question: &str) -> String {
    format!("/api/v1/namespaces/{base}/services/{ROUTER}:{PORT}/proxy/v1/{question}")
}

impl From<Unknown> for Error {
    fn from(unknown: Unknown) -> Self {
        match unknown {
            Unknown::NoRight(error) | Unknown::NoAnswer(error) => error,
        }
    }
}

impl Unknown {
    /// Why.
    pub fn error(&self) -> &Error {
        match self {
            Self::NoRight(error) | Self::NoAnswer(error) => error,
        }
    }
}

impl Cluster {
    /// The state of a base's routers. `hang`: they may keep the answer until this service and environment are led.
    pub async fn router_status(
        &self,
        base: &str,
        hang: Option<(&str, &str)>,
    ) -> Result<RouterStatus, Unknown> {
        let wait = hang.map_or(String::new(), |(service, env)| {
            format!("?service={service}&env={env}&wait={HANG}")
        });
        let path = proxied(base, &format!("status{wait}"));
        let attempt = format!("ask the routers of {base} what they serve");
        match self
            .try_send::<Value>(Request::get(path).body(Vec::new()))
            .await
        {
            Ok(answer) => RouterStatus::read(answer).ok_or_else(|| {
                Unknown::NoAnswer(
                    Error::failed(format!(
                        "cannot {attempt}: the answer is not what was expected"
                    ))
                    .reason("UnexpectedAnswer")
                    .hint("are the routers of another version than this dev?"),
                )
            }),
            Err(failure) if failure.is_forbidden() => {
                Err(Unknown::NoRight(self.explain_failure(&attempt, &failure)))
            }
            // Kept until its time was up: how it is now is asked for without waiting.
            Err(failure) if hang.is_some() && is_late(&failure) => {
                Box::pin(self.router_status(base, None)).await
            }
            Err(failure) => Err(Unknown::NoAnswer(self.explain_failure(&attempt, &failure))),
        }
    }

    /// Waits until every router pod leads these services' requests to the environment, but for those that `control` does not route.
    ///
    /// A router that does not answer may be starting: it is asked again until the time is up.
    pub async fn await_routes(
        &self,
        base: &str,
        env: &str,
        services: &[String],
        timeout: Duration,
    ) -> Result<Awaited, Unknown> {
        let deadline = Instant::now() + timeout;
        let mut status = self.router_status(base, None).await;
        loop {
            let late = Instant::now() >= deadline;
            let next = match &status {
                Ok(status) => {
                    let awaited = self.judge_routes(base, env, services, status).await;
                    match awaited.late.first() {
                        Some(next) if !late => next.clone(),
                        Some(_) | None => return Ok(awaited),
                    }
                }
                Err(Unknown::NoRight(_)) => return Err(status.expect_err("matched above")),
                Err(Unknown::NoAnswer(_)) if late => return Err(status.expect_err("matched above")),
                Err(Unknown::NoAnswer(_)) => services.first().cloned().unwrap_or_default(),
            };
            let asked = Instant::now();
            let hang = Some((next.as_str(), env));
            status = match tokio::time::timeout_at(deadline, self.router_status(base, hang)).await {
                Ok(status) => status,
                Err(_) => self.router_status(base, None).await,
            };
            if asked.elapsed() < PAUSE {
                sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now()))).await;
            }
        }
    }

    /// How it is with the routes to these services. `control` is asked only where some are not led.
    async fn judge_routes(
        &self,
        base: &str,
        env: &str,
        services: &[String],
        status: &RouterStatus,
    ) -> Awaited {
        let left = services
            .iter()
            .filter(|service| !status.leads(service, env));
        let left: Vec<String> = left.cloned().collect();
        if left.is_empty() {
            return Awaited::default();
        }
        let said = self.not_routed(base, &left).await;
        let mut errors = status.errors();
        errors.extend(
            said.waiting
                .iter()
                .map(|(service, reason)| format!("control, {service}: {reason}")),
        );
        let refused = said.never;
        let late = left.into_iter().filter(|name| !refused.contains_key(name));
        Awaited {
            late: late.collect(),
            refused,
            errors,
        }
    }
}

/// Whether the time was up, at the routers or here.
fn is_late(failure: &Failure) -> bool {
    match failure {
        Failure::Late => true,
        Failure::Kube(_) => failure.code() == Some(504),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, envs: Value) -> Value {
        json!({"pod": name, "synced": true, "errors": [],
            "acked": {"reviews": {"ports": {"9080": {"listener": 20001, "envs": envs}}}}})
    }

    #[test]
    fn every_pod_must_lead_to_something_ready() {
        let read = |value: Value| RouterStatus::read(value).unwrap();
        let both = json!([pod("a", json!({"ann": 1})), pod("b", json!({"ann": 2}))]);
        assert!(read(both.clone()).leads("reviews", "ann"));
        assert!(read(json!({ "pods": both })).leads("reviews", "ann"));
        assert!(
            !read(json!([pod("a", json!({"ann": 1})), pod("b", json!({}))]))
                .leads("reviews", "ann")
        );
        assert!(!read(json!([pod("a", json!({"ann": 0}))])).leads("reviews", "ann"));
        assert!(!read(json!([pod("a", json!({"ann": 1}))])).leads("ratings", "ann"));
        let mut unswitched = pod("a", json!({"ann": 1}));
        unswitched["acked"]["reviews"]["switched"] = json!(false);
        assert!(!read(json!([unswitched])).leads("reviews", "ann"));
        assert!(
            !read(json!([])).leads("reviews", "ann"),
            "no router is no proof"
        );
        assert_eq!(RouterStatus::read(json!("no")), None);
    }
}

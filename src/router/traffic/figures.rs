//! What people are told: for each service the figures of the base and of environments, of all routers together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counts::{Counts, rate};
use crate::router::envoy::names::{self, Named};

/// What one router has counted lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodTraffic {
    /// The pod's name.
    pub pod: String,
    /// In how many seconds.
    pub seconds: f64,
    /// By cluster.
    pub clusters: BTreeMap<String, Counts>,
    /// Why it has nothing to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The traffic of the last minute or less. Fields are only ever added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// In how many seconds, at the router that has counted longest.
    pub seconds: f64,
    /// The routers that it is of.
    pub pods: Vec<String>,
    /// By service of the base. A service without requests is left out.
    pub services: BTreeMap<String, ServiceTraffic>,
    /// What is missing, one line each.
    pub errors: Vec<String>,
}

/// The traffic of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceTraffic {
    /// Of the base's own version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Figures>,
    /// Of versions of environments.
    pub envs: BTreeMap<String, Figures>,
}

/// The figures of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Figures {
    /// Requests that were answered.
    pub requests: u64,
    /// The same in a second.
    pub requests_per_second: f64,
    /// The share that did not fail, from 0 to 1: no status from 500 on, no failure of a gRPC server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// The time that half of the requests stayed below, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    /// The time that 99 of 100 requests stayed below, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
}

/// Counts of several clusters, and their rate: routers may have counted for different times.
#[derive(Clone, Debug, Default)]
struct Sum {
    counts: Counts,
    rate: f64,
}

impl Sum {
    fn figures(&self) -> Figures {
        Figures {
            requests: self.counts.requests,
            requests_per_second: self.rate,
            success_rate: self.counts.success(),
            p50: self.counts.percentile(0.5),
            p99: self.counts.percentile(0.99),
        }
    }
}

impl Report {
    /// The figures of what these routers have counted. `envs`: of these environments only; none: of all.
    pub fn of(pods: &[PodTraffic], envs: &[String]) -> Self {
        let mut report = Self::default();
        let mut sums: BTreeMap<(&str, Option<&str>), Sum> = BTreeMap::new();
        for pod in pods {
            if let Some(error) = &pod.error {
                report.errors.push(format!("{}: {error}", pod.pod));
                continue;
            }
            report.pods.push(pod.pod.clone());
            report.seconds = report.seconds.max(pod.seconds);
            for (cluster, counts) in &pod.clusters {
                let version = match names::parse(cluster) {
                    Some(Named::Base(service, _)) => (service, None),
                    Some(Named::Environment(env, service, _)) => (service, Some(env)),
                    Some(Named::Service(..) | Named::Edge) | None => continue,
                };
                let wanted = |env: &str| envs.is_empty() || envs.iter().any(|one| one == env);
                if !version.1.is_none_or(wanted) {
                    continue;
                }
                let sum = sums.entry(version).or_default();
                sum.counts.add(counts);
                sum.rate += rate(counts.requests, pod.seconds.max(1.0));
            }
        }
        for ((service, env), sum) in sums {
            let service = report.services.entry(service.to_owned()).or_default();
            match env {
                None => service.base = Some(sum.figures()),
                Some(env) => {
                    service.envs.insert(env.to_owned(), sum.figures());
                }
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::traffic::Bin;

    fn pod(name: &str, seconds: f64, clusters: &[(&str, u64, f64)]) -> PodTraffic {
        let counts = |requests: u64, lower: f64| Counts {
            requests,
            failed: requests / 10,
            grpc_failed: 0,
            times: vec![Bin {
                lower,
                width: 1.0,
                count: requests,
            }],
        };
        PodTraffic {
            pod: name.to_owned(),
            seconds,
            clusters: clusters
                .iter()
                .map(|(name, requests, lower)| ((*name).to_owned(), counts(*requests, *lower)))
                .collect(),
            error: None,
        }
    }

    #[test]
    fn ports_and_routers_are_added_up_by_service_and_version() {
        let silent = PodTraffic {
            pod: "c".to_owned(),
            error: Some("does not answer".to_owned()),
            ..PodTraffic::default()
        };
        let pods = [
            pod(
                "a",
                40.0,
                &[
                    ("base|web|80", 400, 1.0),
                    ("base|web|81", 40, 1.0),
                    ("env|ann|web|80", 20, 5.0),
                ],
            ),
            pod(
                "b",
                10.0,
                &[("base|web|80", 100, 1.0), ("env|bob|web|80", 10, 7.0)],
            ),
            silent,
        ];
        let report = Report::of(&pods, &[]);
        assert_eq!(report.pods, ["a", "b"]);
        assert_eq!(report.errors, ["c: does not answer"]);
        assert_eq!(report.seconds, 40.0);
        let web = &report.services["web"];
        let base = web.base.unwrap();
        assert_eq!(base.requests, 540);
        assert_eq!(base.requests_per_second, 10.0 + 1.0 + 10.0);
        assert_eq!(base.success_rate, Some(0.9));
        assert_eq!(base.p50, Some(1.5));
        assert_eq!(web.envs.keys().collect::<Vec<_>>(), ["ann", "bob"]);
        let only = Report::of(&pods, &["ann".to_owned()]);
        assert_eq!(
            only.services["web"].envs.keys().collect::<Vec<_>>(),
            ["ann"]
        );
        assert!(only.services["web"].base.is_some());
    }
}

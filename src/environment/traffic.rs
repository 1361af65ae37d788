//! PURE: the traffic of an overlay and of its base, for people.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::router::traffic::{Figures, Report};
use crate::ui::table;

/// What the routers of the base have counted lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// In how many seconds.
    pub seconds: f64,
    /// The routers that have counted.
    pub routers: Vec<String>,
    /// By Service of the base; those without requests are left out.
    pub services: BTreeMap<String, Versions>,
    /// What is missing, one line each.
    pub missing: Vec<String>,
}

/// The versions of a service that are looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Versions {
    /// The environment's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Figures>,
    /// The base's. Only what routers have led there: a Service that nobody overrides is reached without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Figures>,
}

impl Traffic {
    /// Of this environment.
    pub fn of(mut report: Report, env: &str) -> Self {
        let services = std::mem::take(&mut report.services).into_iter();
        Self {
            seconds: report.seconds,
            routers: report.pods,
            services: services
                .map(|(name, mut versions)| {
                    let env = versions.envs.remove(env);
                    let base = versions.base;
                    (name, Versions { env, base })
                })
                .collect(),
            missing: report.errors,
        }
    }

    /// A table below one line that says what it is of.
    pub fn table(&self, env: &str) -> String {
        let last = format!("the last {:.0} s", self.seconds);
        let mut rows = Vec::new();
        for (name, versions) in &self.services {
            let of = [(env, versions.env), ("base", versions.base)];
            for (version, figures) in of {
                let Some(figures) = figures else { continue };
                rows.push(row(name, version, &figures));
            }
        }
        if rows.is_empty() {
            return format!("no requests by way of the routers in {last}");
        }
        let heads = ["SERVICE", "VERSION", "REQUESTS/S", "SUCCESS", "P50", "P99"];
        format!("requests of {last}:\n{}", table(&heads, &rows))
    }
}

fn row(name: &str, version: &str, figures: &Figures) -> Vec<String> {
    vec![
        name.to_owned(),
        version.to_owned(),
        rate(figures.requests_per_second),
        figures.success_rate.map_or_else(nothing, share),
        figures.p50.map_or_else(nothing, time),
        figures.p99.map_or_else(nothing, time),
    ]
}

fn nothing() -> String {
    "-".to_owned()
}

/// What is rare is not 0.
fn rate(rate: f64) -> String {
    match rate {
        rate if rate > 0.0 && rate < 0.1 => "<0.1".to_owned(),
        rate if rate < 100.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

/// One request that failed among many is seen: 100% is all of them.
fn share(share: f64) -> String {
    let percent = (share * 1000.0).floor() / 10.0;
    match share >= 1.0 {
        true => "100%".to_owned(),
        false => format!("{percent:.1}%"),
    }
}

/// Envoy measures whole milliseconds.
fn time(milliseconds: f64) -> String {
    match milliseconds {
        time if time < 1.0 => "<1 ms".to_owned(),
        time if time < 10_000.0 => format!("{time:.0} ms"),
        time => format!("{:.1} s", time / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::traffic::ServiceTraffic;

    fn figures(rate: f64, success: f64, p50: f64, p99: f64) -> Figures {
        Figures {
            requests: 1,
            requests_per_second: rate,
            success_rate: Some(success),
            p50: Some(p50),
            p99: Some(p99),
        }
    }

    #[test]
    fn the_environment_stands_beside_the_base() {
        let web = ServiceTraffic {
            base: Some(figures(80.14, 1.0, 0.4, 19.4)),
            envs: BTreeMap::from([
                ("ann".to_owned(), figures(0.02, 0.9999, 3.2, 41_000.0)),
                ("bob".to_owned(), figures(9.0, 1.0, 1.0, 1.0)),
            ]),
        };
        let report = Report {
            seconds: 47.3,
            pods: vec!["a".into()],
            services: BTreeMap::from([("web".to_owned(), web)]),
            errors: vec!["b: does not answer".into()],
        };
        let traffic = Traffic::of(report, "ann");
        assert_eq!(traffic.missing, ["b: does not answer"]);
        insta::assert_snapshot!(traffic.table("ann"), @r"
        requests of the last 47 s:
        SERVICE  VERSION  REQUESTS/S  SUCCESS  P50    P99
        web      ann      <0.1        99.9%    3 ms   41.0 s
        web      base     80.1        100%     <1 ms  19 ms
        ");
        let none = Traffic {
            seconds: 60.0,
            ..Traffic::default()
        };
        assert_eq!(
            none.table("ann"),
            "no requests by way of the routers in the last 60 s"
        );
    }
}

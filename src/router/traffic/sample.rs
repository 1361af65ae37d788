//! What Envoy has counted at one moment, from the JSON of its admin interface.

use std::collections::BTreeMap;

use serde_json::Value;

use super::counts::{Bin, Counts};
use crate::router::envoy::names::{self, Named};

/// What is asked of Envoy's admin interface: what was used, of clusters of versions. The form of `filter` is a regular expression, with
/// what has a meaning in URLs escaped.
pub const QUERY: &str = "/stats?format=json&histogram_buckets=detailed&usedonly&filter=%5E(cluster%5C.(base%7Cenv)%5C%7C%7Cserver%5C.uptime%24)";

/// What one Envoy has counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// For how long, in seconds.
    pub uptime: u64,
    /// By cluster.
    pub clusters: BTreeMap<String, Counts>,
}

impl Sample {
    /// Reads the answer to [`QUERY`]; `None` if it is something else.
    pub fn read(answer: &Value) -> Option<Self> {
        let mut sample = Self::default();
        for entry in answer["stats"].as_array()? {
            if let Some(name) = entry["name"].as_str() {
                sample.count(name, entry["value"].as_u64().unwrap_or_default());
            }
            let histograms = entry["histograms"]["details"].as_array();
            for histogram in histograms.into_iter().flatten() {
                sample.histogram(histogram);
            }
        }
        Some(sample)
    }

    fn count(&mut self, name: &str, value: u64) {
        if name == "server.uptime" {
            self.uptime = value;
            return;
        }
        let Some((counts, what)) = self.of_cluster(name) else {
            return;
        };
        match what {
            "upstream_rq_completed" => counts.requests = value,
            "upstream_rq_5xx" => counts.failed = value,
            _ if what.starts_with("grpc.") => counts.grpc_failed += value,
            _ => {}
        }
    }

    fn histogram(&mut self, histogram: &Value) {
        let name = histogram["name"].as_str().unwrap_or_default();
        let Some((counts, "upstream_rq_time")) = self.of_cluster(name) else {
            return;
        };
        let bin = |bin: &Value| {
            Some(Bin {
                lower: bin["lower_bound"].as_f64()?,
                width: bin["width"].as_f64()?,
                count: bin["count"].as_u64()?,
            })
        };
        let bins = histogram["totals"].as_array();
        counts.times = bins.into_iter().flatten().filter_map(bin).collect();
        counts
            .times
            .sort_by(|one, other| one.lower.total_cmp(&other.lower));
    }

    /// `cluster.env|ann|reviews|9080.upstream_rq_time`: no name of a cluster holds a dot.
    fn of_cluster<'a>(&mut self, name: &'a str) -> Option<(&mut Counts, &'a str)> {
        let (cluster, what) = name.strip_prefix("cluster.")?.split_once('.')?;
        match names::parse(cluster)? {
            Named::Base(..) | Named::Environment(..) => {}
            Named::Service(..) | Named::Edge => return None,
        }
        Some((self.clusters.entry(cluster.to_owned()).or_default(), what))
    }

    /// What was counted since `before`, by cluster, and in how many seconds; what has not changed is left out. Without an earlier sample of the
    /// same Envoy: since it was started.
    pub fn since(&self, before: Option<(&Self, f64)>) -> (BTreeMap<String, Counts>, f64) {
        let whole = (&self.clusters, self.uptime);
        let (earlier, seconds) = match before {
            Some((before, ago)) if before.uptime <= whole.1 => (Some(before), ago),
            Some(_) | None => (None, 0.0),
        };
        let none = Counts::default();
        let mut clusters = BTreeMap::new();
        for (name, counts) in whole.0 {
            let before = earlier.and_then(|before| before.clusters.get(name));
            let counts = counts.since(before.unwrap_or(&none));
            if counts != none {
                clusters.insert(name.clone(), counts);
            }
        }
        let seconds = match earlier {
            Some(_) => seconds,
            // Whole seconds; a new Envoy has 0.
            None => f64::from(u32::try_from(whole.1).unwrap_or(u32::MAX)),
        };
        (clusters, seconds.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(uptime: u64, requests: u64, bins: Value) -> Value {
        json!({"stats": [
            {"name": "server.uptime", "value": uptime},
            {"name": "cluster.env|ann|web|80.upstream_rq_completed", "value": requests},
            {"name": "cluster.env|ann|web|80.upstream_rq_5xx", "value": 1},
            {"name": "cluster.env|ann|web|80.grpc.14", "value": 2},
            {"name": "cluster.env|ann|web|80.grpc.2", "value": 1},
            {"name": "cluster.traced.upstream_rq_completed", "value": 9},
            {"histograms": {"supported_percentiles": [50], "details": [
                {"name": "cluster.env|ann|web|80.upstream_rq_time", "totals": bins, "intervals": [], "percentiles": []}]}},
        ]})
    }

    #[test]
    fn the_answer_of_envoy_is_read() {
        let bins = json!([{"lower_bound": 42, "width": 1, "count": 1}, {"lower_bound": 0, "width": 0, "count": 3}]);
        let sample = Sample::read(&answer(7, 4, bins)).unwrap();
        assert_eq!(sample.uptime, 7);
        assert_eq!(
            sample.clusters.keys().collect::<Vec<_>>(),
            ["env|ann|web|80"]
        );
        let counts = &sample.clusters["env|ann|web|80"];
        assert_eq!(
            (counts.requests, counts.failed, counts.grpc_failed),
            (4, 1, 3)
        );
        assert_eq!(counts.times.len(), 2);
        assert_eq!(counts.percentile(0.5), Some(0.0));
        assert_eq!(counts.percentile(1.0), Some(43.0));
        assert_eq!(Sample::read(&json!({"error": "no"})), None);
    }

    #[test]
    fn only_what_came_since_counts_and_a_new_envoy_is_counted_from_its_start() {
        let sample = |uptime, requests| {
            let bins = json!([{"lower_bound": 1, "width": 0.1, "count": requests}]);
            Sample::read(&answer(uptime, requests, bins)).unwrap()
        };
        let (clusters, seconds) = sample(100, 10).since(Some((&sample(60, 4), 40.0)));
        assert_eq!((clusters["env|ann|web|80"].requests, seconds), (6, 40.0));
        let (clusters, seconds) = sample(5, 2).since(Some((&sample(60, 4), 40.0)));
        assert_eq!((clusters["env|ann|web|80"].requests, seconds), (2, 5.0));
        let (clusters, seconds) = sample(0, 2).since(None);
        assert_eq!((clusters["env|ann|web|80"].requests, seconds), (2, 1.0));
        let (clusters, _) = sample(61, 4).since(Some((&sample(60, 4), 1.0)));
        assert!(clusters.is_empty(), "{clusters:?}");
    }
}

//! From a change of the table to the first request that follows it.

use std::time::Duration;

use dev::router::model::Override;
use serde_json::{Value, json};

use super::backend::HEADER;
use super::histogram::Histogram;
use super::link::{Link, header};
use super::load::Connection;
use super::world::Size;

/// Between two requests that ask whether it is so.
const PAUSE: Duration = Duration::from_micros(500);

/// The kinds of changes, and what they change at Envoy.
pub const KINDS: [(&str, &str); 3] = [
    ("version", "a version is new (cluster, endpoints, routes)"),
    ("pod", "its first pod is ready (endpoints, routes)"),
    ("other", "another pod instead (endpoints)"),
];

/// So many changes of a kind, each followed by requests on a kept connection. Two histograms: until the first request that
/// follows it was answered, and until Envoy had accepted it.
pub async fn run(link: &mut Link, kind: &str, count: usize) -> Value {
    let (mut routed, mut accepted) = (Histogram::default(), Histogram::default());
    for number in 0..count {
        let target = Target::new(link, number);
        let (before, after) = match kind {
            "version" => (None, Some(target.version(link, 1))),
            "pod" => (
                Some(Override {
                    endpoints: [].into(),
                    ..target.version(link, 0)
                }),
                Some(target.version(link, 1)),
            ),
            "other" => (Some(target.version(link, 0)), Some(target.version(link, 1))),
            other => panic!("unknown: {other}"),
        };
        let usual = target.version(link, 0);
        if before.as_ref() != Some(&usual) {
            target.set(link, before.as_ref()).await;
        }
        let mut connection = Connection::open(link.listeners[target.service]).await;
        let header = header(target.environment);
        let wanted = link.pods[1].port().to_string();
        let is_new = |answer: &http::Response<()>| {
            answer
                .headers()
                .get(HEADER)
                .is_some_and(|name| name.as_bytes() == wanted.as_bytes())
        };
        assert!(
            !is_new(&connection.get(Some(&header)).await),
            "{kind}: is so before"
        );
        let known = link.change(&target.env, &target.name, after.as_ref());
        let asking = async {
            while !is_new(&connection.get(Some(&header)).await) {
                tokio::time::sleep(PAUSE).await;
            }
            known.elapsed()
        };
        let accepting = async {
            link.accepted(&target.env, &target.name).await;
            known.elapsed()
        };
        let (asked, has) = tokio::join!(asking, accepting);
        routed.add(asked);
        accepted.add(has);
        target.set(link, Some(&usual)).await;
    }
    json!({"routed": routed.to_value(), "accepted": accepted.to_value()})
}

/// So many changes without requests: a version's pods go, or come back.
pub async fn changes(link: &mut Link, count: usize) {
    for number in 0..count {
        let target = Target::new(link, number / 2);
        let mut version = target.version(link, 0);
        if number % 2 == 0 {
            version.endpoints.clear();
        }
        target.set(link, Some(&version)).await;
    }
}

/// An environment's version of a Service.
struct Target {
    environment: usize,
    service: usize,
    env: String,
    name: String,
}

impl Target {
    fn new(link: &Link, number: usize) -> Self {
        // Far from the one before.
        let environment = number * 7 % link.size.environments;
        let service = link
            .size
            .overridden(environment)
            .next()
            .expect("at least one");
        Self {
            environment,
            service,
            env: Size::environment(environment),
            name: Size::service(service),
        }
    }

    fn version(&self, link: &Link, pod: usize) -> Override {
        Override {
            namespace: format!("shop-{}", self.env),
            endpoints: [link.pods[pod]].into(),
            fallback: false,
        }
    }

    async fn set(&self, link: &mut Link, version: Option<&Override>) {
        link.change(&self.env, &self.name, version);
        link.accepted(&self.env, &self.name).await;
    }
}

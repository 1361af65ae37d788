//! What `control` says of Services of a base, read through the API server's proxy: it takes no more than the right to
//! `services/proxy` of `dev-control:status`.

use std::collections::BTreeMap;

use http::Request;
use serde_json::Value;

use crate::cluster::Cluster;

/// Why Services are not routed, one sentence each, without a full stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotRouted {
    /// Those that stay so until somebody does something about it.
    pub never: BTreeMap<String, String>,
    /// Those that something is waited for.
    pub waiting: BTreeMap<String, String>,
}

impl NotRouted {
    /// Reads the answer. What is routed, and what it does not know, is left out.
    fn read(answer: &Value, services: &[String]) -> Self {
        let mut found = Self::default();
        for service in services {
            let said = &answer["services"][service];
            let reason = said["reason"].as_str().unwrap_or_default().to_owned();
            let kept = match said["state"].as_str() {
                Some("refused" | "stood-down" | "broken") => &mut found.never,
                Some("waiting") => &mut found.waiting,
                // Fields are only ever added, states too.
                Some(_) | None => continue,
            };
            kept.insert(service.clone(), reason);
        }
        found
    }
}

impl Cluster {
    /// Why `control` does not route these Services. Without the right to ask, or without an answer, nothing is known.
    pub async fn not_routed(&self, base: &str, services: &[String]) -> NotRouted {
        let path = format!("/api/v1/namespaces/{base}/services/dev-control:status/proxy/v1/status");
        let request = Request::get(path).body(Vec::new());
        match self.try_send::<Value>(request).await {
            Ok(answer) => NotRouted::read(&answer, services),
            Err(failure) => {
                let error = self.explain_failure("ask control", &failure);
                tracing::debug!(%error, "control does not say why a Service is not routed");
                NotRouted::default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_nobody_will_route_is_told_apart_from_what_is_on_its_way() {
        let answer = json!({"services": {
            "a": {"state": "refused", "reason": "it is headless"},
            "b": {"state": "waiting", "reason": "1 of 2 routers are ready"},
            "c": {"state": "routed"}, "d": {"state": "later"},
            "e": {"state": "stood-down", "reason": "somebody else changed it", "since": "2026-01-01T00:00:00Z"},
        }});
        let names = ["a", "b", "c", "d", "e", "f"].map(str::to_owned);
        let found = NotRouted::read(&answer, &names);
        assert_eq!(found.never["a"], "it is headless");
        assert_eq!(found.never["e"], "somebody else changed it");
        assert_eq!(found.never.len(), 2);
        assert_eq!(found.waiting["b"], "1 of 2 routers are ready");
        assert_eq!(found.waiting.len(), 1);
        assert_eq!(NotRouted::read(&json!("no"), &names), NotRouted::default());
    }
}

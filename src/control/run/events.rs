//! Kubernetes Events on Services that are left alone, so that `kubectl describe` tells their owners. Best effort.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::write::{Path, Written};
use crate::control::CONTROL;
use crate::control::decide::Observed;
use crate::control::shadow::{self, Shadow, StandDown};

/// An Event of something older would only repeat what was told: the API server forgets Events after an hour.
const OLDEST: SignedDuration = SignedDuration::from_mins(50);

/// What was told already, by Service and time.
pub(super) struct Events {
    cluster: Cluster,
    base: String,
    told: BTreeSet<(String, Timestamp)>,
}

impl Events {
    pub(super) fn new(cluster: Cluster, base: &str) -> Self {
        Self {
            cluster,
            base: base.to_owned(),
            told: BTreeSet::new(),
        }
    }

    /// Tells what is new. Its name is made of what it says, so another process that tells it again changes nothing.
    pub(super) fn tell(&mut self, observed: &Observed, now: Timestamp) {
        for (name, object) in &observed.shadows {
            let Some(told) = Shadow::read(object)
                .ok()
                .and_then(|shadow| shadow.stand_down)
            else {
                continue;
            };
            let old = now.duration_since(told.time) > OLDEST;
            if old || !self.told.insert((name.clone(), told.time)) {
                continue;
            }
            let uid = observed
                .services
                .get(name)
                .and_then(|service| service.metadata.uid.clone());
            let event = event(&self.base, name, uid.as_deref(), &told);
            let path = Path::namespaced("/api/v1", &self.base, "events");
            let cluster = self.cluster.clone();
            tokio::spawn(async move {
                if let Written::Failed(error) = cluster.create_at(&path, CONTROL, &event).await {
                    tracing::warn!(%error, "an Event could not be written");
                }
            });
        }
    }
}

fn event(base: &str, service: &str, uid: Option<&str>, told: &StandDown) -> Value {
    let mut hasher = DefaultHasher::new();
    (&told.reason, told.time).hash(&mut hasher);
    let time = format!("{:.0}", told.time);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{service}.{:016x}", hasher.finish()), "namespace": base},
        "involvedObject": {"apiVersion": "v1", "kind": "Service", "namespace": base, "name": service, "uid": uid},
        "type": "Warning",
        "reason": "StandDown",
        "message": format!(
            "{}: it is as its owner wrote it, and dev leaves it alone. To have it routed again: kubectl annotate service {} -n {base} dev/stand-down-",
            told.reason, shadow::name(service)
        ),
        "source": {"component": CONTROL},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    })
}

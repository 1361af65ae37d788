//! PURE: the phases of an update on one stream of Envoy.
//!
//! ```text
//! Warming   clusters are sent, their endpoints as Envoy asks for them          until all are accepted
//! Routing   listeners and routes are sent, listeners removed                   until all are accepted
//! Settled   clusters that nothing refers to any more are removed; the latest snapshot that came meanwhile is begun
//! ```
//!
//! So a route never leads to a cluster that Envoy does not have. Endpoints are sent at once in every phase. A removed
//! listener drains its connections and their requests need its routes and clusters: no cluster is removed while Envoy still
//! asks for routes that are wanted no more.

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};

use super::acked::{Acked, Rejection};
use super::kind::Kind;
use super::subscription::Subscription;
use crate::router::envoy::{Resource, Snapshot};

/// How far an update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Clusters and their endpoints.
    Warming,
    /// Listeners and routes.
    Routing,
    /// Only removals of clusters are left.
    Settled,
}

/// The state of one stream.
#[derive(Debug)]
pub(super) struct Session {
    clusters: Subscription,
    endpoints: Subscription,
    listeners: Subscription,
    routes: Subscription,
    /// What is being sent.
    target: Option<Arc<Snapshot>>,
    /// What came meanwhile.
    latest: Option<Arc<Snapshot>>,
    phase: Phase,
    /// Clusters that were sent and whose endpoints Envoy has not accepted yet.
    warming: BTreeSet<String>,
    nonce: u64,
    /// Resources that were sent.
    sent: usize,
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            clusters: Subscription::new(Kind::Clusters),
            endpoints: Subscription::new(Kind::Endpoints),
            listeners: Subscription::new(Kind::Listeners),
            routes: Subscription::new(Kind::Routes),
            target: None,
            latest: None,
            phase: Phase::Settled,
            warming: BTreeSet::new(),
            nonce: 0,
            sent: 0,
        }
    }

    /// From now on this is wanted. Gives what is to be sent.
    pub(super) fn offer(&mut self, snapshot: Arc<Snapshot>) -> Vec<DeltaDiscoveryResponse> {
        let before = self.latest.as_ref().or(self.target.as_ref());
        let before = before.map(|snapshot| &snapshot.endpoints);
        self.endpoints.review(before, &snapshot.endpoints);
        self.latest = Some(snapshot);
        self.step()
    }

    /// Envoy said something. Gives what is to be sent.
    pub(super) fn hear(&mut self, request: &DeltaDiscoveryRequest) -> Vec<DeltaDiscoveryResponse> {
        let Some(kind) = Kind::from_type_url(&request.type_url) else {
            // Nothing of another type is served, so nobody waits for it.
            return Vec::new();
        };
        let heard = self.subscription(kind).hear(request);
        if let Some(target) = self.target.clone().filter(|_| heard.review) {
            self.subscription(kind).review(None, kind.of(&target));
        }
        match kind {
            Kind::Clusters => {
                for name in heard.closed {
                    if self.clusters.has_rejected_one(&name) {
                        self.warming.remove(&name);
                    }
                }
            }
            Kind::Endpoints => {
                for name in heard.closed {
                    self.warming.remove(&name);
                }
                self.warming.extend(heard.asked);
                // Its cluster was changed before it said at the start of the stream what it has.
                for name in request.initial_resource_versions.keys() {
                    if self.warming.contains(name) {
                        self.endpoints.forget(name);
                    }
                }
            }
            Kind::Listeners | Kind::Routes => {}
        }
        self.step()
    }

    /// Clusters that have waited too long for their endpoints hold the rest up no longer.
    pub(super) fn stop_warming(&mut self) -> Vec<DeltaDiscoveryResponse> {
        self.warming.clear();
        self.step()
    }

    /// Whether clusters wait for their endpoints.
    pub(super) fn is_warming(&self) -> bool {
        !self.warming.is_empty()
    }

    /// How far it is.
    #[cfg(test)]
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    fn subscription(&mut self, kind: Kind) -> &mut Subscription {
        match kind {
            Kind::Clusters => &mut self.clusters,
            Kind::Endpoints => &mut self.endpoints,
            Kind::Listeners => &mut self.listeners,
            Kind::Routes => &mut self.routes,
        }
    }

    fn step(&mut self) -> Vec<DeltaDiscoveryResponse> {
        let responses = self.steps();
        self.sent += responses
            .iter()
            .map(|response| response.resources.len())
            .sum::<usize>();
        responses
    }

    fn steps(&mut self) -> Vec<DeltaDiscoveryResponse> {
        let mut responses = Vec::new();
        loop {
            if self.phase == Phase::Settled
                && let Some(latest) = self.latest.take()
            {
                self.begin(latest);
            }
            let Some(target) = self.target.clone() else {
                return responses;
            };
            responses.extend(self.send_clusters(&target));
            responses.extend(self.send_endpoints(&target));
            match self.phase {
                Phase::Warming if self.clusters.is_idle() && self.warming.is_empty() => {
                    self.phase = Phase::Routing;
                }
                Phase::Warming => return responses,
                Phase::Routing | Phase::Settled => {
                    let nonce = &mut self.nonce;
                    let wanted = |name: &str| target.listeners.get(name);
                    responses.extend(self.listeners.next(wanted, |_| true, nonce));
                    let wanted = |name: &str| target.routes.get(name);
                    responses.extend(self.routes.next(wanted, |_| true, nonce));
                    let idle = self.listeners.is_idle() && self.routes_idle(&target);
                    if self.phase == Phase::Settled || !idle {
                        return responses;
                    }
                    self.phase = Phase::Settled;
                    // Before the next update begins, however fast they come.
                    responses.extend(self.send_clusters(&target));
                }
            }
        }
    }

    /// Envoy asks for routes when it has a listener that needs some.
    fn routes_idle(&self, target: &Snapshot) -> bool {
        let asks = !target.routes.is_empty() && !self.listeners.has_rejected();
        self.routes.is_idle() || !(self.routes.has_begun() || asks)
    }

    fn begin(&mut self, snapshot: Arc<Snapshot>) {
        let before = self.target.take();
        let before = |kind: Kind| before.as_ref().map(|snapshot| kind.of(snapshot));
        self.clusters
            .review(before(Kind::Clusters), &snapshot.clusters);
        self.listeners
            .review(before(Kind::Listeners), &snapshot.listeners);
        self.routes.review(before(Kind::Routes), &snapshot.routes);
        self.warming
            .retain(|name| snapshot.endpoints.contains_key(name));
        self.target = Some(snapshot);
        self.phase = Phase::Warming;
    }

    fn send_clusters(&mut self, target: &Snapshot) -> Option<DeltaDiscoveryResponse> {
        let stale = |name: &String| !target.routes.contains_key(name);
        let unused = self.phase == Phase::Settled
            && !self.listeners.has_rejected()
            && !self.routes.has_rejected()
            && !self.routes.names().iter().any(stale);
        let latest = self.latest.as_deref();
        let returns = |name: &str| latest.is_some_and(|one| one.clusters.contains_key(name));
        let response = self.clusters.next(
            |name| target.clusters.get(name),
            |name| unused && !returns(name),
            &mut self.nonce,
        )?;
        for cluster in &response.resources {
            if wanted_endpoints(latest, target, &cluster.name).is_some() {
                // Envoy does not use a changed cluster before it was given its endpoints once more.
                self.warming.insert(cluster.name.clone());
                if self.endpoints.names().contains(&cluster.name) {
                    self.endpoints.forget(&cluster.name);
                }
            }
        }
        for name in &response.removed_resources {
            self.warming.remove(name);
        }
        Some(response)
    }

    fn send_endpoints(&mut self, target: &Snapshot) -> Option<DeltaDiscoveryResponse> {
        let latest = self.latest.as_deref();
        let response = self.endpoints.next(
            |name| wanted_endpoints(latest, target, name),
            |_| true,
            &mut self.nonce,
        );
        for name in response.iter().flat_map(|one| &one.removed_resources) {
            self.warming.remove(name);
        }
        response
    }

    /// Brings what is published up to what Envoy has said. Gives whether anything changed.
    pub(super) fn publish(&mut self, acked: &mut Acked) -> bool {
        let mut rejections = Vec::new();
        let mut changed = acked.sent != self.sent;
        acked.sent = self.sent;
        for kind in Kind::ALL {
            let subscription = self.subscription(kind);
            for (name, message) in subscription.rejections() {
                rejections.push(Rejection {
                    kind,
                    name: name.to_owned(),
                    message: message.to_owned(),
                });
            }
            for (name, version) in subscription.take_changes() {
                changed = true;
                acked.set(kind, name, version);
            }
        }
        if rejections != acked.rejections {
            acked.rejections = rejections;
            changed = true;
        }
        changed
    }
}

/// The newest endpoints of a cluster: they are not bound to a phase.
fn wanted_endpoints<'a>(
    latest: Option<&'a Snapshot>,
    target: &'a Snapshot,
    name: &str,
) -> Option<&'a Arc<Resource>> {
    latest
        .and_then(|latest| latest.endpoints.get(name))
        .or_else(|| target.endpoints.get(name))
}

#[cfg(test)]
mod tests;

//! Which ports of the routers are whose. Each belongs to one Service: what two of them had would lead to the wrong one.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ServicePort;

use super::observed::Observed;
use crate::control::listeners::{self, Listeners, mentioned};
use crate::control::patches::restore_annotation;
use crate::control::shadow::Shadow;

/// The ports that are not free. Two writers at once, of which one no longer led, may have given one port twice.
pub(super) struct Ports {
    /// By the Service whose shadow has it. Where two have the same, it is that of the one which may be routed.
    holders: BTreeMap<u16, String>,
    /// Those that no Service can have from now on.
    taken: BTreeSet<u16>,
}

impl Ports {
    pub(super) fn of(observed: &Observed) -> Self {
        let shadows = observed
            .shadows
            .values()
            .filter_map(|shadow| Shadow::read(shadow).ok());
        let mut shadows: Vec<Shadow> = shadows.collect();
        let may_be_routed = |shadow: &Shadow| {
            let progress = &shadow.progress;
            let service = observed.services.get(&shadow.service);
            let annotated = service.is_some_and(|service| restore_annotation(service).is_some());
            progress.routed || progress.switching || annotated
        };
        // Stable, so names decide among equals.
        shadows.sort_by_key(|shadow| !may_be_routed(shadow));
        let mut holders = BTreeMap::new();
        for shadow in &shadows {
            for listener in shadow.listeners.values() {
                let holder = holders.entry(*listener);
                holder.or_insert_with(|| shadow.service.clone());
            }
        }
        let services = observed.services.values().map(|service| &**service);
        let taken = holders
            .keys()
            .chain(&observed.reserved)
            .copied()
            .chain(mentioned(services))
            .collect();
        Self { holders, taken }
    }

    /// Listeners for these ports of a Service: those that it has, else free ones. `None`: there are no more.
    pub(super) fn allot(
        &self,
        service: &str,
        ports: &[ServicePort],
        before: Option<&Listeners>,
    ) -> Option<Listeners> {
        let before = before.into_iter().flatten();
        let own = before.filter(|(_, listener)| self.is_of(service, **listener));
        let own = own.map(|(port, listener)| (port.clone(), *listener));
        listeners::allot(ports, &own.collect(), &self.taken)
    }

    /// Whether a Service has all of these to itself.
    pub(super) fn are_of(&self, service: &str, listeners: &Listeners) -> bool {
        listeners
            .values()
            .all(|listener| self.is_of(service, *listener))
    }

    fn is_of(&self, service: &str, listener: u16) -> bool {
        let holder = self.holders.get(&listener);
        holder.is_none_or(|holder| holder == service)
    }

    /// These are somebody's from now on.
    pub(super) fn take(&mut self, listeners: &Listeners) {
        self.taken.extend(listeners.values());
    }
}

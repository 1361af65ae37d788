//! A Service with a shadow that is as its owner wrote it: not routed yet, or not any more.

use std::collections::BTreeMap;

use super::observed::carries;
use super::ports::Ports;
use super::{Case, Change, Next, Pair, State, Step, managed};
use crate::control::fields::given_back;
use crate::control::routing::{Routing, router_labels};
use crate::control::{patches, shadow};

impl Case<'_> {
    pub(super) fn plain(&self, pair: &Pair<'_>, ports: &Ports) -> Next {
        let Pair {
            service, shadow, ..
        } = *pair;
        match (pair.stained, shadow.progress.routed) {
            // Our own restore: nobody else's write leaves ownership of ours.
            (true, true) => {
                let mut shadow = shadow.clone();
                shadow.progress.routed = false;
                return Next::step(State::Draining, Step::UpdateShadow(Box::new(shadow)));
            }
            (true, false) => {
                let fields = given_back(managed(service), &shadow.managed_fields);
                let patch = patches::give_back(service, &fields);
                return Next::step(State::Draining, Step::Patch(Change::GiveBack, patch));
            }
            // It was routed and is not: somebody replaced it.
            (false, true) => return self.foreign(pair, ports),
            (false, false) => {}
        }
        if let Some(stand_down) = &shadow.stand_down {
            let state = State::StoodDown {
                reason: stand_down.reason.clone(),
                since: stand_down.time,
            };
            return self.stood_down(pair, state, ports);
        }
        if !self.is_wanted() {
            return self.leave(pair, State::Draining, ports);
        }
        if let Some(reason) = self.refusal() {
            return self.leave(pair, State::Refused { reason }, ports);
        }
        self.insert(pair, ports)
    }

    /// On the way to being routed.
    fn insert(&self, pair: &Pair<'_>, ports: &Ports) -> Next {
        let Pair {
            service, shadow, ..
        } = *pair;
        if let Some(update) = self.refreshed(pair, None, shadow.progress.switching, ports) {
            return update;
        }
        let routed = shadow.original.routed(&shadow.listeners);
        if let Some(roll) = self.missing_labels(&routed.selector) {
            let state = State::Waiting {
                reason: "the routers get labels by which the Service selects them".to_owned(),
            };
            return Next::step(state, roll);
        }
        if let Some(reason) = self.not_ready(pair, &routed) {
            return Next {
                awaited: true,
                ..Next::waiting(reason)
            };
        }
        let state = State::Waiting {
            reason: "it is switched to the routers".to_owned(),
        };
        // Before the first trace of it is on the Service: whoever removes the annotation, and puts a part of the Service back, must
        // not have the rest taken for their own.
        if !shadow.progress.switching {
            let mut shadow = shadow.clone();
            shadow.progress.switching = true;
            return Next {
                // What was answered counts for the next step too.
                awaited: true,
                ..Next::step(state, Step::UpdateShadow(Box::new(shadow)))
            };
        }
        let patch = patches::switch(service, &routed);
        Next::step(state, Step::Patch(Change::Switch, patch))
    }

    /// What is missing before the routers can answer.
    fn not_ready(&self, pair: &Pair<'_>, routed: &Routing) -> Option<String> {
        let Some(template) = &self.observed.template else {
            return Some("the base has no routers".to_owned());
        };
        let mine = self.observed.backends(self.name);
        let shadows = self.observed.backends(&shadow::name(self.name));
        if mine.ready != shadows.ready {
            return Some("its shadow does not have the base's pods yet".to_owned());
        }
        let ready: Vec<_> = self
            .observed
            .routers
            .iter()
            .filter(|router| router.ready)
            .collect();
        // With one router its end would be noticed by everybody.
        let enough = template.replicas.clamp(1, 2);
        if ready.len() < enough {
            return Some(format!("{} of {enough} routers are ready", ready.len()));
        }
        let some_base = !mine.ready.is_empty();
        let late = ready.iter().find(|router| {
            !router.has(&routed.selector)
                || !router.acknowledged(self.name, &pair.shadow.listeners, some_base)
        })?;
        Some(match late.has(&routed.selector) {
            true => format!("router {} has not acknowledged it yet", late.pod),
            false => format!("router {} has no label to be selected by yet", late.pod),
        })
    }

    /// Not to be routed: connections may go on for a while, then the shadow goes.
    fn leave(&self, pair: &Pair<'_>, state: State, ports: &Ports) -> Next {
        let since = pair.shadow.progress.drain_since;
        if let Some(update) = self.refreshed(pair, since, false, ports) {
            return update;
        }
        let mine = self.observed.backends(self.name);
        if mine.all != self.observed.backends(&shadow::name(self.name)).all {
            return Next::rest(state);
        }
        match since.map(|since| since + self.periods.drain) {
            None => {
                let mut shadow = pair.shadow.clone();
                shadow.progress.drain_since = Some(self.now);
                Next::step(state, Step::UpdateShadow(Box::new(shadow)))
            }
            Some(end) if end <= self.now => Next::step(state, Step::DeleteShadow),
            Some(end) => Next {
                again: Some(end),
                ..Next::rest(state)
            },
        }
    }

    /// Left alone, as long as anybody might wonder why.
    fn stood_down(&self, pair: &Pair<'_>, state: State, ports: &Ports) -> Next {
        let unused = pair.shadow.progress.unused_since;
        if !self.observed.admitted {
            return self.leave(pair, state, ports);
        }
        match (self.is_wanted(), unused) {
            (false, Some(since)) if since + self.periods.unused <= self.now => {
                return self.leave(pair, state, ports);
            }
            (false, Some(_)) | (true, None) => {}
            (false, None) | (true, Some(_)) => {
                let mut shadow = pair.shadow.clone();
                shadow.progress.unused_since = match unused {
                    None => Some(self.now),
                    Some(_) => None,
                };
                return Next::step(state, Step::UpdateShadow(Box::new(shadow)));
            }
        }
        let update = self.refreshed(pair, pair.shadow.progress.drain_since, false, ports);
        update.unwrap_or_else(|| Next {
            again: unused.map(|since| since + self.periods.unused),
            ..Next::rest(state)
        })
    }

    /// The shadow follows the Service. `None`: it does already.
    fn refreshed(
        &self,
        pair: &Pair<'_>,
        drain_since: Option<k8s_openapi::jiff::Timestamp>,
        switching: bool,
        ports: &Ports,
    ) -> Option<Next> {
        let mut fresh = match self.fresh(pair.service, Some(pair.shadow), ports) {
            Ok(fresh) => fresh,
            Err(reason) => return Some(Next::rest(State::Refused { reason })),
        };
        fresh.progress.drain_since = drain_since;
        fresh.progress.switching = switching;
        if pair.shadow.stand_down.is_some() {
            fresh.progress.unused_since = pair.shadow.progress.unused_since;
        }
        let object = self.observed.shadows.get(self.name);
        let intact = object.is_some_and(|object| pair.shadow.is_intact(object));
        if fresh == *pair.shadow && intact {
            return None;
        }
        let state = State::Waiting {
            reason: "its shadow follows it".to_owned(),
        };
        Some(Next::step(state, Step::UpdateShadow(Box::new(fresh))))
    }

    /// Labels that the template of the routers' pods lacks for this selector. Those for all other Services that could be routed are
    /// added at the same time: each change of the template rolls the routers.
    pub(super) fn missing_labels(&self, selector: &BTreeMap<String, String>) -> Option<Step> {
        let template = &self.observed.template.as_ref()?.labels;
        if carries(template, selector) {
            return None;
        }
        let others = self
            .observed
            .services
            .iter()
            .filter(|(name, _)| !self.observed.refusals.contains_key(*name));
        let keys = others.filter_map(|(_, service)| service.spec.as_ref()?.selector.as_ref());
        let mut labels = router_labels(keys.flat_map(BTreeMap::keys));
        labels.extend(selector.clone());
        labels.retain(|key, _| !template.contains_key(key));
        // A label with another value is somebody else's; `support` refuses such a Service.
        (!labels.is_empty() && selector.keys().any(|key| labels.contains_key(key)))
            .then_some(Step::LabelRouters(labels))
    }
}

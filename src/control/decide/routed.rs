//! A Service that the routers answer for.

use super::ports::Ports;
use super::{Case, Change, Next, Pair, State, Step, managed};
use crate::control::fields::given_back;
use crate::control::patches;

impl Case<'_> {
    pub(super) fn routed(&self, pair: &Pair<'_>, ports: &Ports) -> Next {
        let Pair {
            service, shadow, ..
        } = *pair;
        // First, because the owner's server-side apply would be refused until then.
        if pair.stained {
            let fields = given_back(managed(service), &shadow.managed_fields);
            let patch = patches::give_back(service, &fields);
            return Next::step(State::Routed, Step::Patch(Change::GiveBack, patch));
        }
        if let Err(end) = self.stays(pair, ports) {
            return self.restore(pair, end);
        }
        let used = self.is_wanted();
        let mut wanted = shadow.clone();
        wanted.progress.routed = true;
        wanted.progress.switching = false;
        wanted.progress.drain_since = None;
        wanted.progress.unused_since = match (used, shadow.progress.unused_since) {
            (true, _) => None,
            (false, Some(since)) => Some(since),
            (false, None) => Some(self.now),
        };
        let object = self.observed.shadows.get(self.name);
        let intact = object.is_some_and(|object| shadow.is_intact(object));
        if wanted != *shadow || !intact {
            return Next::step(State::Routed, Step::UpdateShadow(Box::new(wanted)));
        }
        // Pods that come later must have the labels too.
        if let Some(roll) = self.missing_labels(&pair.live.selector) {
            return Next::step(State::Routed, roll);
        }
        Next {
            again: wanted
                .progress
                .unused_since
                .map(|since| since + self.periods.unused),
            ..Next::rest(State::Routed)
        }
    }

    /// Whether it stays routed.
    fn stays(&self, pair: &Pair<'_>, ports: &Ports) -> Result<(), State> {
        let reached = self
            .observed
            .routers
            .iter()
            .any(|router| router.ready && router.has(&pair.live.selector));
        if !reached {
            return Err(State::Waiting {
                reason: "no router is ready".to_owned(),
            });
        }
        // Two processes that write at the same time could come to this.
        if !ports.are_of(self.name, &pair.shadow.listeners) {
            return Err(State::Waiting {
                reason: "the routers listen on its ports for another Service".to_owned(),
            });
        }
        if let Some(stand_down) = &pair.shadow.stand_down {
            return Err(State::StoodDown {
                reason: stand_down.reason.clone(),
                since: stand_down.time,
            });
        }
        if let Some(reason) = self.refusal() {
            return Err(State::Refused { reason });
        }
        let unused = pair.shadow.progress.unused_since;
        let expired = unused.is_some_and(|since| since + self.periods.unused <= self.now);
        if !self.observed.admitted || (expired && !self.is_wanted()) {
            return Err(State::Draining);
        }
        Ok(())
    }

    fn restore(&self, pair: &Pair<'_>, state: State) -> Next {
        let Pair {
            service, shadow, ..
        } = *pair;
        // What is given back afterwards must be what is there now.
        if shadow.managed_fields != managed(service) {
            let mut shadow = shadow.clone();
            shadow.managed_fields = managed(service).to_vec();
            return Next::step(state, Step::UpdateShadow(Box::new(shadow)));
        }
        let owners = pair.live.owners(&shadow.original, &shadow.listeners);
        let patch = patches::restore(service, &owners);
        Next::step(state, Step::Patch(Change::Restore, patch))
    }
}

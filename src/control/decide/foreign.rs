//! A Service that somebody else wrote to while it was routed: its owner's state stands, and it is left alone from then on.

use super::ports::Ports;
use super::{Case, Change, Next, Pair, State, Step, managed};
use crate::control::fields::given_back;
use crate::control::patches::{self, restore_annotation};
use crate::control::routing::Marks;

impl Case<'_> {
    pub(super) fn foreign(&self, pair: &Pair<'_>, ports: &Ports) -> Next {
        let Pair {
            service, shadow, ..
        } = *pair;
        let owners = pair.live.owners(&shadow.original, &shadow.listeners);
        let happened = self.what_happened(pair);
        let told = shadow
            .stand_down
            .clone()
            .unwrap_or_else(|| self.stand_down(happened));
        let state = State::StoodDown {
            reason: told.reason.clone(),
            since: told.time,
        };
        match pair.marks {
            // It may select nothing: at once, and only then recorded.
            Marks::Some => {
                let fields = match pair.stained {
                    true => given_back(managed(service), &shadow.managed_fields),
                    false => managed(service).to_vec(),
                };
                let patch = patches::repair(service, &owners, &fields);
                Next::step(state, Step::Patch(Change::Repair, patch))
            }
            // The routers answer, so there is time to record it first: without the annotation nothing else tells.
            Marks::All if shadow.stand_down.is_none() => {
                let mut shadow = shadow.clone();
                shadow.stand_down = Some(told);
                shadow.progress.routed = false;
                Next::step(state, Step::UpdateShadow(Box::new(shadow)))
            }
            Marks::All => {
                let patch = patches::restore(service, &owners);
                Next::step(state, Step::Patch(Change::Restore, patch))
            }
            Marks::None => {
                let is_recorded = shadow.stand_down.is_some() && !shadow.progress.routed;
                if is_recorded && restore_annotation(service).is_some() {
                    let patch = patches::unmark(service);
                    return Next::step(state, Step::Patch(Change::Unmark, patch));
                }
                // The shadow follows the owner, for connections that still go through the routers.
                let fresh = match self.fresh(service, Some(shadow), ports) {
                    Ok(fresh) => fresh,
                    Err(reason) => return Next::rest(State::Refused { reason }),
                };
                let recorded = super::Shadow {
                    // Who owned what before: the step that is left over gives it back.
                    managed_fields: patches::read_fields(service)
                        .unwrap_or_else(|| shadow.managed_fields.clone()),
                    stand_down: Some(told),
                    ..fresh
                };
                Next::step(state, Step::UpdateShadow(Box::new(recorded)))
            }
        }
    }

    fn what_happened(&self, pair: &Pair<'_>) -> &'static str {
        let same = pair.service.metadata.uid.as_deref() == Some(pair.shadow.progress.uid.as_str());
        if !same {
            return "the Service was deleted and created anew";
        }
        match pair.marks {
            Marks::All => "somebody removed the annotation dev/restore",
            Marks::Some | Marks::None => "somebody else changed its selector or ports",
        }
    }
}

//! PURE: what is to be done next, from what is there. Called again after every change: it remembers nothing, so it does not matter
//! what ended the process before, or between which writes.
//!
//! ```text
//! insertion  shadow → every ready router has acknowledged → progress.switching → Service: selector, target ports → field owners
//!            → progress.routed
//! removal    Service: as before → progress → field owners → slices are the base's pods → drain → no shadow
//! foreign    Service: the owner's state, wholly → stand-down → no annotation → field owners
//! ```
//!
//! There is at most one next step for a Service. Steps of different Services do not depend on each other.

mod foreign;
mod observed;
mod plain;
mod ports;
mod routed;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::control::fields::{given_back, is_stained};
use crate::control::listeners;
use crate::control::patches::{self, Patch, restore_annotation};
use crate::control::routing::{Marks, Routing};
use crate::control::shadow::{self, Progress, Shadow, StandDown, Traits};

use ports::Ports;

pub use observed::{Acked, AckedPort, Backends, Observed, Router, Template};

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub struct Periods {
    /// Established connections through the routers may go on for so long after new ones reach the base's pods.
    pub drain: SignedDuration,
    /// A Service that nobody overrides stays routed for so long: putting it back each night would only cost connections.
    pub unused: SignedDuration,
    /// A deleted Service that comes back within this time was made anew by its owner.
    pub gone: SignedDuration,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            drain: SignedDuration::from_mins(15),
            unused: SignedDuration::from_hours(24),
            gone: SignedDuration::from_mins(1),
        }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Creates the shadow.
    CreateShadow(Box<Shadow>),
    /// Makes the shadow so.
    UpdateShadow(Box<Shadow>),
    /// Deletes the shadow.
    DeleteShadow,
    /// Changes the Service.
    Patch(Change, Patch),
    /// Adds labels to the template of the routers' pods, which rolls them.
    LabelRouters(BTreeMap<String, String>),
}

/// What a patch of a Service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The routers answer.
    Switch,
    /// The base's pods answer again.
    Restore,
    /// The owner's state, after somebody else's write left a mixture.
    Repair,
    /// The annotation goes.
    Unmark,
    /// The ownership of fields goes back.
    GiveBack,
}

/// A step for a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// The Service.
    pub service: String,
    /// The step.
    pub step: Step,
}

/// How it is with a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// The routers answer.
    Routed,
    /// It will be routed.
    Waiting {
        /// For what.
        reason: String,
    },
    /// It was routed; connections may still go through the routers.
    Draining,
    /// Somebody else wrote to it, so it is left alone.
    StoodDown {
        /// What happened.
        reason: String,
        /// When.
        since: Timestamp,
    },
    /// It cannot be routed.
    Refused {
        /// Why.
        reason: String,
    },
    /// Nobody overrides it.
    Unused,
    /// Traces of routing that cannot be undone without its owner.
    Broken {
        /// What is wrong.
        reason: String,
    },
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// The next steps, at most one for a Service.
    pub acts: Vec<Act>,
    /// How it is with each Service that is, was or should be routed.
    pub states: BTreeMap<String, State>,
    /// Services whose acknowledgement by the routers is waited for.
    pub awaited: BTreeSet<String>,
    /// When to decide again although nothing changes.
    pub again: Option<Timestamp>,
}

/// What is to be done with one Service.
struct Next {
    state: State,
    step: Option<Step>,
    again: Option<Timestamp>,
    awaited: bool,
}

impl Next {
    fn rest(state: State) -> Self {
        Self {
            state,
            step: None,
            again: None,
            awaited: false,
        }
    }

    fn step(state: State, step: Step) -> Self {
        Self {
            step: Some(step),
            ..Self::rest(state)
        }
    }

    fn waiting(reason: impl Into<String>) -> Self {
        Self::rest(State::Waiting {
            reason: reason.into(),
        })
    }
}

/// Decides for all Services of the base.
pub fn decide(observed: &Observed, periods: &Periods, now: Timestamp) -> Decision {
    let mut decision = Decision::default();
    let mut ports = Ports::of(observed);
    let names: BTreeSet<&String> = observed
        .services
        .keys()
        .chain(observed.shadows.keys())
        .chain(&observed.wanted)
        .collect();
    for name in names {
        let case = Case {
            name,
            observed,
            periods,
            now,
        };
        let Some(next) = case.next(&ports) else {
            continue;
        };
        if let Some(Step::CreateShadow(shadow) | Step::UpdateShadow(shadow)) = &next.step {
            ports.take(&shadow.listeners);
        }
        decision.again = decision.again.into_iter().chain(next.again).min();
        if next.awaited {
            decision.awaited.insert(name.clone());
        }
        decision.states.insert(name.clone(), next.state);
        // One roll of the routers for all.
        let another_roll = matches!(next.step, Some(Step::LabelRouters(_)))
            && decision
                .acts
                .iter()
                .any(|act| matches!(act.step, Step::LabelRouters(_)));
        if let Some(step) = next.step.filter(|_| !another_roll) {
            decision.acts.push(Act {
                service: name.clone(),
                step,
            });
        }
    }
    decision
}

/// One Service and everything around it.
struct Case<'a> {
    name: &'a str,
    observed: &'a Observed,
    periods: &'a Periods,
    now: Timestamp,
}

/// A Service with a shadow that can be read.
struct Pair<'a> {
    service: &'a Service,
    shadow: &'a Shadow,
    live: Routing,
    marks: Marks,
    stained: bool,
}

impl Case<'_> {
    /// `None`: not worth a mention.
    fn next(&self, ports: &Ports) -> Option<Next> {
        let service = self.observed.services.get(self.name);
        let object = self.observed.shadows.get(self.name);
        let shadow = object.map(|object| Shadow::read(object));
        match (service, shadow) {
            (None, None) => Some(Next::waiting("the base has no such Service"))
                .filter(|_| self.observed.wanted.contains(self.name)),
            (None, Some(shadow)) => Some(self.gone(shadow.ok())),
            (Some(service), None) => self.alone(service, ports),
            (Some(service), Some(Err(why))) => Some(self.unreadable(service, &why)),
            (Some(service), Some(Ok(shadow))) => Some(self.pair(service, &shadow, ports)),
        }
    }

    fn pair(&self, service: &Service, shadow: &Shadow, ports: &Ports) -> Next {
        let live = Routing::of(service);
        let pair = Pair {
            marks: live.marks(&shadow.original, &shadow.listeners),
            stained: is_stained(managed(service)),
            live,
            service,
            shadow,
        };
        let marked = restore_annotation(service).is_some();
        let same = service.metadata.uid.as_deref() == Some(shadow.progress.uid.as_str());
        // A target port of the owner's may be the number of a listener that was never used.
        let untouched = !marked
            && !pair.stained
            && !shadow.progress.routed
            && !shadow.progress.switching
            && !pair.live.selects_some_router(&shadow.original);
        if untouched {
            return self.plain(&pair, ports);
        }
        match (pair.marks, marked) {
            (Marks::All, true) if same => self.routed(&pair, ports),
            (Marks::None, false) if same || !shadow.progress.routed => self.plain(&pair, ports),
            (Marks::All | Marks::Some | Marks::None, _) => self.foreign(&pair, ports),
        }
    }

    /// The Service is gone; its shadow is kept for a moment, because tools that replace a Service delete it first.
    fn gone(&self, shadow: Option<Shadow>) -> Next {
        let delete = Next::step(State::Draining, Step::DeleteShadow);
        let Some(mut shadow) = shadow else {
            return delete;
        };
        if shadow.progress.routed {
            shadow.progress.routed = false;
            shadow.stand_down = Some(self.stand_down("the Service was deleted"));
            return Next::step(State::Draining, Step::UpdateShadow(Box::new(shadow)));
        }
        match shadow.stand_down.map(|told| told.time + self.periods.gone) {
            Some(end) if end > self.now => Next {
                again: Some(end),
                ..Next::rest(State::Draining)
            },
            Some(_) | None => delete,
        }
    }

    /// A Service without a shadow.
    fn alone(&self, service: &Service, ports: &Ports) -> Option<Next> {
        if let Some(restored) = Self::by_annotation(service, "its shadow is gone") {
            return Some(restored);
        }
        // Whoever removed both the shadow and the annotation removed all that told what it was.
        // The routers' own Services select them too, at other ports.
        let live = Routing::of(service);
        let at_listeners = listeners::guess(&live.ports).len() == live.ports.len();
        if live.selects_some_router(&Routing::default()) && at_listeners {
            return Some(Next::rest(State::Broken {
                reason: "it selects the routers, and both its shadow and its annotation dev/restore are gone: only its owner can put it back".to_owned(),
            }));
        }
        if is_stained(managed(service)) {
            let fields = given_back(managed(service), &[]);
            let patch = patches::give_back(service, &fields);
            return Some(Next::step(
                State::Unused,
                Step::Patch(Change::GiveBack, patch),
            ));
        }
        if !self.is_wanted() {
            return None;
        }
        if let Some(reason) = self.refusal() {
            return Some(Next::rest(State::Refused { reason }));
        }
        let shadow = match self.fresh(service, None, ports) {
            Ok(shadow) => shadow,
            Err(reason) => return Some(Next::rest(State::Refused { reason })),
        };
        let state = State::Waiting {
            reason: "its shadow is made".to_owned(),
        };
        Some(Next::step(state, Step::CreateShadow(Box::new(shadow))))
    }

    /// Somebody changed the annotations of the shadow: without them nothing is safe, so it begins anew.
    fn unreadable(&self, service: &Service, why: &str) -> Next {
        let why = format!("its shadow cannot be read ({why})");
        Self::by_annotation(service, &why)
            .unwrap_or_else(|| Next::step(State::Draining, Step::DeleteShadow))
    }

    /// Restores a Service of which only its own annotation tells what it was: the routers have lost the base's pods. `None`: it has
    /// no annotation.
    fn by_annotation(service: &Service, why: &str) -> Option<Next> {
        restore_annotation(service)?;
        let Some(original) = patches::read_restore(service) else {
            return Some(Next::rest(State::Broken {
                reason: format!("{why}, and dev/restore does not tell what the Service was"),
            }));
        };
        let live = Routing::of(service);
        let owners = live.owners(&original, &listeners::guess(&live.ports));
        let patch = patches::restore(service, &owners);
        Some(Next::step(
            State::Draining,
            Step::Patch(Change::Restore, patch),
        ))
    }

    /// The shadow as it should be for a Service that is as its owner wrote it. What is remembered about draining ends with it.
    fn fresh(
        &self,
        service: &Service,
        before: Option<&Shadow>,
        ports: &Ports,
    ) -> Result<Shadow, String> {
        let original = Routing::of(service);
        let had = before.map(|before| &before.listeners);
        let listeners = ports.allot(self.name, &original.ports, had);
        Ok(Shadow {
            service: self.name.to_owned(),
            listeners: listeners.ok_or("the routers have no free ports left")?,
            original,
            managed_fields: managed(service).to_vec(),
            progress: Progress {
                uid: service.metadata.uid.clone().unwrap_or_default(),
                ..Progress::default()
            },
            stand_down: before.and_then(|before| before.stand_down.clone()),
            traits: Traits::of(service),
        })
    }

    fn stand_down(&self, reason: &str) -> StandDown {
        StandDown {
            reason: reason.to_owned(),
            time: self.now,
        }
    }

    /// Whether an environment overrides it and the base admits any.
    fn is_wanted(&self) -> bool {
        self.observed.admitted && self.observed.wanted.contains(self.name)
    }

    /// Why it cannot be routed.
    fn refusal(&self) -> Option<String> {
        let shadow = shadow::name(self.name);
        if self.observed.services.contains_key(&shadow) {
            return Some(format!("the name of its shadow, {shadow}, is taken"));
        }
        self.observed.refusals.get(self.name).cloned()
    }
}

fn managed(
    service: &Service,
) -> &[k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry] {
    service
        .metadata
        .managed_fields
        .as_deref()
        .unwrap_or_default()
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

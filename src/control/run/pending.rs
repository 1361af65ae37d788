//! Which Services have a write on its way, or must wait after one that failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::control::decide::Step;
use crate::error::Error;

/// After an outdated write: by then the watch has usually told what changed.
const OUTDATED: Duration = Duration::from_millis(50);
/// After the first failed write; doubled up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pending(BTreeMap<String, Entry>);

#[derive(Debug, Default)]
struct Entry {
    running: bool,
    /// Ports of the routers that it gives to the Service.
    ports: BTreeSet<u16>,
    not_before: Option<Instant>,
    /// Writes without success in a row.
    tries: u32,
    failure: Option<String>,
}

impl Pending {
    /// Whether a write may begin. The error: when to ask again, if that is known.
    pub(super) fn may_begin(&self, service: &str, now: Instant) -> Result<(), Option<Instant>> {
        match self.0.get(service) {
            Some(entry) if entry.running => Err(None),
            Some(Entry {
                not_before: Some(at),
                ..
            }) if *at > now => Err(Some(*at)),
            Some(_) | None => Ok(()),
        }
    }

    /// A step is being carried out.
    pub(super) fn began(&mut self, service: &str, step: &Step) {
        let entry = self.0.entry(service.to_owned()).or_default();
        entry.running = true;
        entry.ports = match step {
            Step::CreateShadow(shadow) | Step::UpdateShadow(shadow) => {
                shadow.listeners.values().copied().collect()
            }
            Step::DeleteShadow | Step::Patch(..) | Step::LabelRouters(_) => BTreeSet::new(),
        };
    }

    /// The ports of the routers that are being given to Services.
    pub(super) fn ports(&self) -> BTreeSet<u16> {
        let running = self.0.values().filter(|entry| entry.running);
        running.flat_map(|entry| &entry.ports).copied().collect()
    }

    pub(super) fn succeeded(&mut self, service: &str) {
        self.0.remove(service);
    }

    pub(super) fn outdated(&mut self, service: &str, now: Instant) {
        let entry = self.0.entry(service.to_owned()).or_default();
        entry.running = false;
        // The first time is no more than a race; ever again means that something is not as it is thought to be.
        entry.tries = entry.tries.saturating_add(1);
        let pause = OUTDATED.saturating_mul(2_u32.saturating_pow(entry.tries.saturating_sub(4)));
        entry.not_before = Some(now + pause.min(LONGEST));
    }

    pub(super) fn failed(&mut self, service: &str, now: Instant, error: &Error) {
        let entry = self.0.entry(service.to_owned()).or_default();
        entry.running = false;
        entry.failure = Some(error.to_string());
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(entry.tries.min(16)));
        entry.tries = entry.tries.saturating_add(1);
        entry.not_before = Some(now + pause.min(LONGEST));
    }

    /// What failed last, by Service.
    pub(super) fn failures(&self) -> Vec<String> {
        let failures = self.0.iter().filter_map(|(service, entry)| {
            let failure = entry.failure.as_ref()?;
            Some(format!("Service {service}: {failure}"))
        });
        failures.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_write_at_a_time_and_ever_later_after_failures() {
        let mut pending = Pending::default();
        let mut now = Instant::now();
        assert_eq!(pending.may_begin("a", now), Ok(()));
        pending.began("a", &Step::DeleteShadow);
        assert_eq!(pending.may_begin("a", now), Err(None));
        assert_eq!(pending.may_begin("b", now), Ok(()));
        let mut pauses = Vec::new();
        for _ in 0..10 {
            pending.failed("a", now, &Error::failed("no"));
            let Err(Some(at)) = pending.may_begin("a", now) else {
                panic!();
            };
            pauses.push(at - now);
            now = at;
            assert_eq!(pending.may_begin("a", now), Ok(()));
        }
        assert_eq!(pauses[0], FIRST);
        assert_eq!(pauses[9], LONGEST);
        assert_eq!(pending.failures(), ["Service a: no"]);
        pending.succeeded("a");
        pending.outdated("a", now);
        assert_eq!(pending.may_begin("a", now), Err(Some(now + OUTDATED)));
        assert!(pending.failures().is_empty());
    }
}

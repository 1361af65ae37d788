//! PURE: one type of resources on one stream: what Envoy asked for, what it has, what it is to be sent next.
//!
//! At most one response is under way at a time, so that what changes meanwhile is sent once, in its latest state.
//! A response that is refused is sent again in halves until the resource that is at fault is alone; that one is not sent
//! again before it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource as Sendable,
};

use super::kind::Kind;
use crate::router::envoy::snapshot::{Resource, Resources};

/// So many resources, or bytes of them, are sent in one response: Envoy's main thread takes each in one go.
const MOST_RESOURCES: usize = 1000;
const MOST_BYTES: usize = 1024 * 1024;

/// Envoy's name for everything of a type.
const WILDCARD: &str = "*";

/// The state of one type.
#[derive(Debug)]
pub(super) struct Subscription {
    kind: Kind,
    /// The first request of the stream has come.
    begun: bool,
    /// Something was sent, or Envoy said that it has something: it does not wait for a first answer.
    greeted: bool,
    wildcard: bool,
    /// What was asked for by name.
    names: BTreeSet<String>,
    /// What Envoy has: version by name.
    accepted: BTreeMap<String, String>,
    /// What it refused: the version (`None`: the removal) and its words.
    rejected: BTreeMap<String, (Option<String>, String)>,
    /// Names whose state may be another than wanted.
    check: BTreeSet<String>,
    /// Names that Envoy is told of also when they do not exist.
    tell: BTreeSet<String>,
    sent: Option<Sent>,
    /// How many resources the next response may have.
    batch: usize,
    /// Changes of `accepted` that nobody has taken yet.
    changes: Vec<(String, Option<String>)>,
}

/// A response that is not answered yet.
#[derive(Debug)]
struct Sent {
    nonce: String,
    /// `None`: was sent as removed.
    versions: BTreeMap<String, Option<String>>,
    /// Names for which an acceptance says nothing any more.
    void: BTreeSet<String>,
}

/// What a request said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Everything is wanted from now on: see [`Subscription::review`].
    pub(super) review: bool,
    /// Names that were asked for and that Envoy has nothing of.
    pub(super) asked: Vec<String>,
    /// Names about which nothing more is to be said for now: accepted, refused for good, or wanted no more by Envoy.
    pub(super) closed: Vec<String>,
}

impl Subscription {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            begun: false,
            greeted: false,
            wildcard: false,
            names: BTreeSet::new(),
            accepted: BTreeMap::new(),
            rejected: BTreeMap::new(),
            check: BTreeSet::new(),
            tell: BTreeSet::new(),
            sent: None,
            batch: MOST_RESOURCES,
            changes: Vec::new(),
        }
    }

    /// Takes a request of this type.
    pub(super) fn hear(&mut self, request: &DeltaDiscoveryRequest) -> Heard {
        let mut heard = Heard::default();
        self.answered(request, &mut heard);
        let first = !std::mem::replace(&mut self.begun, true);
        if first {
            for (name, version) in &request.initial_resource_versions {
                self.greeted = true;
                self.accept(name, Some(version.clone()));
                self.check.insert(name.clone());
            }
            if request.resource_names_subscribe.is_empty() && self.kind.is_asked_for_as_a_whole() {
                self.wildcard = true;
                heard.review = true;
            }
        }
        for name in &request.resource_names_unsubscribe {
            self.unsubscribe(name);
            heard.closed.push(name.clone());
        }
        for name in &request.resource_names_subscribe {
            if name == WILDCARD {
                self.wildcard = true;
                heard.review = true;
                continue;
            }
            self.names.insert(name.clone());
            // Who asks has forgotten what it had, unless it says otherwise at the start.
            if !(first && request.initial_resource_versions.contains_key(name)) {
                self.forget(name);
                self.tell.insert(name.clone());
                heard.asked.push(name.clone());
            }
        }
        heard
    }

    /// Whether a request accepts or refuses what was sent.
    fn answered(&mut self, request: &DeltaDiscoveryRequest, heard: &mut Heard) {
        let Some(sent) = self
            .sent
            .take_if(|sent| sent.nonce == request.response_nonce)
        else {
            return;
        };
        match &request.error_detail {
            None => {
                self.batch = (self.batch * 2).min(MOST_RESOURCES);
                for (name, version) in sent.versions {
                    if !sent.void.contains(&name) {
                        self.rejected.remove(&name);
                        self.tell.remove(&name);
                        self.accept(&name, version);
                        heard.closed.push(name);
                    }
                }
            }
            Some(_) if sent.versions.len() > 1 => {
                self.batch = sent.versions.len() / 2;
                // Part of it may have been taken, so that also a later absence is to be told.
                self.tell.extend(sent.versions.keys().cloned());
                self.check.extend(sent.versions.into_keys());
            }
            Some(error) => {
                for (name, version) in sent.versions {
                    heard.closed.push(name.clone());
                    self.rejected.insert(name, (version, error.message.clone()));
                }
            }
        }
    }

    fn unsubscribe(&mut self, name: &str) {
        if name == WILDCARD {
            self.wildcard = false;
            let gone: Vec<String> = self
                .accepted
                .keys()
                .filter(|name| !self.names.contains(*name))
                .cloned()
                .collect();
            for name in gone {
                self.accept(&name, None);
            }
            return;
        }
        if !self.names.remove(name) {
            return;
        }
        self.forget(name);
        if self.wildcard {
            // Envoy cannot know whether the name is part of everything: the protocol asks for an answer.
            self.tell.insert(name.to_owned());
        } else {
            self.check.remove(name);
            self.tell.remove(name);
            self.rejected.remove(name);
        }
    }

    /// Envoy does not have this any more, or has to be given it once more.
    pub(super) fn forget(&mut self, name: &str) {
        self.accept(name, None);
        self.rejected.remove(name);
        self.check.insert(name.to_owned());
        if let Some(sent) = &mut self.sent {
            sent.void.insert(name.to_owned());
        }
    }

    fn accept(&mut self, name: &str, version: Option<String>) {
        let changed = match &version {
            Some(version) => {
                self.accepted
                    .insert(name.to_owned(), version.clone())
                    .as_ref()
                    != Some(version)
            }
            None => self.accepted.remove(name).is_some(),
        };
        if changed {
            self.changes.push((name.to_owned(), version));
        }
    }

    /// Compares everything that Envoy has with everything that is wanted.
    pub(super) fn review(&mut self, wanted: &Resources) {
        let differs = |(name, resource): &(&String, &Arc<Resource>)| {
            self.accepted.get(*name) != Some(&resource.version)
        };
        let new = wanted.iter().filter(differs).map(|(name, _)| name.clone());
        let new: Vec<String> = new.collect();
        let gone = |name: &&String| !wanted.contains_key(*name);
        let known = self.accepted.keys().chain(self.rejected.keys());
        let old: Vec<String> = known.filter(gone).cloned().collect();
        // What is under way may be accepted and be wanted no more then.
        let sent = self.sent.iter().flat_map(|sent| sent.versions.keys());
        let sent: Vec<String> = sent.cloned().collect();
        self.check.extend(new.into_iter().chain(old).chain(sent));
    }

    /// The next response, when there is something to say and nothing is under way. `may_remove`: whether what Envoy has
    /// and is wanted no more may be removed now.
    pub(super) fn next<'a>(
        &mut self,
        wanted: impl Fn(&str) -> Option<&'a Arc<Resource>>,
        may_remove: impl Fn(&str) -> bool,
        nonce: &mut u64,
    ) -> Option<DeltaDiscoveryResponse> {
        if !self.begun || self.sent.is_some() {
            return None;
        }
        let mut response = DeltaDiscoveryResponse::default();
        let mut versions = BTreeMap::new();
        let mut held = BTreeSet::new();
        let mut bytes = 0;
        while versions.len() < self.batch && bytes < MOST_BYTES {
            let Some(name) = self.check.pop_first() else {
                break;
            };
            match wanted(&name) {
                Some(resource) if self.needs(&name, resource) => {
                    bytes += resource.body.value.len();
                    response.resources.push(Sendable {
                        name: name.clone(),
                        version: resource.version.clone(),
                        resource: Some(resource.body.clone()),
                        ..Sendable::default()
                    });
                    versions.insert(name, Some(resource.version.clone()));
                }
                Some(_) => {}
                None => match self.absent(&name, &may_remove) {
                    Absent::Tell => {
                        response.removed_resources.push(name.clone());
                        versions.insert(name, None);
                    }
                    Absent::Hold => {
                        held.insert(name);
                    }
                    Absent::Leave => {}
                },
            }
        }
        self.check.append(&mut held);
        if versions.is_empty() && (self.greeted || !self.wildcard) {
            return None;
        }
        self.greeted = true;
        *nonce += 1;
        response.nonce = nonce.to_string();
        response.type_url = self.kind.type_url();
        self.sent = Some(Sent {
            nonce: response.nonce.clone(),
            versions,
            void: BTreeSet::new(),
        });
        Some(response)
    }

    fn needs(&self, name: &str, resource: &Resource) -> bool {
        let refused = self.rejected.get(name);
        (self.wildcard || self.names.contains(name))
            && self.accepted.get(name) != Some(&resource.version)
            && refused.is_none_or(|(version, _)| version.as_ref() != Some(&resource.version))
    }

    /// What is to be done about a name that is not wanted.
    fn absent(&mut self, name: &str, may_remove: impl Fn(&str) -> bool) -> Absent {
        if matches!(self.rejected.get(name), Some((None, _))) {
            return Absent::Leave;
        }
        let has = self.accepted.contains_key(name);
        if !has && self.tell.contains(name) {
            self.rejected.remove(name);
            return Absent::Tell;
        }
        // Endpoints and routes end with what refers to them: Envoy stops asking for them.
        if !has || !self.wildcard {
            self.rejected.remove(name);
            return Absent::Leave;
        }
        if may_remove(name) {
            Absent::Tell
        } else {
            Absent::Hold
        }
    }

    /// Whether all was said that may be said now, and answered. To be asked after [`Subscription::next`] gave nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.begun && self.sent.is_none()
    }

    /// Whether Envoy has asked for anything of this type.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether something was refused.
    pub(super) fn has_rejected(&self) -> bool {
        !self.rejected.is_empty()
    }

    /// Whether this one was refused.
    pub(super) fn has_rejected_one(&self, name: &str) -> bool {
        self.rejected.contains_key(name)
    }

    /// What was refused, and Envoy's words.
    pub(super) fn rejections(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rejected
            .iter()
            .map(|(name, (_, message))| (name.as_str(), message.as_str()))
    }

    /// What is asked for by name.
    pub(super) fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// What Envoy has got or lost since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<(String, Option<String>)> {
        std::mem::take(&mut self.changes)
    }
}

enum Absent {
    /// Tell Envoy that it is gone.
    Tell,
    /// Not yet.
    Hold,
    /// Nothing.
    Leave,
}

#[cfg(test)]
mod tests;

//! The state of a service, and which objects it is made of.

use serde::Serialize;

use crate::cluster::health::Trouble;
use crate::manifest::ObjectKey;

/// A service and the objects that must be ready for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceObjects {
    /// The service's name.
    pub service: String,
    /// Its workloads and claims. Objects of other kinds are ignored: there is nothing to wait for.
    pub workloads: Vec<Target>,
}

/// One applied object: an older state than the applied one says nothing about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Which object.
    pub key: ObjectKey,
    /// `metadata.uid` as the API server answered, where known: an object with another uid is another object.
    pub uid: Option<String>,
    /// `metadata.generation` as the API server answered, where known: a lower one is an older state.
    pub generation: Option<i64>,
    /// Whether it is known to have been there.
    pub known: Known,
}

/// What is known of an object besides what the watch shows: without that, one that is missing may only not have been seen yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    #[default]
    Nothing,
    /// It was there when so many lists of its kind had begun: a later list without it means that it was deleted.
    There {
        /// As in `World::lists`.
        lists: u32,
    },
    /// It was deleted.
    Gone,
}

impl Target {
    /// Whatever object has this key.
    pub fn new(key: ObjectKey) -> Self {
        Self {
            key,
            uid: None,
            generation: None,
            known: Known::Nothing,
        }
    }

    /// The object of this key that was just applied: where it is missing, somebody deleted it.
    #[must_use]
    pub fn applied(self) -> Self {
        Self {
            known: Known::There { lists: 0 },
            ..self
        }
    }
}

/// How a service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// The service's name.
    pub service: String,
    /// Replicas of the new version that are ready.
    pub ready: u32,
    /// Replicas that are wanted; 0 for a service without workloads.
    pub wanted: u32,
    /// The state in a few words, for a line of progress.
    pub text: String,
    /// The state.
    #[serde(flatten)]
    pub state: State,
}

/// The state of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// The new version runs everywhere it should.
    Ready,
    /// On its way, nothing is wrong.
    Progressing,
    /// Something is wrong, but Kubernetes goes on trying: it may recover.
    Troubled {
        /// At least one, the most telling first.
        troubles: Vec<Trouble>,
    },
    /// Something went wrong and nothing will be tried again.
    Failed {
        /// What went wrong.
        trouble: Box<Trouble>,
    },
}

impl Health {
    /// Whether the wait for it is over well.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Whether the wait for it is over badly.
    pub fn is_failed(&self) -> bool {
        matches!(self.state, State::Failed { .. })
    }

    /// The troubles, the most telling first; empty where nothing is wrong.
    pub fn troubles(&self) -> &[Trouble] {
        match &self.state {
            State::Ready | State::Progressing => &[],
            State::Troubled { troubles } => troubles,
            State::Failed { trouble } => std::slice::from_ref(trouble),
        }
    }
}

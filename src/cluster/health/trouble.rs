//! What can be wrong with a service, as typed reasons with hints.

use std::fmt;

use serde::Serialize;

use crate::cluster::health::{Obstacle, PullFailure};
use crate::manifest::ObjectKey;

/// One thing that keeps a service from being ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// Why, for programs.
    pub reason: Reason,
    /// The object that has the trouble.
    #[serde(serialize_with = "key_as_string")]
    pub object: ObjectKey,
    /// How many more objects of the same owner have the same trouble.
    #[serde(skip_serializing_if = "is_zero")]
    pub others: u32,
    /// The container, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// One sentence for people, without a full stop.
    pub message: String,
    /// What the cluster said, in its own words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    /// The last lines that the container itself wrote.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Which lines belong to it.
    #[serde(skip)]
    pub(super) log: Option<LogWanted>,
}

/// One run of one container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogKey {
    /// The pod's uid.
    pub uid: String,
    /// The container's name.
    pub container: String,
    /// Which run, counted from 0: the restarts before it.
    pub run: i32,
}

/// The last lines of a container that would tell more about a trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogWanted {
    /// Of which run.
    pub key: LogKey,
    /// The pod's name.
    pub pod: String,
    /// Whether it is the run before the present one.
    pub previous: bool,
}

/// Why a service is not ready. Serialised as `{"code": "CrashLoop", "exitCode": 1, …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all_fields = "camelCase")]
pub enum Reason {
    /// The image cannot be had.
    ImagePull {
        /// Why not.
        why: PullFailure,
    },
    /// The container ends again and again.
    CrashLoop {
        /// Its exit code.
        exit_code: i32,
        /// The signal that ended it, where one did.
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<&'static str>,
        /// Restarts so far.
        restarts: i32,
    },
    /// The kernel ended the container because it wanted more memory than it may have.
    OutOfMemory {
        /// Restarts so far.
        restarts: i32,
    },
    /// An init container fails, so the others never start.
    InitContainer {
        /// Its exit code.
        exit_code: i32,
        /// Restarts so far.
        restarts: i32,
    },
    /// The container cannot be made: something that it refers to is missing or forbidden.
    ContainerConfig,
    /// The container cannot be started: its command, its user, a device.
    ContainerStart,
    /// The pod's sandbox (its network) cannot be made.
    PodSandbox,
    /// No node takes the pod.
    Unschedulable {
        /// What stands in the way, node by node.
        obstacles: Vec<Obstacle>,
    },
    /// The namespace's quota is used up or asks for values that the pod lacks.
    QuotaExceeded,
    /// An admission rule of the cluster refuses the pod.
    AdmissionRefused {
        /// Whose rule: `PodSecurity`, `LimitRange`, a webhook's or policy's name.
        by: String,
    },
    /// The controller cannot make the pod for another reason.
    PodCreation,
    /// A probe fails.
    ProbeFailing {
        /// Which.
        probe: Probe,
    },
    /// A claim has no volume.
    PvcPending,
    /// A volume cannot be attached or mounted.
    VolumeMount,
    /// The pod was evicted from its node.
    Evicted,
    /// The pod's node is gone or does not answer.
    NodeLost,
    /// The Job gave up.
    JobFailed,
    /// A pod that is not restarted ended with an error.
    PodFailed,
    /// The Deployment made no progress for its `progressDeadlineSeconds`.
    ProgressDeadlineExceeded,
    /// The Deployment is paused before it was complete.
    Paused,
    /// The object is not there, though it was applied.
    Missing,
    /// Somebody deleted the object while it was waited for.
    Deleted,
}

/// One of a container's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// Requests are kept away while it fails.
    Readiness,
    /// The container is restarted when it fails.
    Liveness,
    /// The other probes wait for it.
    Startup,
}

impl Probe {
    /// As in `readinessProbe`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
            Self::Startup => "startup",
        }
    }
}

impl Reason {
    /// The code in CamelCase: what [`crate::error::Error::reason`] takes.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ImagePull { .. } => "ImagePull",
            Self::CrashLoop { .. } => "CrashLoop",
            Self::OutOfMemory { .. } => "OutOfMemory",
            Self::InitContainer { .. } => "InitContainer",
            Self::ContainerConfig => "ContainerConfig",
            Self::ContainerStart => "ContainerStart",
            Self::PodSandbox => "PodSandbox",
            Self::Unschedulable { .. } => "Unschedulable",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::AdmissionRefused { .. } => "AdmissionRefused",
            Self::PodCreation => "PodCreation",
            Self::ProbeFailing { .. } => "ProbeFailing",
            Self::PvcPending => "PvcPending",
            Self::VolumeMount => "VolumeMount",
            Self::Evicted => "Evicted",
            Self::NodeLost => "NodeLost",
            Self::JobFailed => "JobFailed",
            Self::PodFailed => "PodFailed",
            Self::ProgressDeadlineExceeded => "ProgressDeadlineExceeded",
            Self::Paused => "Paused",
            Self::Missing => "Missing",
            Self::Deleted => "Deleted",
        }
    }

    /// How much it tells: troubles are ordered by it, the lowest first. A cause comes before its consequences.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::JobFailed | Self::PodFailed | Self::Deleted => 0,
            Self::QuotaExceeded | Self::AdmissionRefused { .. } | Self::PodCreation => 1,
            Self::ImagePull { .. } | Self::ContainerConfig => 2,
            Self::OutOfMemory { .. } | Self::CrashLoop { .. } | Self::InitContainer { .. } => 3,
            Self::ContainerStart | Self::PodSandbox => 3,
            Self::PvcPending => 4,
            Self::Unschedulable { .. } => 5,
            Self::VolumeMount => 6,
            Self::ProbeFailing { .. } => 7,
            Self::NodeLost | Self::Evicted => 8,
            Self::Paused | Self::Missing => 9,
            Self::ProgressDeadlineExceeded => 10,
        }
    }
}

impl Trouble {
    /// A trouble of an object, without details yet.
    pub(super) fn new(reason: Reason, object: ObjectKey, message: impl Into<String>) -> Self {
        Self {
            reason,
            object,
            others: 0,
            container: None,
            message: message.into(),
            detail: Vec::new(),
            lines: Vec::new(),
            hint: None,
            log: None,
        }
    }

    pub(super) fn container(mut self, name: &str) -> Self {
        self.container = Some(name.to_owned());
        self
    }

    /// Adds the cluster's own words, where there are any.
    pub(super) fn detail(mut self, text: &str) -> Self {
        let text = text.trim();
        if !text.is_empty() {
            self.detail.push(text.to_owned());
        }
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Trouble {
    /// `Pod web-1, container web: the message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object)?;
        if self.others > 0 {
            write!(f, " (and {} more)", self.others)?;
        }
        if let Some(container) = &self.container {
            write!(f, ", container {container}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Puts together what several objects have in common, and orders by what tells most.
pub(super) fn merge(troubles: Vec<Trouble>) -> Vec<Trouble> {
    let mut merged: Vec<Trouble> = Vec::new();
    for trouble in troubles {
        // What is missing is told by name.
        let alike = !matches!(trouble.reason, Reason::Missing | Reason::Deleted);
        let same = merged.iter_mut().find(|seen| {
            alike
                && seen.reason.code() == trouble.reason.code()
                && seen.object.kind == trouble.object.kind
                && seen.container == trouble.container
        });
        match same {
            Some(seen) if seen.object.name != trouble.object.name => {
                seen.others += 1;
            }
            // The same object again, such as a probe that fails in two ways: the first says enough.
            Some(_) => {}
            None => merged.push(trouble),
        }
    }
    merged.sort_by_key(|trouble| trouble.reason.rank());
    merged
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn key_as_string<S: serde::Serializer>(key: &ObjectKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}/{}", key.kind, key.name))
}

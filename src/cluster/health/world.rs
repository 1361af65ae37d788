//! What was read of a namespace: the objects that health is judged from.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use crate::cluster::health::LogKey;

/// A kind of object that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Watched {
    /// `apps/v1` Deployments.
    Deployments,
    /// `apps/v1` StatefulSets.
    StatefulSets,
    /// `apps/v1` DaemonSets.
    DaemonSets,
    /// `apps/v1` ReplicaSets.
    ReplicaSets,
    /// `batch/v1` Jobs.
    Jobs,
    /// Pods.
    Pods,
    /// PersistentVolumeClaims.
    Claims,
    /// Events that warn.
    Events,
    /// Events about claims: what keeps one from its volume is not told as a warning.
    ClaimEvents,
}

impl Watched {
    /// The kind of the workload objects of this API version and kind, if it is waited for.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        match (api_version, kind) {
            ("apps/v1", "Deployment") => Some(Self::Deployments),
            ("apps/v1", "StatefulSet") => Some(Self::StatefulSets),
            ("apps/v1", "DaemonSet") => Some(Self::DaemonSets),
            ("apps/v1", "ReplicaSet") => Some(Self::ReplicaSets),
            ("batch/v1", "Job") => Some(Self::Jobs),
            ("v1", "Pod") => Some(Self::Pods),
            ("v1", "PersistentVolumeClaim") => Some(Self::Claims),
            _ => None,
        }
    }

    /// Group, version, kind and plural.
    pub const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Deployments => ("apps", "v1", "Deployment", "deployments"),
            Self::StatefulSets => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::DaemonSets => ("apps", "v1", "DaemonSet", "daemonsets"),
            Self::ReplicaSets => ("apps", "v1", "ReplicaSet", "replicasets"),
            Self::Jobs => ("batch", "v1", "Job", "jobs"),
            Self::Pods => ("", "v1", "Pod", "pods"),
            Self::Claims => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::Events | Self::ClaimEvents => ("", "v1", "Event", "events"),
        }
    }

    /// The resource's plural name.
    pub const fn resource(self) -> &'static str {
        self.names().3
    }
}

/// The objects of one namespace, by name.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Kinds whose objects were all read at least once: only of these does a missing object mean something.
    pub synced: BTreeSet<Watched>,
    /// Deployments.
    pub deployments: BTreeMap<String, Deployment>,
    /// StatefulSets.
    pub stateful_sets: BTreeMap<String, StatefulSet>,
    /// DaemonSets.
    pub daemon_sets: BTreeMap<String, DaemonSet>,
    /// ReplicaSets.
    pub replica_sets: BTreeMap<String, ReplicaSet>,
    /// Jobs.
    pub jobs: BTreeMap<String, Job>,
    /// Pods.
    pub pods: BTreeMap<String, Pod>,
    /// Claims.
    pub claims: BTreeMap<String, PersistentVolumeClaim>,
    /// Events that warn.
    pub events: BTreeMap<String, Event>,
    /// Events about claims.
    pub claim_events: BTreeMap<String, Event>,
    /// Uids of Jobs that were complete when they were removed (`ttlSecondsAfterFinished`).
    pub finished_jobs: BTreeSet<String>,
    /// Uids of all objects that services may be made of and that were ever seen.
    pub seen: HashSet<String>,
    /// Uids of Jobs that were seen to be deleted.
    pub deleted_jobs: HashSet<String>,
    /// Lists of each kind: how many were begun, and the number (from 1) of the one that was read last.
    pub lists: BTreeMap<Watched, Lists>,
    /// The last lines of containers that were asked for.
    pub logs: BTreeMap<LogKey, Vec<String>>,
    /// When each run of a container was first seen running, by the clock of this machine.
    pub first_seen: HashMap<LogKey, Timestamp>,
}

/// The lists of a kind so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// How many were begun.
    pub begun: u32,
    /// The number, from 1, of the one that was read last.
    pub read: u32,
}

/// The objects of a world, by what refers to them. Made once for each look at it.
#[derive(Debug)]
pub struct Index<'a> {
    /// The objects.
    pub world: &'a World,
    pods: HashMap<&'a str, Vec<&'a Pod>>,
    replica_sets: HashMap<&'a str, Vec<&'a ReplicaSet>>,
    events: HashMap<&'a str, Vec<&'a Event>>,
}

impl World {
    /// The uid of an object that services may be made of.
    pub fn uid_of(&self, kind: Watched, name: &str) -> Option<&str> {
        let meta = match kind {
            Watched::Deployments => self.deployments.get(name).map(|one| &one.metadata),
            Watched::StatefulSets => self.stateful_sets.get(name).map(|one| &one.metadata),
            Watched::DaemonSets => self.daemon_sets.get(name).map(|one| &one.metadata),
            Watched::ReplicaSets => self.replica_sets.get(name).map(|one| &one.metadata),
            Watched::Jobs => self.jobs.get(name).map(|one| &one.metadata),
            Watched::Pods => self.pods.get(name).map(|one| &one.metadata),
            Watched::Claims => self.claims.get(name).map(|one| &one.metadata),
            Watched::Events | Watched::ClaimEvents => None,
        };
        meta?.uid.as_deref()
    }

    /// How far the lists of a kind are.
    pub fn lists_of(&self, kind: Watched) -> Lists {
        self.lists.get(&kind).copied().unwrap_or_default()
    }

    /// The last lines of this run, or of the latest run before it that any were read of.
    pub fn lines(&self, key: &LogKey) -> &[String] {
        let first = LogKey {
            run: 0,
            ..key.clone()
        };
        let found = self.logs.range(first..=key.clone()).next_back();
        found.map_or(&[], |(_, lines)| lines.as_slice())
    }

    /// Notes which containers run, so that their age is known whatever the cluster's clock says.
    pub fn note_running(&mut self, pod: &Pod, now: Timestamp) {
        let statuses = pod.status.iter().flat_map(|status| {
            let init = status.init_container_statuses.iter().flatten();
            init.chain(status.container_statuses.iter().flatten())
        });
        for status in statuses {
            let running = status
                .state
                .as_ref()
                .and_then(|state| state.running.as_ref());
            if running.is_some() {
                let key = LogKey {
                    uid: uid(&pod.metadata).to_owned(),
                    container: status.name.clone(),
                    run: status.restart_count,
                };
                self.first_seen.entry(key).or_insert(now);
            }
        }
    }
}

impl<'a> Index<'a> {
    /// Indexes a world.
    pub fn new(world: &'a World) -> Self {
        let mut index = Self {
            world,
            pods: HashMap::new(),
            replica_sets: HashMap::new(),
            events: HashMap::new(),
        };
        for pod in world.pods.values() {
            if let Some(owner) = owner_uid(&pod.metadata) {
                index.pods.entry(owner).or_default().push(pod);
            }
        }
        for set in world.replica_sets.values() {
            if let Some(owner) = owner_uid(&set.metadata) {
                index.replica_sets.entry(owner).or_default().push(set);
            }
        }
        for event in world.events.values().chain(world.claim_events.values()) {
            if let Some(uid) = event.involved_object.uid.as_deref() {
                index.events.entry(uid).or_default().push(event);
            }
        }
        index
    }

    /// Pods whose controller is the object with this uid.
    pub fn pods_of(&self, owner: &str) -> &[&'a Pod] {
        self.pods.get(owner).map_or(&[], Vec::as_slice)
    }

    /// ReplicaSets whose controller is the object with this uid.
    pub fn replica_sets_of(&self, owner: &str) -> &[&'a ReplicaSet] {
        self.replica_sets.get(owner).map_or(&[], Vec::as_slice)
    }

    /// Events about the object with this uid, in no order.
    pub fn events_of(&self, uid: &str) -> &[&'a Event] {
        self.events.get(uid).map_or(&[], Vec::as_slice)
    }
}

fn owner_uid(meta: &ObjectMeta) -> Option<&str> {
    let owners = meta.owner_references.as_deref()?;
    let controller = owners.iter().find(|owner| owner.controller == Some(true));
    Some(controller?.uid.as_str())
}

/// `metadata.uid`, empty where there is none.
pub(super) fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}

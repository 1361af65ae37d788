//! Sets of objects kept as the cluster has them, by list and watch, for processes that go on for months.
//!
//! ```text
//! let mut mirrors = Mirrors::new(client);
//! let services: Mirror<Service> = mirrors.everywhere(Select::labels("dev/base=shop"));
//! mirrors.synced().await;                       // every set was listed once
//! loop {
//!     let now: Arc<Objects<Service>> = services.objects();
//!     …
//!     mirrors.changed().await;                  // at least one set changed since the last call
//! }
//! ```
//!
//! A watch that breaks is begun again with a fresh list, after a back-off: only a list tells for sure that nothing was
//! missed. Meanwhile the sets stay as they were last known. A refusal (no right, expired credentials) is treated the same
//! and is told by [`Mirrors::troubles`]: rights are given and tokens are rotated while a process runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use kube::core::Resource;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::cluster::feed::root_cause;

/// The first pause after a watch broke; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A watch that lived this long was a good one: the next pause is the first again.
const GOOD_WATCH: Duration = Duration::from_secs(5);
/// The server ends a watch after this many seconds and a new one is begun from where it ended. A connection that died in
/// silence is noticed 5 s later.
const WATCH_SECONDS: u32 = 40;

/// Namespace (empty for objects without one) and name.
pub type Key = (String, String);

/// One set of objects.
pub type Objects<K> = BTreeMap<Key, Arc<K>>;

/// Which objects of a kind belong to a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    labels: Option<String>,
    fields: Option<String>,
    without_managed_fields: bool,
}

impl Select {
    /// All of them.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those with these labels, in Kubernetes' notation: `dev/base=shop`, `dev/shadow`.
    pub fn labels(labels: impl Into<String>) -> Self {
        Self {
            labels: Some(labels.into()),
            ..Self::default()
        }
    }

    /// The one of this name.
    pub fn name(name: &str) -> Self {
        Self {
            fields: Some(format!("metadata.name={name}")),
            ..Self::default()
        }
    }

    /// Leaves `metadata.managedFields` out, which take most of the memory.
    #[must_use]
    pub fn without_managed_fields(mut self) -> Self {
        self.without_managed_fields = true;
        self
    }

    fn config(&self) -> watcher::Config {
        let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
        config.label_selector.clone_from(&self.labels);
        config.field_selector.clone_from(&self.fields);
        config
    }
}

/// A kind that can be mirrored.
pub trait Mirrored:
    Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Mirrored for K where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static
{
}

/// One set as it was last known. Clones share it; it is kept up to date as long as its [`Mirrors`] lives.
pub struct Mirror<K>(Arc<Mutex<Arc<Objects<K>>>>);

impl<K> Clone for Mirror<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Mirror<K> {
    /// The objects. Empty before the first list: see [`Mirrors::synced`].
    pub fn objects(&self) -> Arc<Objects<K>> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Objects<K>>> {
        // A panic while it was held leaves old objects at worst: the next list replaces them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Several sets with one notification of changes. Watching ends when it is dropped.
pub struct Mirrors {
    client: Client,
    hub: Arc<Hub>,
    changes_rx: watch::Receiver<()>,
    tasks: JoinSet<()>,
}

/// What the watching tasks share.
struct Hub {
    state: Mutex<State>,
    changes_tx: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// Sets that were never listed.
    unsynced: BTreeSet<usize>,
    /// Sets that cannot be read just now, with the reason.
    troubles: BTreeMap<usize, String>,
}

impl Mirrors {
    /// No sets yet.
    pub fn new(client: Client) -> Self {
        let (changes_tx, changes_rx) = watch::channel(());
        Self {
            client,
            hub: Arc::new(Hub {
                state: Mutex::default(),
                changes_tx,
            }),
            changes_rx,
            tasks: JoinSet::new(),
        }
    }

    /// Begins to keep objects of one namespace.
    pub fn namespaced<K>(&mut self, namespace: &str, select: Select) -> Mirror<K>
    where
        K: Mirrored + Resource<Scope = NamespaceResourceScope>,
    {
        self.keep(Api::namespaced(self.client.clone(), namespace), select)
    }

    /// Begins to keep objects of all namespaces, or of a kind that has none.
    pub fn everywhere<K: Mirrored>(&mut self, select: Select) -> Mirror<K> {
        self.keep(Api::all(self.client.clone()), select)
    }

    fn keep<K: Mirrored>(&mut self, api: Api<K>, select: Select) -> Mirror<K> {
        let mirror = Mirror(Arc::new(Mutex::new(Arc::new(Objects::new()))));
        let number = self.tasks.len();
        self.hub.lock().unsynced.insert(number);
        let follower = Follower {
            number,
            hub: Arc::clone(&self.hub),
            mirror: mirror.clone(),
            select,
        };
        self.tasks.spawn(follower.follow(api));
        mirror
    }

    /// Whether every set was listed at least once. It stays so when the API server goes away.
    pub fn is_synced(&self) -> bool {
        self.hub.lock().unsynced.is_empty()
    }

    /// Waits until every set was listed once.
    pub async fn synced(&self) {
        let mut changes_rx = self.hub.changes_tx.subscribe();
        while !self.is_synced() {
            // The sender lives in the hub.
            let _changed = changes_rx.changed().await;
        }
    }

    /// Waits until a set, or what [`Mirrors::troubles`] says, has changed since the last call. Any number of changes in
    /// between are one. Cancel-safe.
    pub async fn changed(&mut self) {
        let _changed = self.changes_rx.changed().await;
    }

    /// Why sets cannot be read just now: `Services: connection refused`. Empty when all is well.
    pub fn troubles(&self) -> Vec<String> {
        self.hub.lock().troubles.values().cloned().collect()
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps one set.
struct Follower<K> {
    number: usize,
    hub: Arc<Hub>,
    mirror: Mirror<K>,
    select: Select,
}

impl<K: Mirrored> Follower<K> {
    async fn follow(self, api: Api<K>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let mut incoming = Objects::new();
            let mut stream = watcher::watcher(api.clone(), self.select.config()).boxed();
            let error = loop {
                match stream.next().await {
                    Some(Ok(event)) => self.take(event, &mut incoming),
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            };
            drop(stream);
            // A position that is too old is no trouble: that is how a watch ends after a long silence.
            if let Some(error) = error.filter(|error| code(error) != Some(410)) {
                self.failed(&error);
            }
            if began.elapsed() >= GOOD_WATCH {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn take(&self, event: Event<K>, incoming: &mut Objects<K>) {
        match event {
            Event::Init => incoming.clear(),
            Event::InitApply(object) => {
                let (key, object) = self.named(object);
                incoming.insert(key, object);
            }
            Event::InitDone => self.listed(std::mem::take(incoming)),
            Event::Apply(object) => {
                let (key, object) = self.named(object);
                Arc::make_mut(&mut self.mirror.lock()).insert(key, object);
                self.changed();
            }
            Event::Delete(object) => {
                Arc::make_mut(&mut self.mirror.lock()).remove(&self.named(object).0);
                self.changed();
            }
        }
    }

    fn named(&self, mut object: K) -> (Key, Arc<K>) {
        let meta = object.meta_mut();
        if self.select.without_managed_fields {
            meta.managed_fields = None;
        }
        let key = (
            meta.namespace.clone().unwrap_or_default(),
            meta.name.clone().unwrap_or_default(),
        );
        (key, Arc::new(object))
    }

    /// A whole list: the set is as it says. Nobody is told when it is what was known.
    fn listed(&self, objects: Objects<K>) {
        let mut now = self.mirror.lock();
        let same = same_versions(&now, &objects);
        if !same {
            *now = Arc::new(objects);
        }
        drop(now);
        let mut state = self.hub.lock();
        let first = state.unsynced.remove(&self.number);
        let recovered = state.troubles.remove(&self.number).is_some();
        drop(state);
        if !same || first || recovered {
            self.changed();
        }
    }

    fn failed(&self, error: &watcher::Error) {
        let text = format!("{}: {}", K::plural(&()), root_cause(error));
        tracing::debug!(%text, "watch broke");
        let before = self.hub.lock().troubles.insert(self.number, text.clone());
        if before.is_none_or(|before| before != text) {
            self.changed();
        }
    }

    fn changed(&self) {
        self.hub.changes_tx.send_replace(());
    }
}

fn same_versions<K: Resource>(one: &Objects<K>, other: &Objects<K>) -> bool {
    let version = |object: &Arc<K>| object.meta().resource_version.clone();
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|((key, object), (other_key, other))| {
                key == other_key && version(object) == version(other)
            })
}

/// The HTTP status of a refusal.
fn code(error: &watcher::Error) -> Option<u16> {
    use watcher::Error::{
        InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
    };
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => Some(status.code),
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) | NoResourceVersion => None,
    }
}

#[cfg(test)]
mod tests;

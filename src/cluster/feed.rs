//! Keeps a [`World`] as the cluster is, by one watch for each kind of object.
//!
//! A watch that breaks is begun again with a fresh list, after a short back-off: only a list tells for sure that the
//! API server is back and that nothing was missed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::core::{ApiResource, DynamicObject, Resource};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::cluster::health::{Watched, World};

/// The first pause after a watch broke; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// A watch that lived this long was a good one: the next pause is the first again.
const GOOD_WATCH: Duration = Duration::from_secs(5);
/// The API server is said to be away after this long: a restart of one of several goes unnoticed.
const SAY_AWAY_AFTER: Duration = Duration::from_secs(2);
/// The server ends a watch after this many seconds and a new one is begun from where it ended. A connection that
/// died in silence is noticed 5 s later.
const WATCH_SECONDS: u32 = 40;

/// Something about the watching itself that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The API server does not answer.
    Away {
        /// What was tried and what happened.
        cause: String,
    },
    /// The API server answers again.
    Back,
    /// Objects of this kind may not be read, so less can be said about troubles.
    Denied {
        /// Which.
        resource: &'static str,
        /// The API server's words.
        cause: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away { cause } => {
                write!(
                    f,
                    "the API server does not answer; waiting for it to come back ({cause})"
                )
            }
            Self::Back => f.write_str("the API server answers again"),
            Self::Denied { resource, cause } => {
                write!(
                    f,
                    "no right to list and watch {resource}: less can be said about troubles ({cause})"
                )
            }
        }
    }
}

/// Takes notices.
pub type OnNotice = Arc<dyn Fn(Notice) + Send + Sync>;

/// What the feeds write and the waits read.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) namespace: String,
    state: Mutex<State>,
    changes_tx: watch::Sender<()>,
    on_notice: OnNotice,
    /// This machine's clock at an instant, so that time can be paused in tests.
    origin: (Timestamp, Instant),
}

/// Everything behind the lock.
#[derive(Default)]
pub(super) struct State {
    pub(super) world: World,
    /// Kinds that may not be read, with the API server's words.
    pub(super) denied: BTreeMap<Watched, String>,
    /// The credentials are refused, in the API server's words.
    pub(super) rejected: Option<String>,
    /// Kinds whose first list was asked for.
    pub(super) begun: BTreeSet<Watched>,
    failing: BTreeMap<Watched, (Instant, String)>,
    said_away: bool,
    incoming: World,
}

impl Shared {
    pub(super) fn new(client: Client, namespace: &str, on_notice: OnNotice) -> Arc<Self> {
        let (changes_tx, _) = watch::channel(());
        Arc::new(Self {
            client,
            namespace: namespace.to_owned(),
            state: Mutex::default(),
            changes_tx,
            on_notice,
            origin: (Timestamp::now(), Instant::now()),
        })
    }

    /// The state. Not to be held across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves old objects at worst: the next list replaces them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes_tx.subscribe()
    }

    pub(super) fn changed(&self) {
        self.changes_tx.send_replace(());
    }

    /// The time by this machine's clock.
    pub(super) fn now(&self) -> Timestamp {
        let (then, instant) = self.origin;
        let passed = SignedDuration::try_from(instant.elapsed()).unwrap_or(SignedDuration::MAX);
        then.saturating_add(passed).unwrap_or(then)
    }

    /// The metadata of an object as it is now.
    pub(super) async fn metadata(
        &self,
        kind: Watched,
        name: &str,
    ) -> kube::Result<Option<ObjectMeta>> {
        let (group, version, kind, plural) = kind.names();
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: if group.is_empty() {
                version.to_owned()
            } else {
                format!("{group}/{version}")
            },
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        let api =
            Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let found = api.get_metadata_opt(name).await?;
        Ok(found.map(|found| found.metadata))
    }

    fn notice(&self, notice: Notice) {
        (self.on_notice)(notice);
    }

    fn worked(&self, kind: Watched) {
        let mut state = self.lock();
        state.failing.remove(&kind);
        if state.failing.is_empty() && state.said_away {
            state.said_away = false;
            drop(state);
            self.notice(Notice::Back);
        }
    }

    fn failed(&self, kind: Watched, cause: String) {
        let mut state = self.lock();
        let since = state
            .failing
            .entry(kind)
            .or_insert_with(|| (Instant::now(), cause));
        if since.0.elapsed() >= SAY_AWAY_AFTER && !state.said_away {
            let cause = state.failing.get(&kind).map(|(_, cause)| cause.clone());
            state.said_away = true;
            drop(state);
            let cause = cause.unwrap_or_default();
            self.notice(Notice::Away { cause });
        }
    }

    fn denied(&self, kind: Watched, cause: String, optional: bool) {
        let resource = kind.resource();
        let mut state = self.lock();
        let told = state
            .denied
            .keys()
            .any(|other| other.resource() == resource);
        state.denied.insert(kind, cause.clone());
        drop(state);
        if optional && !told {
            self.notice(Notice::Denied { resource, cause });
        }
        self.changed();
    }
}

/// Why a watch ended.
enum End {
    /// Too old a position: list again at once.
    Expired,
    /// No right.
    Denied(String),
    /// The credentials are refused.
    Rejected(String),
    /// Worth another try.
    Broken(String),
}

/// Follows one kind until the task is ended. `wanted` are the kinds that services are made of: others are said to be
/// missing and done without.
pub(super) async fn follow<K>(
    shared: Arc<Shared>,
    kind: Watched,
    config: watcher::Config,
    optional: bool,
    place: fn(&mut World) -> &mut BTreeMap<String, K>,
    on_event: fn(&mut World, &Event<K>, Timestamp),
) where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + fmt::Debug
        + Send
        + 'static,
{
    let api = Api::<K>::namespaced(shared.client.clone(), &shared.namespace);
    let config = config.timeout(WATCH_SECONDS);
    let mut pause = FIRST_PAUSE;
    shared.lock().begun.insert(kind);
    loop {
        let began = Instant::now();
        let mut stream = watcher::watcher(api.clone(), config.clone()).boxed();
        let end = loop {
            match stream.next().await {
                Some(Ok(event)) => {
                    let listed = matches!(event, Event::InitDone);
                    take(&shared, kind, event, place, on_event);
                    if listed {
                        shared.worked(kind);
                    }
                }
                Some(Err(error)) => break classify(error),
                None => break End::Expired,
            }
        };
        match end {
            End::Expired => {}
            End::Denied(cause) => return shared.denied(kind, cause, optional),
            End::Rejected(cause) => {
                shared.lock().rejected = Some(cause);
                return shared.changed();
            }
            End::Broken(cause) => {
                shared.failed(kind, cause);
                if began.elapsed() >= GOOD_WATCH {
                    pause = FIRST_PAUSE;
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn take<K: Resource<DynamicType = ()>>(
    shared: &Shared,
    kind: Watched,
    event: Event<K>,
    place: fn(&mut World) -> &mut BTreeMap<String, K>,
    on_event: fn(&mut World, &Event<K>, Timestamp),
) {
    let now = shared.now();
    let mut state = shared.lock();
    on_event(&mut state.world, &event, now);
    note(&mut state.world, kind, &event);
    let named = |mut object: K| {
        trim(&mut object);
        (object.meta().name.clone().unwrap_or_default(), object)
    };
    let quiet = matches!(event, Event::Init | Event::InitApply(_));
    match event {
        Event::Init => place(&mut state.incoming).clear(),
        Event::InitApply(object) => {
            let (name, object) = named(object);
            place(&mut state.incoming).insert(name, object);
        }
        Event::InitDone => {
            let listed = std::mem::take(place(&mut state.incoming));
            *place(&mut state.world) = listed;
            state.world.synced.insert(kind);
        }
        Event::Apply(object) => {
            let (name, object) = named(object);
            place(&mut state.world).insert(name, object);
        }
        Event::Delete(object) => {
            place(&mut state.world).remove(&named(object).0);
        }
    }
    drop(state);
    if !quiet {
        shared.changed();
    }
}

/// Notes what tells later that an object was deleted.
fn note<K: Resource>(world: &mut World, kind: Watched, event: &Event<K>) {
    match event {
        Event::Init => world.lists.entry(kind).or_default().begun += 1,
        Event::InitDone => {
            let lists = world.lists.entry(kind).or_default();
            lists.read = lists.begun;
        }
        Event::InitApply(object) | Event::Apply(object) => {
            if !matches!(kind, Watched::Events | Watched::ClaimEvents) {
                world.seen.extend(object.meta().uid.clone());
            }
        }
        Event::Delete(object) if kind == Watched::Jobs => {
            world.deleted_jobs.extend(object.meta().uid.clone());
        }
        Event::Delete(_) => {}
    }
}

/// Drops what takes most of the memory and is not read.
fn trim<K: Resource>(object: &mut K) {
    for entry in object.meta_mut().managed_fields.iter_mut().flatten() {
        entry.fields_v1 = None;
    }
}

fn classify(error: watcher::Error) -> End {
    use watcher::Error::{
        InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
    };
    let code = |code: u16, message: String| match code {
        410 => End::Expired,
        401 => End::Rejected(message),
        403 => End::Denied(message),
        _ => End::Broken(message),
    };
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => code(status.code, status.message),
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => {
            End::Broken(root_cause(&error))
        }
        NoResourceVersion => End::Broken("an answer without resourceVersion".to_owned()),
    }
}

/// The innermost cause: `Connection refused (os error 111)`.
pub(super) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

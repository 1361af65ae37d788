//! The lines of all containers of some services, once or as they come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cluster::logs::line::{Entry, Line};
use crate::cluster::logs::run::{self, Begin, Run};
use crate::cluster::pods::{self, PodSet};
use crate::error::{Error, Result};

/// Lines that wait for the reader, over all containers of a followed stream; of each container of a merged one.
const BUFFER: usize = 256;

/// Which lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on with what is written from now on, also by pods that come later.
    pub follow: bool,
    /// Only lines younger than this. Pods that come later are read from their beginning.
    pub since: Option<Duration>,
    /// Only so many of the last lines of each container. Pods that come later are read from their beginning.
    pub tail: Option<i64>,
    /// The run before the present one.
    pub previous: bool,
    /// Only the container of this name.
    pub container: Option<String>,
}

impl LogOptions {
    fn begin(&self) -> Begin {
        Begin {
            previous: self.previous,
            tail: self.tail,
            since: self.since,
        }
    }

    fn wants(&self, container: &str) -> bool {
        self.container
            .as_deref()
            .is_none_or(|only| only == container)
    }
}

/// Gives `on_line` the lines of these services: with `follow` as they come until the caller drops it, else in the order of
/// their times. `on_notice` is told what cannot be read. Ends when `on_line` fails.
pub async fn stream(
    client: &Client,
    sets: &[PodSet],
    options: &LogOptions,
    on_line: impl FnMut(Line) -> Result<()>,
    on_notice: impl FnMut(String),
) -> Result<()> {
    if options.follow && options.previous {
        return Err(Error::usage("--previous has an end: it cannot be followed")
            .hint("leave out -f or --previous"));
    }
    if options.follow {
        follow(client, sets, options, on_line, on_notice).await
    } else {
        read(client, sets, options, on_line, on_notice).await
    }
}

/// Reads what there is, in the order of the lines' times.
pub async fn read(
    client: &Client,
    sets: &[PodSet],
    options: &LogOptions,
    mut on_line: impl FnMut(Line) -> Result<()>,
    mut on_notice: impl FnMut(String),
) -> Result<()> {
    let runs = runs_now(client, sets, options, &mut on_notice).await?;
    let mut tasks = JoinSet::new();
    let mut heads = Vec::new();
    for run in runs {
        let (entries_tx, entries_rx) = mpsc::channel(BUFFER);
        heads.push((entries_rx, None));
        let client = client.clone();
        let begin = options.begin();
        tasks.spawn(async move {
            let read = run::read_once(&client, &run, &begin, &entries_tx).await;
            read.map_err(|error| (run, error))
        });
    }
    // A merge: the earliest of the first lines of all containers, until all are at their end.
    for (entries_rx, head) in &mut heads {
        *head = entries_rx.recv().await;
    }
    while let Some((at, _)) = heads
        .iter()
        .enumerate()
        .filter_map(|(at, (_, head))| head.as_ref().map(|entry| (at, entry.time())))
        .min_by_key(|(_, time)| *time)
    {
        let (entries_rx, head) = &mut heads[at];
        match std::mem::replace(head, entries_rx.recv().await) {
            Some(Entry::Line(line)) => on_line(line)?,
            Some(Entry::Said(text)) => on_notice(text),
            None => {}
        }
    }
    let mut failed = None;
    while let Some(ended) = tasks.join_next().await {
        if let Ok(Err((run, error))) = ended {
            let text = format!("cannot read the lines of {}/{}", run.pod, run.container);
            on_notice(format!("{text}: {error}"));
            failed = Some(Error::failed(text).caused_by(&error));
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The runs of the containers that are there, with a word on those that have none.
async fn runs_now(
    client: &Client,
    sets: &[PodSet],
    options: &LogOptions,
    on_notice: &mut impl FnMut(String),
) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for set in sets {
        let found = set.list(client).await?;
        if found.is_empty() {
            if sets.len() == 1 {
                return Err(set.no_pods());
            }
            on_notice(format!("{} has no pods", set.service));
        }
        check_container(set, &found, options, sets.len() == 1)?;
        for pod in &found {
            for status in pods::statuses(pod).filter(|status| options.wants(&status.name)) {
                let has_run = if options.previous {
                    ended_before(status)
                } else {
                    has_begun(status)
                };
                if has_run {
                    runs.push(run_of(set, pod, status, status.restart_count));
                } else if !options.previous {
                    let why = waiting_reason(status).unwrap_or("Waiting");
                    let (pod, container) = (pods::name(pod), &status.name);
                    on_notice(format!("{pod}/{container} has not started: {why}"));
                }
            }
        }
    }
    if options.previous && runs.is_empty() {
        let names: Vec<_> = sets.iter().map(|set| set.service.as_str()).collect();
        return Err(Error::failed(format!(
            "no container of {} has been restarted: there is no previous run",
            names.join(", ")
        ))
        .hint("leave out --previous"));
    }
    Ok(runs)
}

/// With several services, a container that only one of them has is no error.
fn check_container(set: &PodSet, found: &[Pod], options: &LogOptions, alone: bool) -> Result<()> {
    let Some(container) = &options.container else {
        return Ok(());
    };
    let names: BTreeSet<_> = found.iter().flat_map(pods::containers).collect();
    if !alone || names.is_empty() || names.contains(container.as_str()) {
        return Ok(());
    }
    let names: Vec<_> = names.into_iter().collect();
    Err(pods::no_container(&set.service, container, &names))
}

/// What the followed pods tell the reader.
enum Message {
    Pods(usize, Box<watcher::Event<Pod>>),
    Lost(usize, watcher::Error),
}

async fn follow(
    client: &Client,
    sets: &[PodSet],
    options: &LogOptions,
    mut on_line: impl FnMut(Line) -> Result<()>,
    mut on_notice: impl FnMut(String),
) -> Result<()> {
    let mut tasks = JoinSet::new();
    let (pods_tx, mut pods_rx) = mpsc::channel(BUFFER);
    let (entries_tx, mut entries_rx) = mpsc::channel(BUFFER);
    let (notes_tx, mut notes_rx) = mpsc::channel::<String>(BUFFER);
    for (at, set) in sets.iter().enumerate() {
        check_container(set, &set.list(client).await?, options, sets.len() == 1)?;
        let api = Api::<Pod>::namespaced(client.clone(), &set.namespace);
        let config = watcher::Config::default().labels(&set.selector);
        let pods_tx = pods_tx.clone();
        tasks.spawn(async move {
            let mut events = watcher::watcher(api, config).default_backoff().boxed();
            while let Some(event) = events.next().await {
                let message = match event {
                    Ok(event) => Message::Pods(at, Box::new(event)),
                    Err(error) => Message::Lost(at, error),
                };
                if pods_tx.send(message).await.is_err() {
                    return;
                }
            }
        });
    }
    let mut known = Known::default();
    let mut lost = BTreeSet::new();
    loop {
        tokio::select! {
            Some(entry) = entries_rx.recv() => match entry {
                Entry::Line(line) => on_line(line)?,
                Entry::Said(text) => on_notice(text),
            },
            Some(note) = notes_rx.recv() => on_notice(note),
            Some(message) = pods_rx.recv() => match message {
                Message::Lost(at, error) => {
                    if let watcher::Error::InitialListFailed(kube::Error::Api(status))
                    | watcher::Error::WatchStartFailed(kube::Error::Api(status)) = &error
                        && matches!(status.code, 401 | 403)
                    {
                        return Err(Error::cluster("cannot watch the pods").caused_by(&error));
                    }
                    if lost.is_empty() {
                        on_notice(format!("the API server does not answer; waiting for it to come back ({error})"));
                    }
                    lost.insert(at);
                }
                Message::Pods(at, event) => {
                    if lost.remove(&at) && lost.is_empty() {
                        on_notice("the API server answers again".to_owned());
                    }
                    for (run, begin) in known.runs(&sets[at], at, *event, options) {
                        let client = client.clone();
                        let entries_tx = entries_tx.clone();
                        let notes_tx = notes_tx.clone();
                        tasks.spawn(async move {
                            let read = if begin.previous {
                                run::read_once(&client, &run, &begin, &entries_tx).await
                            } else {
                                run::follow(&client, &run, begin, &entries_tx).await
                            };
                            if let Err(error) = read {
                                let text = format!("cannot read the lines of {}/{}: {error}", run.pod, run.container);
                                // Nobody listens any more: nothing is lost.
                                let _ended = notes_tx.send(text).await;
                            }
                        });
                    }
                }
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
}

/// Which runs are being read.
#[derive(Default)]
pub(super) struct Known {
    /// The latest run that was begun, by the pod's uid and the container.
    begun: BTreeMap<(Arc<str>, String), i32>,
    /// Sets whose first list is complete: what comes later is read from its beginning.
    listed: BTreeSet<usize>,
}

impl Known {
    /// The runs that this event shows for the first time.
    pub(super) fn runs(
        &mut self,
        set: &PodSet,
        at: usize,
        event: watcher::Event<Pod>,
        options: &LogOptions,
    ) -> Vec<(Run, Begin)> {
        let pod = match event {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => pod,
            watcher::Event::InitDone => {
                self.listed.insert(at);
                return Vec::new();
            }
            watcher::Event::Init | watcher::Event::Delete(_) => return Vec::new(),
        };
        let first = !self.listed.contains(&at);
        let uid: Arc<str> = pod.metadata.uid.as_deref().unwrap_or_default().into();
        let mut runs = Vec::new();
        for status in pods::statuses(&pod).filter(|status| options.wants(&status.name)) {
            if !has_begun(status) {
                continue;
            }
            let key = (Arc::clone(&uid), status.name.clone());
            let run = status.restart_count;
            let before = self.begun.insert(key, run);
            if before.is_some_and(|before| before >= run) {
                continue;
            }
            // A run that began and ended between two events.
            if before.is_some_and(|before| before < run - 1) {
                let begin = Begin {
                    previous: true,
                    ..Begin::default()
                };
                runs.push((run_of(set, &pod, status, run - 1), begin));
            }
            let begin = if first {
                options.begin()
            } else {
                Begin::default()
            };
            runs.push((run_of(set, &pod, status, run), begin));
        }
        runs
    }
}

fn run_of(set: &PodSet, pod: &Pod, status: &ContainerStatus, number: i32) -> Run {
    Run {
        service: set.service.clone(),
        namespace: set.namespace.clone(),
        pod: pods::name(pod).to_owned(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        container: status.name.clone(),
        number,
    }
}

/// Whether there are lines of the present run: it runs or ended; a container that waits to be restarted has ended.
fn has_begun(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
        || ended_before(status)
}

fn ended_before(status: &ContainerStatus) -> bool {
    let last = status.last_state.as_ref();
    last.is_some_and(|state| state.terminated.is_some())
}

fn waiting_reason(status: &ContainerStatus) -> Option<&str> {
    status.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

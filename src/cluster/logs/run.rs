//! Reading the lines of one run of one container.

use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::cluster::logs::line::{Entry, Line, is_of_the_node, split_time};
use crate::cluster::logs::resume::Resume;
use crate::cluster::pods;

/// A longer line is given in pieces.
const LONGEST_LINE: usize = 1024 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// One run of a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) service: String,
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) container: String,
    /// Restarts before it.
    pub(super) number: i32,
}

/// Where to begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Begin {
    pub(super) previous: bool,
    pub(super) tail: Option<i64>,
    pub(super) since: Option<Duration>,
}

/// The last lines of a container, read once.
pub async fn last_lines(
    client: &Client,
    namespace: &str,
    pod: &str,
    container: &str,
    previous: bool,
    lines: i64,
) -> Result<Vec<String>, kube::Error> {
    let params = LogParams {
        container: Some(container.to_owned()),
        previous,
        tail_lines: Some(lines),
        ..LogParams::default()
    };
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let text = pods.logs(pod, &params).await?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Reads what the run wrote so far.
pub(super) async fn read_once(
    client: &Client,
    run: &Run,
    begin: &Begin,
    entries_tx: &mpsc::Sender<Entry>,
) -> Result<(), kube::Error> {
    let mut resume = Resume::default();
    pump(
        client,
        run,
        &params(run, begin, false),
        &mut resume,
        entries_tx,
    )
    .await
}

/// Reads what the run writes until it ends, over as many connections as it takes.
pub(super) async fn follow(
    client: &Client,
    run: &Run,
    begin: Begin,
    entries_tx: &mpsc::Sender<Entry>,
) -> Result<(), kube::Error> {
    let mut resume = Resume::default();
    let mut params = params(run, &begin, true);
    let mut pause = FIRST_PAUSE;
    loop {
        let before = resume.clone();
        let read = pump(client, run, &params, &mut resume, entries_tx).await;
        if entries_tx.is_closed() {
            return Ok(());
        }
        if resume != before {
            pause = FIRST_PAUSE;
        }
        let state = state(client, run).await;
        params.previous = matches!(state, Ok(RunState::Before));
        params.follow = true;
        match (state, read) {
            (Ok(RunState::Gone), _) => return Ok(()),
            // The connection may have broken just before the end: read the rest, if there is one.
            (Ok(RunState::Ended | RunState::Before), _) => {
                params.follow = false;
                again(&mut params, &mut resume);
                return pump(client, run, &params, &mut resume, entries_tx).await;
            }
            // The pod is there and refuses: no use in asking again.
            (Ok(RunState::Running), Err(kube::Error::Api(status))) if status.code == 403 => {
                return Err(kube::Error::Api(status));
            }
            (Ok(RunState::Running) | Err(_), _) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        again(&mut params, &mut resume);
    }
}

fn again(params: &mut LogParams, resume: &mut Resume) {
    if let Some(since) = resume.since() {
        params.since_time = Some(since);
        params.since_seconds = None;
        params.tail_lines = None;
    }
    resume.reconnect();
}

fn params(run: &Run, begin: &Begin, follow: bool) -> LogParams {
    LogParams {
        container: Some(run.container.clone()),
        follow,
        previous: begin.previous,
        tail_lines: begin.tail,
        since_seconds: begin.since.map(|since| {
            // The API takes whole seconds from 1.
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1)
        }),
        timestamps: true,
        ..LogParams::default()
    }
}

enum RunState {
    Running,
    Ended,
    /// Another run has begun since.
    Before,
    Gone,
}

async fn state(client: &Client, run: &Run) -> Result<RunState, kube::Error> {
    let api = Api::<Pod>::namespaced(client.clone(), &run.namespace);
    let Some(pod) = api.get_opt(&run.pod).await? else {
        return Ok(RunState::Gone);
    };
    if pod.metadata.uid.as_deref() != Some(&run.uid) {
        return Ok(RunState::Gone);
    }
    let status = pods::statuses(&pod).find(|status| status.name == run.container);
    let Some(status) = status else {
        return Ok(RunState::Gone);
    };
    let running = status
        .state
        .as_ref()
        .is_some_and(|state| state.running.is_some());
    Ok(match status.restart_count - run.number {
        ..=0 if running => RunState::Running,
        ..=0 => RunState::Ended,
        1 => RunState::Before,
        _ => RunState::Gone,
    })
}

async fn pump(
    client: &Client,
    run: &Run,
    params: &LogParams,
    resume: &mut Resume,
    entries_tx: &mpsc::Sender<Entry>,
) -> Result<(), kube::Error> {
    let api = Api::<Pod>::namespaced(client.clone(), &run.namespace);
    let stream = api.log_stream(&run.pod, params).await?;
    futures::pin_mut!(stream);
    let mut buffer = Vec::new();
    let mut ended = true;
    while next_line(&mut stream, &mut buffer)
        .await
        .map_err(kube::Error::ReadEvents)?
    {
        // Only the first piece of a long line has the time.
        let begins = std::mem::replace(&mut ended, buffer.ends_with(b"\n"));
        let raw = String::from_utf8_lossy(&buffer);
        let raw = raw.trim_end_matches(['\n', '\r']);
        let (time, text) = match begins {
            true => split_time(raw),
            false => (None, raw),
        };
        if !resume.take(time) {
            continue;
        }
        let entry = match begins && is_of_the_node(time, text) {
            true => Entry::Said(format!(
                "{}/{}: the node says: {text}",
                run.pod, run.container
            )),
            false => Entry::Line(Line {
                service: run.service.clone(),
                pod: run.pod.clone(),
                container: run.container.clone(),
                time,
                line: text.to_owned(),
            }),
        };
        // It is asked again and again while the container runs.
        if let Entry::Said(text) = &entry
            && !resume.hears(text)
        {
            continue;
        }
        // The bounded channel makes a slow reader slow the node down, not fill our memory.
        if entries_tx.send(entry).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads a line or a piece of one; `false` at the end.
pub(super) async fn next_line(
    stream: &mut (impl AsyncBufRead + Unpin),
    buffer: &mut Vec<u8>,
) -> std::io::Result<bool> {
    buffer.clear();
    loop {
        let ready = stream.fill_buf().await?;
        if ready.is_empty() {
            return Ok(!buffer.is_empty());
        }
        let room = LONGEST_LINE - buffer.len();
        let end = ready.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(ready.len(), |at| at + 1).min(room);
        buffer.extend_from_slice(&ready[..taken]);
        stream.consume_unpin(taken);
        if buffer.last() == Some(&b'\n') || buffer.len() >= LONGEST_LINE {
            return Ok(true);
        }
    }
}

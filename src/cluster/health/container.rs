//! What is wrong with one container, from its status and the events about it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};
use k8s_openapi::jiff::Timestamp;

use crate::cluster::health::events::{last_seen, latest, text};
use crate::cluster::health::world::{World, uid};
use crate::cluster::health::{LogKey, LogWanted, Probe, Reason, Trouble, image};
use crate::manifest::ObjectKey;

/// A container that crashed before counts as healthy again after it ran this long.
pub(super) const SETTLE_AFTER_CRASH: Duration = Duration::from_secs(10);
/// A container without a readiness probe is "ready" the moment it starts, also one that ends at once. kubelet looks at containers
/// once a second and reports what it saw some time later, so a shorter time takes a crash for a start.
pub(super) const SETTLE_WITHOUT_PROBE: Duration = Duration::from_secs(3);

/// One container of a pod.
pub(super) struct Container<'a> {
    pub(super) service: &'a str,
    pub(super) pod: &'a Pod,
    pub(super) key: &'a ObjectKey,
    pub(super) status: &'a ContainerStatus,
    /// An init container that must end well (a side-car among them is none).
    pub(super) init: bool,
    /// Whether it is started again after it ended well.
    pub(super) restarts_always: bool,
    pub(super) has_readiness_probe: bool,
    pub(super) events: &'a [&'a Event],
}

impl Container<'_> {
    /// What is wrong with it now.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let state = self.status.state.as_ref()?;
        if let Some(waiting) = &state.waiting {
            let reason = waiting.reason.as_deref().unwrap_or_default();
            let message = waiting.message.as_deref().unwrap_or_default();
            return self.waiting(reason, message);
        }
        if let Some(ended) = &state.terminated {
            let again = self.restarts_always && !self.init;
            return (ended.exit_code != 0 || again).then(|| self.crash(ended, self.run(), false));
        }
        if state.running.is_some() && !self.status.ready && !self.init {
            return self.failing_probe();
        }
        None
    }

    /// A container that runs, but not long enough to be believed: the trouble it had, if it crashed, and how long to wait.
    pub(super) fn unsettled(
        &self,
        world: &World,
        now: Timestamp,
    ) -> Option<(Option<Trouble>, Duration)> {
        let running = self.status.state.as_ref()?.running.as_ref()?;
        let seen = world.first_seen.get(&self.key_of(self.run()));
        let started = running.started_at.as_ref().map(|time| &time.0);
        let age = [seen, started]
            .into_iter()
            .flatten()
            .filter_map(|since| Duration::try_from(now.duration_since(*since)).ok())
            .max()
            .unwrap_or_default();
        let crashed = self.last_end().filter(|_| self.run() > 0);
        let (trouble, settle) = match crashed {
            Some(ended) => (
                Some(self.crash(ended, self.run() - 1, true)),
                SETTLE_AFTER_CRASH,
            ),
            None if self.has_readiness_probe => return None,
            None => (None, SETTLE_WITHOUT_PROBE),
        };
        (age < settle).then(|| (trouble, settle.saturating_sub(age)))
    }

    fn waiting(&self, reason: &str, message: &str) -> Option<Trouble> {
        if image::is_image_reason(reason) {
            // kubelet sends two events each time: one with the cause, one with the waiting reason only.
            let mut failed = self.events_here();
            failed.retain(|event| !text(event).starts_with("Error: "));
            let failed = latest(&failed, &["Failed", "InspectFailed"]).map(text);
            return Some(image::trouble(
                self.key.clone(),
                &self.status.name,
                &self.status.image,
                reason,
                message,
                failed,
            ));
        }
        match reason {
            "CrashLoopBackOff" => {
                let ended = self.last_end();
                Some(match ended {
                    Some(ended) => self.crash(ended, self.run(), true),
                    None => self.plain_crash(message),
                })
            }
            "CreateContainerConfigError" => Some(self.config(message)),
            "CreateContainerError"
            | "RunContainerError"
            | "StartError"
            | "PreStartHookError"
            | "PostStartHookError"
            | "PreCreateHookError" => Some(self.start(message)),
            // Pulling, creating, waiting for init containers, or a reason that says that all is well.
            _ => self
                .last_end()
                .filter(|_| self.run() > 0 && reason != "PodInitializing")
                .map(|ended| self.crash(ended, self.run(), true)),
        }
    }

    fn crash(&self, ended: &ContainerStateTerminated, run: i32, previous: bool) -> Trouble {
        let reason = ended.reason.as_deref().unwrap_or_default();
        let message = ended.message.as_deref().unwrap_or_default();
        if matches!(reason, "StartError" | "ContainerCannotRun") {
            return self.start(message);
        }
        let restarts = self.status.restart_count;
        let code = ended.exit_code;
        let signal = signal(ended);
        if let Some(trouble) = self.killed_by_liveness(ended) {
            return trouble;
        }
        let times = match restarts {
            0 => String::new(),
            1 => ", restarted once".to_owned(),
            n => format!(", restarted {n} times"),
        };
        let how = match (signal, code) {
            (Some(signal), _) => format!("ended by {signal} (exit code {code})"),
            (None, 0) => "ended without an error".to_owned(),
            (None, code) => format!("ended with exit code {code}"),
        };
        let (reason, text) = if reason == "OOMKilled" {
            let limit = self.memory_limit();
            let limit = limit.map(|limit| format!(" of {limit}"));
            let limit = limit.unwrap_or_default();
            let text = format!("it needs more than its memory limit{limit}{times}");
            (Reason::OutOfMemory { restarts }, text)
        } else if self.init {
            let exit_code = code;
            let text = format!("the init container {how}{times}, so the pod cannot start");
            let reason = Reason::InitContainer {
                exit_code,
                restarts,
            };
            (reason, text)
        } else {
            let exit_code = code;
            let reason = Reason::CrashLoop {
                exit_code,
                signal,
                restarts,
            };
            (reason, format!("it {how}{times}"))
        };
        let hint = self.crash_hint(&reason, code);
        let mut trouble = self.with(reason, text).detail(message).hint(hint);
        trouble.log = Some(LogWanted {
            key: self.key_of(run),
            pod: self.key.name.clone(),
            previous,
        });
        trouble
    }

    fn plain_crash(&self, message: &str) -> Trouble {
        let reason = Reason::CrashLoop {
            exit_code: 0,
            signal: None,
            restarts: self.run(),
        };
        let hint = self.crash_hint(&reason, 1);
        self.with(reason, "it ends again and again")
            .detail(message)
            .hint(hint)
    }

    fn crash_hint(&self, reason: &Reason, code: i32) -> String {
        let service = self.service;
        if matches!(reason, Reason::OutOfMemory { .. }) {
            return "raise resources.limits.memory, or make it need less".to_owned();
        }
        match code {
            0 => "a container of a Deployment must keep running; work that ends belongs in a Job".to_owned(),
            126 => "the command is there but cannot be executed: check its mode and architecture".to_owned(),
            127 => "the command was not found in the image: check `command` and PATH".to_owned(),
            137 => "it was killed: too little memory on the node, or it did not end in time when asked to".to_owned(),
            _ => {
                let name = &self.status.name;
                // By the time of reading, a container that is restarted runs again.
                let again = self.restarts_always || self.status.restart_count > 0;
                let previous = if again { " --previous" } else { "" };
                format!("all it wrote: `dev logs {service} -c {name}{previous}`")
            }
        }
    }

    fn config(&self, message: &str) -> Trouble {
        let hint = if message.contains("runAsNonRoot")
            || message.contains("non-numeric user")
            || message.contains("breaks non-root policy")
        {
            "set securityContext.runAsUser to a number other than 0, or USER in the image"
        } else if message.contains("couldn't find key") {
            "add the key, or correct its name in env or envFrom"
        } else {
            "add it to the service's manifests, or mark the reference `optional: true`"
        };
        let text = match missing(message) {
            Some(missing) => format!("it cannot be made: {missing}"),
            None => "it cannot be made".to_owned(),
        };
        self.with(Reason::ContainerConfig, text)
            .detail(message)
            .hint(hint)
    }

    fn start(&self, message: &str) -> Trouble {
        let (text, hint) = if message.contains("executable file not found")
            || message.contains("no such file or directory")
        {
            (
                "its command is not in the image",
                "check `command` and `args` against the image's files",
            )
        } else if message.contains("permission denied") {
            (
                "its command may not be executed",
                "check the file's mode in the image, and runAsUser",
            )
        } else if message.contains("exec format error") {
            (
                "its command is made for another architecture",
                "build the image for the architecture of the nodes",
            )
        } else {
            ("it cannot be started", "the cluster's own words are above")
        };
        self.with(Reason::ContainerStart, text)
            .detail(message)
            .hint(hint)
    }

    /// A probe that failed since this run began.
    fn failing_probe(&self) -> Option<Trouble> {
        let here = self.events_here();
        let event = latest(&here, &["Unhealthy", "ProbeWarning"])?;
        let running = self.status.state.as_ref()?.running.as_ref()?;
        let started = running.started_at.as_ref().map(|time| time.0);
        if last_seen(event) < started {
            return None;
        }
        Some(self.probe(text(event)))
    }

    /// Whether kubelet ended that run because of a probe: it ended as programs do that are told to end, and a liveness or
    /// startup probe is known to fail. In which run is not asked: kubelet keeps events of one pod back that come too often, so
    /// the last one is older than the last failure.
    fn killed_by_liveness(&self, ended: &ContainerStateTerminated) -> Option<Trouble> {
        if !matches!(ended.exit_code, 0 | 137 | 143) {
            return None;
        }
        let here = self.events_here();
        let event = here
            .iter()
            .filter(|event| event.reason.as_deref() == Some("Unhealthy"))
            .filter(|event| !text(event).starts_with("Readiness"))
            .max_by_key(|event| last_seen(event))?;
        Some(self.probe(text(event)))
    }

    fn probe(&self, message: &str) -> Trouble {
        let probe = match message.split_whitespace().next() {
            Some("Liveness") => Probe::Liveness,
            Some("Startup") => Probe::Startup,
            _ => Probe::Readiness,
        };
        let name = probe.name();
        let said = message.split_once(": ").map_or(message, |(_, said)| said);
        let text = format!("its {name} probe fails: {}", first_line(said));
        let hint = match probe {
            Probe::Readiness => format!(
                "does it listen on the probe's port and path? `dev logs {}`",
                self.service
            ),
            Probe::Liveness | Probe::Startup => format!(
                "it is restarted each time; give it longer (startupProbe, initialDelaySeconds) or see `dev logs {} --previous`",
                self.service
            ),
        };
        self.with(Reason::ProbeFailing { probe }, text)
            .detail(message)
            .hint(hint)
    }

    fn with(&self, reason: Reason, text: impl Into<String>) -> Trouble {
        Trouble::new(reason, self.key.clone(), text).container(&self.status.name)
    }

    fn run(&self) -> i32 {
        self.status.restart_count
    }

    fn key_of(&self, run: i32) -> LogKey {
        LogKey {
            uid: uid(&self.pod.metadata).to_owned(),
            container: self.status.name.clone(),
            run,
        }
    }

    fn last_end(&self) -> Option<&ContainerStateTerminated> {
        self.status.last_state.as_ref()?.terminated.as_ref()
    }

    /// Events about this container: their field path is `spec.containers{NAME}`.
    fn events_here(&self) -> Vec<&Event> {
        let name = &self.status.name;
        self.events
            .iter()
            .filter(|event| {
                let path = event.involved_object.field_path.as_deref();
                let braced = path.and_then(|path| path.split_once('{'));
                braced.is_none_or(|(_, rest)| rest.trim_end_matches('}') == name)
            })
            .copied()
            .collect()
    }

    fn memory_limit(&self) -> Option<&str> {
        let spec = self.pod.spec.as_ref()?;
        let init = spec.init_containers.iter().flatten();
        let container = init
            .chain(&spec.containers)
            .find(|container| container.name == self.status.name)?;
        let limits = container.resources.as_ref()?.limits.as_ref()?;
        limits.get("memory").map(|quantity| quantity.0.as_str())
    }
}

/// The signal that ended a process: as reported, or from an exit code above 128 as a shell forms it.
fn signal(ended: &ContainerStateTerminated) -> Option<&'static str> {
    let number = ended.signal.filter(|signal| *signal > 0);
    let number = number.or_else(|| {
        (129..=159)
            .contains(&ended.exit_code)
            .then(|| ended.exit_code - 128)
    })?;
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        31 => "SIGSYS",
        _ => "a signal",
    })
}

/// `configmap "x" not found` → `ConfigMap x does not exist`.
fn missing(message: &str) -> Option<String> {
    let quoted = |kind: &str, name: &str| {
        let rest = message.split_once(kind)?.1;
        let (found, rest) = rest.split_once('"')?;
        rest.starts_with(" not found")
            .then(|| format!("{name} {found} does not exist"))
    };
    if message.contains("breaks non-root policy") || message.contains("image will run as root") {
        return Some("it would run as root, which runAsNonRoot forbids".to_owned());
    }
    if message.contains("cannot verify user is non-root") {
        return Some("its image names its user, and runAsNonRoot asks for a number".to_owned());
    }
    quoted("configmap \"", "ConfigMap")
        .or_else(|| quoted("secret \"", "Secret"))
        .or_else(|| {
            let rest = message.split_once("couldn't find key ")?.1;
            let (key, rest) = rest.split_once(" in ")?;
            let (kind, name) = rest.split_once(' ')?;
            let name = name.rsplit('/').next()?.trim_end_matches('"');
            Some(format!("{kind} {name} has no key {key}"))
        })
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}

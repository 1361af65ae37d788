//! One line, and its forms for people and programs.

use console::{Color, Style};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

/// A line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The service.
    pub service: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// When the node's runtime took it, in nanoseconds at best. `None` where the runtime gave no time.
    pub time: Option<Timestamp>,
    /// The text without its line end. Bytes that are not UTF-8 are replaced.
    pub line: String,
}

/// What comes out of a stream of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A line of the container's.
    Line(Line),
    /// What the node says in place of lines.
    Said(String),
}

impl Entry {
    /// When the line was written; nothing for what the node says, which comes first.
    pub(super) fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Line(line) => line.time,
            Self::Said(_) => None,
        }
    }
}

/// What kubelet writes among the lines when it cannot read them (`kuberuntime_container.go`, `kuberuntime/logs`): the answer has
/// begun by then, so it is no error of the request any more.
const OF_THE_NODE: [&str; 8] = [
    "unable to retrieve container logs for ",
    "failed to try resolving symlinks in path ",
    "failed to open log file ",
    "failed to seek ",
    "failed to create fsnotify watcher",
    "failed to watch file ",
    "failed to get container status ",
    "rpc error: code = ",
];

/// Whether a line is the node's, and not the container's: those have times.
pub(super) fn is_of_the_node(time: Option<Timestamp>, text: &str) -> bool {
    time.is_none() && OF_THE_NODE.iter().any(|words| text.starts_with(words))
}

/// How lines are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `service/pod container | text`.
    Text {
        /// Prefixes in a colour of each pod's own.
        colour: bool,
        /// With the time before the text.
        timestamps: bool,
    },
    /// One JSON object a line: `{service, pod, container, time, line}`.
    Json,
}

/// Colours that can be read on light and dark ground. Red is left to errors.
const COLOURS: [Color; 5] = [
    Color::Cyan,
    Color::Green,
    Color::Yellow,
    Color::Magenta,
    Color::Blue,
];

/// The line in this form, with a line end.
pub fn render(line: &Line, form: Form) -> String {
    match form {
        Form::Json => {
            // A struct of strings always has a JSON form.
            let mut text = serde_json::to_string(line).unwrap_or_default();
            text.push('\n');
            text
        }
        Form::Text { colour, timestamps } => {
            let prefix = format!("{}/{} {} |", line.service, line.pod, line.container);
            let prefix = if colour {
                let style = Style::new().fg(COLOURS[index(&line.pod, &line.container)]);
                style.force_styling(true).apply_to(prefix).to_string()
            } else {
                prefix
            };
            match line.time.filter(|_| timestamps) {
                Some(time) => format!("{prefix} {time} {}\n", line.line),
                None => format!("{prefix} {}\n", line.line),
            }
        }
    }
}

/// The same container has the same colour in every run of the program (FNV-1a).
fn index(pod: &str, container: &str) -> usize {
    let bytes = pod.bytes().chain([b'/']).chain(container.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash % COLOURS.len() as u64).unwrap_or_default()
}

/// Splits the time from a line that was asked for with timestamps.
pub(super) fn split_time(raw: &str) -> (Option<Timestamp>, &str) {
    if let Some((time, text)) = raw.split_once(' ')
        && let Ok(time) = time.parse()
    {
        return (Some(time), text);
    }
    // An empty line may come without the space after its time.
    match raw.parse() {
        Ok(time) => (Some(time), ""),
        Err(_) => (None, raw),
    }
}

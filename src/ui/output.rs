//! One handle for everything that is written to the terminal.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use clap::ValueEnum;
use indicatif::MultiProgress;
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::plain::plain;
use crate::ui::{Recall, Task};

/// Characters of one sentence on stderr; what programs and servers say may be longer.
const LONGEST: usize = 10_000;

/// The form of a command's data on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only errors.
    Quiet,
    /// What a person needs.
    #[default]
    Normal,
    /// Details as well.
    Verbose,
}

/// A handle on the terminal; clones share it.
#[derive(Clone, Debug)]
pub struct Ui {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    level: Level,
    format: Format,
    colour: bool,
    /// What the commands in hints are completed with.
    recall: Recall,
    /// `Some` where stderr is a terminal: progress is redrawn in place.
    bars: Option<MultiProgress>,
}

impl Ui {
    /// A handle for this process's stdout and stderr.
    pub fn new(level: Level, format: Format, no_colour: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let colour = terminal && !no_colour;
        console::set_colors_enabled_stderr(colour);
        console::set_colors_enabled(colour && std::io::stdout().is_terminal());
        let bars = (terminal && level > Level::Quiet).then(MultiProgress::new);
        Self {
            inner: Arc::new(Inner {
                level,
                format,
                colour,
                recall: Recall::default(),
                bars,
            }),
        }
    }

    /// The same handle, whose hints carry these flags.
    #[must_use]
    pub fn recalling(&self, recall: Recall) -> Self {
        let inner = Inner {
            recall,
            ..Inner::clone(&self.inner)
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A handle that writes nothing but errors, for tests and completions.
    pub fn silent() -> Self {
        Self {
            inner: Arc::new(Inner {
                level: Level::Quiet,
                format: Format::Table,
                colour: false,
                recall: Recall::default(),
                bars: None,
            }),
        }
    }

    /// The form of data that was asked for.
    pub fn format(&self) -> Format {
        self.inner.format
    }

    /// Whether details are shown.
    pub fn is_verbose(&self) -> bool {
        self.inner.level >= Level::Verbose
    }

    /// Whether a question can be put to a person.
    pub fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks for a line of text. Call only where [`Ui::can_ask`].
    pub fn ask(&self, question: &str) -> Result<String> {
        self.line(&format!("{} ", plain(question, LONGEST)));
        let mut answer = String::new();
        std::io::stdin()
            .read_line(&mut answer)
            .map_err(|cause| Error::failed("cannot read the answer").caused_by(&cause))?;
        Ok(answer.trim().to_owned())
    }

    /// A sentence for the person, on stderr.
    pub fn note(&self, text: impl AsRef<str>) {
        if self.inner.level >= Level::Normal {
            let text = self.inner.recall.complete(text.as_ref());
            self.line(&plain(&text, LONGEST));
        }
    }

    /// A detail that only `-v` shows, on stderr.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.inner.level >= Level::Verbose {
            self.line(&plain(text.as_ref(), LONGEST));
        }
    }

    /// A warning, on stderr.
    pub fn warn(&self, text: impl AsRef<str>) {
        if self.inner.level >= Level::Normal {
            let label = console::style("Warning:").for_stderr().yellow().bold();
            let text = self.inner.recall.complete(text.as_ref());
            self.line(&format!("{label} {}", plain(&text, LONGEST)));
        }
    }

    /// A line of progress for one thing (a service, an image). It ends when it is dropped.
    pub fn task(&self, name: impl Into<String>) -> Task {
        let bars = self.inner.bars.as_ref();
        Task::new(name.into(), bars, self.inner.level >= Level::Normal)
    }

    /// Data for people on stdout: written as it is.
    pub fn print(&self, text: impl AsRef<str>) -> Result<()> {
        let mut out = std::io::stdout().lock();
        swallow_broken_pipe(writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()))
    }

    /// Data on stdout without a newline added, such as a stream of logs.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let mut out = std::io::stdout().lock();
        swallow_broken_pipe(out.write_all(bytes).and_then(|()| out.flush()))
    }

    /// What a command did, on stdout: like [`Ui::data`], but nobody asked for it who wants it quiet and no form for programs.
    pub fn report<T: Serialize>(&self, data: &T, table: impl FnOnce(&T) -> String) -> Result<()> {
        match (self.inner.format, self.inner.level) {
            (Format::Table, Level::Quiet) => Ok(()),
            _ => self.data(data, table),
        }
    }

    /// Data on stdout in the form that was asked for; `table` makes the form for people.
    pub fn data<T: Serialize>(&self, data: &T, table: impl FnOnce(&T) -> String) -> Result<()> {
        let value = || -> Result<Value> {
            let mut value = serde_json::to_value(data)
                .map_err(|cause| Error::failed("cannot write JSON").caused_by(&cause))?;
            self.complete_hints(&mut value);
            Ok(value)
        };
        match self.inner.format {
            Format::Table => {
                let text = table(data);
                if text.is_empty() {
                    Ok(())
                } else {
                    self.print(plain(text.trim_end_matches('\n'), usize::MAX))
                }
            }
            Format::Json => {
                let text = serde_json::to_string_pretty(&value()?)
                    .map_err(|cause| Error::failed("cannot write JSON").caused_by(&cause))?;
                self.print(text)
            }
            Format::Yaml => self.print(crate::manifest::yaml::to_string(&value()?)?.trim_end()),
        }
    }

    /// Completes the commands in what is called `hint` or `hints`, however deep.
    fn complete_hints(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (key, child) in map {
                    match (key.as_str(), child) {
                        ("hint", Value::String(text)) => *text = self.inner.recall.complete(text),
                        ("hints", Value::Array(hints)) => {
                            for hint in hints {
                                if let Value::String(text) = hint {
                                    *text = self.inner.recall.complete(text);
                                }
                            }
                        }
                        (_, child) => self.complete_hints(child),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.complete_hints(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// An error, on stderr; with `-o json` as one JSON object.
    pub fn error(&self, error: &Error) {
        let error = &error
            .clone()
            .map_hints(|text| self.inner.recall.complete(text));
        if self.inner.format == Format::Json {
            let value = serde_json::json!({"error": error, "exitCode": error.kind().exit_code()});
            self.line(&value.to_string());
        } else {
            self.line(&render_error(error));
        }
    }

    fn line(&self, text: &str) {
        let print = || {
            // Nobody is left to tell when stderr is gone.
            let _gone = writeln!(std::io::stderr().lock(), "{text}");
        };
        match &self.inner.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }

    /// Whether colour is on for stderr.
    pub fn colour(&self) -> bool {
        self.inner.colour
    }
}

/// The form of an error for people.
pub fn render_error(error: &Error) -> String {
    let style = |text: &'static str| console::style(text).for_stderr().bold();
    let mut text = format!("{} {error}", style("Error:").red());
    if let Some(reason) = error.reason_code() {
        text.push_str(&format!(" [{reason}]"));
    }
    if let Some(snippet) = error.snippet_text() {
        text.push('\n');
        text.push_str(snippet.trim_end());
    }
    for cause in error.causes() {
        text.push_str(&format!("\n{} {cause}", style("Caused by:")));
    }
    for hint in error.hints() {
        text.push_str(&format!("\n{} {hint}", style("Hint:").cyan()));
    }
    text
}

fn swallow_broken_pipe(result: std::io::Result<()>) -> Result<()> {
    match result {
        // `dev logs | head` is no failure (as in ripgrep's main).
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Error::failed("cannot write to stdout").caused_by(&error)),
        Ok(()) => Ok(()),
    }
}

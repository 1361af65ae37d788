//! The one error type of the program, and the table from errors to exit codes.
//!
//! An [`Error`] says what is wrong, where (file, line, column), what was found and expected, what caused it
//! and what to do next. It is printed by `src/ui` as `Error:`, `Caused by:` and `Hint:`, or as JSON. Every text in it may come from
//! others (a server, a program), so each is made plain and kept short as it is added.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::plain::plain;

/// Characters of a message or a hint.
const LONGEST_SENTENCE: usize = 4_000;
/// Characters of a cause, which may be the last lines that a program wrote.
const LONGEST_CAUSE: usize = 10_000;

/// The result of everything in this program that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure ended a command. Decides the exit code (`docs/exit-codes.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The operation was understood and tried, and failed.
    Failed,
    /// Wrong usage, or a wrong configuration, template or manifest.
    Usage,
    /// The cluster cannot be reached, or refuses access.
    Cluster,
    /// Something was applied but did not become ready in time.
    NotReady,
    /// The person interrupted the command.
    Interrupted,
}

impl Kind {
    /// The exit code of a command that ends with this kind of error.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Cluster => 3,
            Self::NotReady => 4,
            Self::Interrupted => 130,
        }
    }
}

/// A position in a file that a person wrote. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, as the person would name it.
    pub file: PathBuf,
    /// The line, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column (in characters), where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

impl Place {
    /// A place that names a whole file.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            line: None,
            column: None,
        }
    }

    /// A place with a line and a column, both from 1.
    pub fn at(file: impl Into<PathBuf>, line: usize, column: usize) -> Self {
        Self {
            file: file.into(),
            line: Some(line),
            column: Some(column),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display().to_string();
        f.write_str(&plain(&file, LONGEST_SENTENCE))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        Ok(())
    }
}

/// A failure, told so that the person who reads it can act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Inner {
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snippet: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

impl Error {
    /// An error of this kind. The message is one sentence without a full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            reason: None,
            message: plain(&message.into(), LONGEST_SENTENCE).into_owned(),
            place: None,
            snippet: None,
            causes: Vec::new(),
            hints: Vec::new(),
        }))
    }

    /// The operation failed (exit code 1).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// Wrong usage or configuration (exit code 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The cluster is unreachable or refuses access (exit code 3).
    pub fn cluster(message: impl Into<String>) -> Self {
        Self::new(Kind::Cluster, message)
    }

    /// Not ready in time (exit code 4).
    pub fn not_ready(message: impl Into<String>) -> Self {
        Self::new(Kind::NotReady, message)
    }

    /// The person pressed Ctrl-C (exit code 130).
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// Makes it one of another kind, with another exit code.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Adds where in a file the error is.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.0.place = Some(place);
        self
    }

    /// Adds the lines of the file around the place, ready to print.
    #[must_use]
    pub fn snippet(mut self, snippet: impl Into<String>) -> Self {
        self.0.snippet = Some(plain(&snippet.into(), LONGEST_SENTENCE).into_owned());
        self
    }

    /// Adds what to do next. Printed after `Hint:`, in the order added.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = plain(&hint.into(), LONGEST_SENTENCE).into_owned();
        self.0.hints.push(hint);
        self
    }

    /// Adds a hint when there is one.
    #[must_use]
    pub fn maybe_hint(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Adds a machine-readable reason in CamelCase, as Kubernetes writes its own (`ImagePull`, `QuotaExceeded`).
    #[must_use]
    pub fn reason(mut self, reason: &'static str) -> Self {
        self.0.reason = Some(reason);
        self
    }

    /// Adds what caused this error, outermost first, with the sources of the cause.
    #[must_use]
    pub fn caused_by(mut self, cause: &(dyn std::error::Error + '_)) -> Self {
        let mut next = Some(cause);
        while let Some(cause) = next {
            let text = cause.to_string();
            let text = plain(&text, LONGEST_CAUSE);
            // Many libraries repeat their source's text in their own.
            if !self
                .0
                .causes
                .iter()
                .any(|seen| seen.contains(text.as_ref()))
            {
                self.0.causes.push(text.into_owned());
            }
            next = cause.source();
        }
        self
    }

    /// Adds one line of cause that is no Rust error, such as the last line that a program printed.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        let cause = plain(&cause.into(), LONGEST_CAUSE).into_owned();
        self.0.causes.push(cause);
        self
    }

    /// The same error with its hints put through a function. Message and causes may be other programs' words.
    #[must_use]
    pub fn map_hints(mut self, map: impl Fn(&str) -> String) -> Self {
        for hint in &mut self.0.hints {
            *hint = map(hint);
        }
        self
    }

    /// An I/O error on a path: what was tried (`read`, `write`, `create`), the path, the system's words.
    pub fn io(verb: &str, path: &Path, cause: &std::io::Error) -> Self {
        Self::failed(format!("cannot {verb} {}", path.display())).caused_by(cause)
    }

    /// The kind, which decides the exit code.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The sentence that says what is wrong.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The machine-readable reason.
    pub fn reason_code(&self) -> Option<&'static str> {
        self.0.reason
    }

    /// Where in a file, if it is about one.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// The lines of the file around the place.
    pub fn snippet_text(&self) -> Option<&str> {
        self.0.snippet.as_deref()
    }

    /// What caused it, outermost first.
    pub fn causes(&self) -> &[String] {
        &self.0.causes
    }

    /// What to do next.
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

/// The nearest of the valid names to a misspelt one, as a hint: `did you mean "reviews"?`
pub fn did_you_mean<'a>(found: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(found, valid).map(|name| format!("did you mean \"{name}\"?"))
}

/// The nearest of the valid names to a misspelt one, where one is near.
pub fn nearest<'a>(found: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (name, score) = valid
        .into_iter()
        .map(|name| (name, strsim::damerau_levenshtein(found, name)))
        .min_by_key(|(_, score)| *score)?;
    let close = score <= 1 + found.chars().count().max(name.chars().count()) / 3;
    close.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_repeats_its_source_is_told_once() {
        let inner = std::io::Error::other("no such device");
        let outer = Error::failed("cannot read x").caused_by(&inner);
        assert_eq!(outer.causes(), ["no such device"]);
    }

    #[test]
    fn what_others_wrote_is_made_plain_and_cut() {
        let flood = format!("\u{1b}[2J{}", "x".repeat(1_000_000));
        let error = Error::failed(flood.as_str())
            .caused_by(&std::io::Error::other(flood.as_str()))
            .cause(flood.as_str())
            .hint(flood.as_str())
            .snippet(flood.as_str())
            .at(Place::file("a\u{1b}[2Jb"));
        assert!(error.to_string().starts_with("ab: xxx"), "{error}");
        let text = crate::ui::render_error(&error);
        assert!(text.len() < 50_000 && !text.contains("\u{1b}[2J"));
    }

    #[test]
    fn the_document_has_every_exit_code_and_every_field() {
        let document = include_str!("../docs/exit-codes.md");
        // A kind that is added does not compile here until it is in the list.
        let all = [
            Kind::Failed,
            Kind::Usage,
            Kind::Cluster,
            Kind::NotReady,
            Kind::Interrupted,
        ];
        let in_list = |kind: Kind| match kind {
            Kind::Failed => 0,
            Kind::Usage => 1,
            Kind::Cluster => 2,
            Kind::NotReady => 3,
            Kind::Interrupted => 4,
        };
        let mut rows = vec![(0, "done".to_owned())];
        for (at, kind) in all.into_iter().enumerate() {
            assert_eq!(in_list(kind), at);
            let name = serde_json::to_value(kind).unwrap();
            rows.push((kind.exit_code(), name.as_str().unwrap().to_owned()));
        }
        let told: Vec<(u8, String)> = document
            .lines()
            .filter_map(|line| {
                let mut cells = line.split('|').skip(1).map(str::trim);
                Some((cells.next()?.parse().ok()?, cells.next()?.to_owned()))
            })
            .collect();
        assert_eq!(told, rows);

        let error = Error::usage("m")
            .reason("R")
            .at(Place::file("f"))
            .snippet("s")
            .cause("c")
            .hint("h");
        let error = serde_json::to_value(&error).unwrap();
        let fields: Vec<String> = error
            .as_object()
            .unwrap()
            .keys()
            .map(|key| format!("\"{key}\""))
            .collect();
        let form = format!("{{\"error\": {{{}}}, \"exitCode\"}}", fields.join(", "));
        assert!(document.contains(&form), "{form}");
    }

    #[test]
    fn the_nearest_name_is_proposed_and_a_far_one_is_not() {
        let valid = ["services", "registry", "app"];
        assert_eq!(
            did_you_mean("servcies", valid).as_deref(),
            Some("did you mean \"services\"?")
        );
        assert_eq!(did_you_mean("telemetry-exporter", valid), None);
    }
}

//! The lines of a file around an error, for `Error::snippet`, without what may be secret in them.
//!
//! `docs/secrets.md` has the rules: values of documents that are or may be Secrets are replaced by `…`, and so is every value that a
//! template or another program brought in. Keys stay, since a person finds the place by them.

mod mask;
mod secret;

pub use mask::hide_values_in;
use mask::{Hidden, Masked, mask};

/// Lines shown before the one with the error.
const BEFORE: usize = 2;
/// Characters of a line that are shown; longer lines are cut around the column.
const WIDTH: usize = 120;

/// A text that an error is about, and who wrote it: that decides what of it may be shown.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// `dev.yaml`. Values of `vars`, `set`, `args` and `env` are not shown.
    Project(&'a str),
    /// Manifests, values or a template, as they are in a file.
    Written(&'a str),
    /// What was made line by line from a file: the lines of the file are shown.
    Rendered {
        /// What the error is about.
        made: &'a str,
        /// The file.
        written: &'a str,
    },
    /// What was made in another way. Only lines that the file has too (if there is one) are shown with their values.
    Made {
        /// What the error is about.
        made: &'a str,
        /// The file.
        written: Option<&'a str>,
    },
}

impl<'a> Text<'a> {
    /// The text that lines and columns count in.
    pub fn text(self) -> &'a str {
        match self {
            Self::Project(text) | Self::Written(text) => text,
            Self::Rendered { made, .. } | Self::Made { made, .. } => made,
        }
    }

    /// The line with the error, two lines before it, and a mark under `length` characters from `column`.
    /// `line` and `column` count from 1; an empty text when the line does not exist.
    pub fn excerpt(self, line: usize, column: usize, length: usize) -> String {
        let (shown, column, length) = match self {
            Self::Rendered { made, written } => {
                let nth = |text: &'a str| text.lines().nth(line.wrapping_sub(1));
                match (nth(made), nth(written)) {
                    // Columns of what was made mean nothing in the template: the whole line is meant.
                    (Some(made), Some(written)) if made != written => {
                        let indent = written.len() - written.trim_start().len();
                        (
                            written_lines(self),
                            indent + 1,
                            written.trim().chars().count(),
                        )
                    }
                    _ => (written_lines(self), column, length),
                }
            }
            Self::Project(_) | Self::Written(_) | Self::Made { .. } => {
                (written_lines(self), column, length)
            }
        };
        excerpt(&shown, self, line, column, length)
    }

    /// Whether a place of `dev.yaml` is in a value of a free key, which may be anything.
    pub fn is_free(self, line: usize, column: usize) -> bool {
        let lines = written_lines(self);
        let Some(content) = lines.get(line.wrapping_sub(1)) else {
            return false;
        };
        match self {
            Self::Project(_) => {
                let hidden = secret::free_in_project(&lines, line - 1);
                mask(content, hidden).hides(column.saturating_sub(1))
            }
            Self::Written(_) | Self::Rendered { .. } | Self::Made { .. } => false,
        }
    }

    /// What of a line (its index) is hidden.
    fn hidden(self, lines: &[&str], index: usize) -> Hidden {
        match self {
            Self::Project(_) => secret::in_project(lines, index),
            Self::Written(_) | Self::Rendered { .. } => {
                if secret::may_be_secret(lines, index) {
                    Hidden::Values
                } else {
                    Hidden::Nothing
                }
            }
            Self::Made { written, .. } => {
                let as_written = written.is_some_and(|text| {
                    let line = lines[index].trim_end();
                    text.lines().any(|other| other.trim_end() == line)
                });
                match (secret::may_be_secret(lines, index), as_written) {
                    (true, _) => Hidden::Values,
                    (false, true) => Hidden::Nothing,
                    (false, false) => Hidden::ValuesButNames,
                }
            }
        }
    }
}

/// The lines that are shown.
fn written_lines(text: Text<'_>) -> Vec<&str> {
    let text = match text {
        Text::Rendered { written, .. } => written,
        other => other.text(),
    };
    text.strip_prefix('\u{feff}')
        .unwrap_or(text)
        .lines()
        .collect()
}

fn excerpt(lines: &[&str], text: Text<'_>, line: usize, column: usize, length: usize) -> String {
    if line == 0 || line > lines.len() {
        return String::new();
    }
    let first = line.saturating_sub(BEFORE).max(1);
    let shown: Vec<Masked> = (first..=line)
        .map(|number| mask(lines[number - 1], text.hidden(lines, number - 1)))
        .collect();
    let Some(last) = shown.last() else {
        return String::new();
    };
    let from = last.position(column.saturating_sub(1));
    let to = last.position(column.saturating_sub(1) + length.max(1));
    let start = from.saturating_sub(WIDTH * 3 / 4);
    let gutter = line.to_string().len();
    let mut out = format!("{:gutter$} |", "");
    for (number, content) in (first..).zip(&shown) {
        let cropped = crop(&content.text(), start);
        out.push_str(format!("\n{number:gutter$} | {cropped}").trim_end());
    }
    let indent = from - start;
    let room = last.len().saturating_sub(from).min(WIDTH);
    let mark = "^".repeat(to.saturating_sub(from).clamp(1, room.max(1)));
    out.push_str(&format!("\n{:gutter$} | {:indent$}{mark}", "", ""));
    out
}

fn crop(line: &str, start: usize) -> String {
    line.chars()
        .skip(start)
        .take(WIDTH)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;

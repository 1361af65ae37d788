//! Progress: one line for each thing, redrawn on a terminal, printed when it changes elsewhere.

use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::plain::one_line;

/// Characters of a state: a build may print lines without end.
const LONGEST: usize = 500;

/// The line of one thing.
#[derive(Debug)]
pub struct Task {
    name: String,
    bar: Option<ProgressBar>,
    visible: bool,
    started: Instant,
    last: Mutex<String>,
}

impl Task {
    pub(super) fn new(name: String, bars: Option<&MultiProgress>, visible: bool) -> Self {
        let bar = bars.filter(|_| visible).map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("{spinner} {prefix:.bold}  {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            bar.set_style(style);
            bar.set_prefix(name.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            name,
            bar,
            visible,
            started: Instant::now(),
            last: Mutex::new(String::new()),
        }
    }

    /// What is being done with it now. A repeated state is told once.
    pub fn state(&self, text: impl AsRef<str>) {
        let text = one_line(text.as_ref(), LONGEST);
        let text = text.as_str();
        if let Ok(mut last) = self.last.lock() {
            if *last == text {
                return;
            }
            text.clone_into(&mut last);
        }
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => self.print(text),
        }
    }

    /// It is done.
    pub fn done(&self, text: impl AsRef<str>) {
        self.end("✓", text.as_ref());
    }

    /// It failed.
    pub fn failed(&self, text: impl AsRef<str>) {
        self.end("✗", text.as_ref());
    }

    /// The time since the task began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn end(&self, mark: &'static str, text: &str) {
        let text = one_line(text, LONGEST);
        match &self.bar {
            Some(bar) => {
                let style = ProgressStyle::with_template("{msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner());
                bar.set_style(style);
                bar.finish_with_message(format!("{mark} {}  {text}", self.name));
            }
            None => self.print(&text),
        }
    }

    fn print(&self, text: &str) {
        if self.visible {
            // Nobody may be reading any more, which must not end an apply in the middle.
            let _gone = writeln!(std::io::stderr(), "{}: {text}", self.name);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar
            && !bar.is_finished()
        {
            bar.finish_and_clear();
        }
    }
}

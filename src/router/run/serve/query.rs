//! PURE: what a request asks for.

use std::time::Duration;

use super::LONGEST_WAIT;
use crate::router::run::status::Wanted;

/// The query of a URL. Names of Services, environments and pods are made of letters, digits, `-` and `.`, so nothing is escaped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) services: Vec<String>,
    pub(super) envs: Vec<String>,
    /// How long the answer may be kept.
    pub(super) wait: Duration,
    /// After which request to go on.
    pub(super) after: Option<String>,
    /// How many of the last requests.
    pub(super) tail: usize,
}

impl Query {
    /// Reads one. The error is one sentence.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "service" => query.services.push(value.to_owned()),
                "env" => query.envs.push(value.to_owned()),
                "after" => query.after = Some(value.to_owned()),
                "wait" => {
                    let seconds: u64 = number(key, value, "a number of seconds")?;
                    query.wait = Duration::from_secs(seconds.min(LONGEST_WAIT));
                }
                "tail" => query.tail = number(key, value, "a number of requests")?,
                // A later version may ask for more.
                _ => {}
            }
        }
        Ok(query)
    }

    /// Whether the answer depends on how things are.
    pub(super) fn waits(&self) -> bool {
        !self.wait.is_zero()
    }

    /// What a state is waited for.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            service: self.services.first().cloned(),
            env: self.envs.first().cloned(),
        }
    }
}

fn number<T: std::str::FromStr>(key: &str, value: &str, expected: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{key}={value}: expected {expected}"))
}

//! Times in classes, each 0.5 % longer than the one before: small enough to be passed between processes, and added up.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

/// Natural logarithm of the step from class to class.
const STEP: f64 = 0.005;

/// How often something took how long.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    classes: BTreeMap<i64, u64>,
    count: u64,
}

impl Histogram {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        let nanos = time.as_nanos().max(1) as f64;
        self.put((nanos.ln() / STEP) as i64, 1);
    }

    /// Those of another one too.
    pub fn extend(&mut self, other: &Self) {
        for (class, count) in &other.classes {
            self.put(*class, *count);
        }
    }

    fn put(&mut self, class: i64, count: u64) {
        *self.classes.entry(class).or_default() += count;
        self.count += count;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The time that so many percent of them did not exceed, in milliseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        let wanted = (self.count as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (class, count) in &self.classes {
            seen += count;
            if seen >= wanted {
                return (((*class as f64) + 0.5) * STEP).exp() / 1e6;
            }
        }
        f64::NAN
    }

    /// To pass it on.
    pub fn to_value(&self) -> Value {
        json!(self.classes.iter().collect::<Vec<_>>())
    }

    /// As it was passed on.
    pub fn from_value(value: &Value) -> Self {
        let pairs: Vec<(i64, u64)> =
            serde_json::from_value(value.clone()).expect("made by to_value");
        let mut read = Self::default();
        for (class, count) in pairs {
            read.put(class, count);
        }
        read
    }
}

//! Reads Envoy's statistics now and then, so that what somebody asks for is that of the last minute and not since Envoy was started.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::admin::Admin;
use crate::error::{Error, Result};
use crate::router::traffic::{PodTraffic, QUERY, Sample};

/// How often they are read when nobody asks. Envoy's main thread is busy with it for a moment.
const PERIOD: Duration = Duration::from_secs(20);
/// So many are kept: figures are those of the last 40 to 60 seconds.
const KEPT: usize = 3;
/// Whoever asks again within this time gets the same answer.
const FRESH: Duration = Duration::from_secs(1);

/// The statistics of this pod's Envoy.
#[derive(Debug)]
pub(super) struct Measure {
    admin: Admin,
    /// The oldest first.
    kept: Mutex<VecDeque<(Instant, Sample)>>,
    last: tokio::sync::Mutex<Option<(Instant, PodTraffic)>>,
}

impl Measure {
    pub(super) fn new(admin: Admin) -> Self {
        Self {
            admin,
            kept: Mutex::default(),
            last: tokio::sync::Mutex::default(),
        }
    }

    /// Keeps reading, for ever.
    pub(super) async fn run(&self) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.sample().await {
                Ok(sample) => {
                    let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.push_back((Instant::now(), sample));
                    if kept.len() > KEPT {
                        kept.pop_front();
                    }
                }
                // Envoy is being started: there will be other times.
                Err(error) => tracing::debug!(%error, "no statistics"),
            }
        }
    }

    /// What was counted in the last minute or less.
    pub(super) async fn traffic(&self, pod: &str) -> PodTraffic {
        let mut last = self.last.lock().await;
        if let Some((at, traffic)) = &*last
            && at.elapsed() < FRESH
        {
            return traffic.clone();
        }
        let traffic = match self.sample().await {
            Ok(sample) => {
                let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                let oldest = kept.front();
                let oldest = oldest.map(|(at, sample)| (sample, at.elapsed().as_secs_f64()));
                let (clusters, seconds) = sample.since(oldest);
                PodTraffic {
                    pod: pod.to_owned(),
                    seconds,
                    clusters,
                    error: None,
                }
            }
            Err(error) => PodTraffic {
                pod: pod.to_owned(),
                error: Some(format!("{error}: {}", error.causes().join(": "))),
                ..PodTraffic::default()
            },
        };
        *last = Some((Instant::now(), traffic.clone()));
        traffic
    }

    async fn sample(&self) -> Result<Sample> {
        let text = self.admin.get(QUERY).await?;
        let read = serde_json::from_str(&text)
            .ok()
            .and_then(|answer| Sample::read(&answer));
        read.ok_or_else(|| Error::failed("Envoy's statistics are not what was expected"))
    }
}

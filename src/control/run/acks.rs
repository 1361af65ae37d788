//! Asks the routers what Envoy has acknowledged, only for Services and pods for which that is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::http;
use crate::control::decide::Acked;

/// How long a router may keep a question, in seconds.
const HANG: u64 = 30;
/// The pause between two questions that were answered at once: with something that is not what is waited for.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause after a question that failed.
const FAILED: Duration = Duration::from_millis(500);

/// A pod by its UID, and a Service.
type Key = (String, String);

/// A router's pod that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Its UID: a pod of the same name may be another one.
    pub(super) uid: String,
    /// Where it is.
    pub(super) ip: IpAddr,
    /// Whether it is ready.
    pub(super) ready: bool,
}

/// What was answered last, and the questions that are open.
pub(super) struct Acks {
    port: u16,
    answers: Arc<Answers>,
    open: BTreeMap<Key, AbortHandle>,
}

#[derive(Default)]
struct Answers {
    known: Mutex<BTreeMap<Key, Acked>>,
    changed: Notify,
}

impl Acks {
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            answers: Arc::default(),
            open: BTreeMap::new(),
        }
    }

    /// What a pod has acknowledged, by Service.
    pub(super) fn of(&self, uid: &str) -> BTreeMap<String, Acked> {
        let known = self
            .answers
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .filter(|((pod, _), _)| pod == uid)
            .map(|((_, service), acked)| (service.clone(), acked.clone()))
            .collect()
    }

    /// Asks these pods for these Services, and no others.
    pub(super) fn want(&mut self, services: &BTreeSet<String>, pods: &[Asked]) {
        let ready = pods.iter().filter(|pod| pod.ready);
        let wanted: BTreeMap<Key, IpAddr> = ready
            .flat_map(|pod| {
                services
                    .iter()
                    .map(|service| ((pod.uid.clone(), service.clone()), pod.ip))
            })
            .collect();
        self.open.retain(|key, task| {
            let keep = wanted.contains_key(key) && !task.is_finished();
            if !keep {
                task.abort();
            }
            keep
        });
        let alive: BTreeSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
        self.answers
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            // What is waited for anew is asked anew, and pods that are gone have nothing.
            .retain(|(uid, service), _| services.contains(service) && alive.contains(uid.as_str()));
        for (key, ip) in wanted {
            let answers = Arc::clone(&self.answers);
            let address = SocketAddr::new(ip, self.port);
            self.open
                .entry(key.clone())
                .or_insert_with(|| tokio::spawn(ask(address, key, answers)).abort_handle());
        }
    }

    /// Waits until an answer has changed.
    pub(super) async fn changed(&self) {
        self.answers.changed.notified().await;
    }
}

impl Drop for Acks {
    fn drop(&mut self) {
        for task in self.open.values() {
            task.abort();
        }
    }
}

/// Asks again and again until it is aborted.
async fn ask(address: SocketAddr, key: Key, answers: Arc<Answers>) {
    let path = format!("/v1/pod?service={}&wait={HANG}", key.1);
    let timeout = Duration::from_secs(HANG + 5);
    loop {
        let answer = http::get(address, &path, timeout).await;
        let pause = match answer.and_then(|answer| read(&answer, &key.1)) {
            Ok(acked) => {
                let mut known = answers.known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.get(&key) != Some(&acked) {
                    known.insert(key.clone(), acked);
                    answers.changed.notify_one();
                }
                PAUSE
            }
            Err(why) => {
                tracing::debug!(%address, %why, "a router does not answer");
                FAILED
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn read(answer: &Value, service: &str) -> Result<Acked, String> {
    match answer.get("acked").and_then(|acked| acked.get(service)) {
        Some(acked) => serde_json::from_value(acked.clone()).map_err(|cause| cause.to_string()),
        None => Ok(Acked::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_read() {
        let answer = json!({"pod": "a", "synced": true, "errors": [],
            "acked": {"reviews": {"ports": {"9080": {"listener": 20001, "envs": {"ann": 1}}}}}});
        let acked = read(&answer, "reviews").unwrap();
        assert_eq!(acked.ports[&9080].listener, 20001);
        assert_eq!(acked.ports[&9080].base, None);
        assert_eq!(read(&answer, "web"), Ok(Acked::default()));
        assert!(read(&json!({"acked": {"web": 1}}), "web").is_err());
    }
}

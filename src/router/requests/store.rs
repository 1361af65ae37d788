//! The newest requests of each environment, in bounded memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::entry::Request;

/// So many are kept of an environment.
const OF_ONE: usize = 500;
/// So many are kept of all, about 5 MB: then that one loses its oldest which has most.
const OF_ALL: usize = 10_000;

/// What somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The environment.
    pub env: String,
    /// Only requests for these services; none: for all.
    pub services: Vec<String>,
}

/// Requests, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Page {
    /// The oldest first.
    pub requests: Vec<Request>,
    /// What the next question begins with.
    pub next: String,
    /// What is missing, one line each.
    pub errors: Vec<String>,
}

/// The requests of one router.
#[derive(Debug, Default)]
pub struct Store {
    state: Mutex<State>,
    newest_tx: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// The environments that the base admits: of others nothing is kept.
    admitted: BTreeSet<String>,
    by_env: BTreeMap<String, VecDeque<(u64, Arc<Request>)>>,
    count: usize,
    last: u64,
}

impl Store {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done while it is held can leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these are the environments. What is kept of others is dropped.
    pub fn admit(&self, environments: &BTreeSet<String>) {
        let mut state = self.state();
        if state.admitted != *environments {
            state.admitted.clone_from(environments);
            state.by_env.retain(|env, _| environments.contains(env));
            state.count = state.by_env.values().map(VecDeque::len).sum();
        }
    }

    /// Keeps requests. `now`: microseconds since 1970.
    pub fn put(&self, requests: impl IntoIterator<Item = Request>, now: u64) {
        let mut state = self.state();
        let before = state.last;
        for request in requests {
            state.put(request, now);
        }
        let last = state.last;
        drop(state);
        if last != before {
            self.newest_tx.send_replace(last);
        }
    }

    /// The requests after this number, and the number to go on with.
    pub fn after(&self, asked: &Asked, after: u64) -> (Vec<Request>, u64) {
        let state = self.state();
        let of_env = state.by_env.get(&asked.env).into_iter().flatten();
        let new = of_env.filter(|(number, request)| *number > after && asked.is(request));
        let found = new.map(|(_, request)| Request::clone(request)).collect();
        (found, state.last.max(after))
    }

    /// The last so many requests, and the number to go on with.
    pub fn last(&self, asked: &Asked, most: usize) -> (Vec<Request>, u64) {
        let (mut found, next) = self.after(asked, 0);
        found.drain(..found.len().saturating_sub(most));
        (found, next)
    }

    /// Tells when there are newer ones.
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest_tx.subscribe()
    }
}

impl Asked {
    fn is(&self, request: &Request) -> bool {
        self.services.is_empty() || self.services.contains(&request.service)
    }
}

impl State {
    fn put(&mut self, request: Request, now: u64) {
        if !self.admitted.contains(&request.env) {
            return;
        }
        self.last = now.max(self.last + 1);
        let kept = self.by_env.entry(request.env.clone()).or_default();
        kept.push_back((self.last, Arc::new(request)));
        self.count += 1;
        if kept.len() > OF_ONE {
            kept.pop_front();
            self.count -= 1;
        }
        if self.count > OF_ALL
            && let Some(most) = self.by_env.values_mut().max_by_key(|kept| kept.len())
        {
            most.pop_front();
            self.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(env: &str, service: &str, path: &str) -> Request {
        Request {
            env: env.to_owned(),
            service: service.to_owned(),
            path: path.to_owned(),
            ..Request::default()
        }
    }

    fn store(envs: &[&str]) -> Store {
        let store = Store::default();
        store.admit(&envs.iter().map(|env| (*env).to_owned()).collect());
        store
    }

    fn asked(env: &str) -> Asked {
        Asked {
            env: env.to_owned(),
            services: Vec::new(),
        }
    }

    fn paths(found: &(Vec<Request>, u64)) -> Vec<&str> {
        found.0.iter().map(|one| one.path.as_str()).collect()
    }

    #[test]
    fn each_environment_has_its_own_and_reading_goes_on_where_it_stopped() {
        let store = store(&["ann", "bob"]);
        let newest = store.newest();
        store.put(
            [request("ann", "web", "/1"), request("bob", "web", "/x")],
            100,
        );
        store.put(
            [request("ann", "api", "/2"), request("eve", "web", "/y")],
            50,
        );
        assert!(newest.has_changed().unwrap());
        let first = store.after(&asked("ann"), 0);
        assert_eq!(paths(&first), ["/1", "/2"]);
        assert_eq!(first.1, 102, "a clock that goes back does no harm");
        let api = Asked {
            services: vec!["api".into()],
            ..asked("ann")
        };
        assert_eq!(paths(&store.after(&api, 0)), ["/2"]);
        assert_eq!(paths(&store.last(&asked("ann"), 1)), ["/2"]);
        assert!(store.after(&asked("ann"), first.1).0.is_empty());
        store.put([request("ann", "web", "/3")], 200);
        assert_eq!(paths(&store.after(&asked("ann"), first.1)), ["/3"]);
        assert!(store.after(&asked("eve"), 0).0.is_empty());
        store.admit(&BTreeSet::from(["bob".to_owned()]));
        assert!(store.after(&asked("ann"), 0).0.is_empty());
        assert_eq!(paths(&store.after(&asked("bob"), 0)), ["/x"]);
    }

    #[test]
    fn a_busy_environment_leaves_room_for_the_others() {
        let envs: Vec<String> = (0..30).map(|number| format!("e{number}")).collect();
        let names: Vec<&str> = envs.iter().map(String::as_str).collect();
        let store = store(&names);
        store.put([request("e0", "web", "/first")], 1);
        for round in 0..OF_ONE as u64 * 2 {
            store.put(names[1..].iter().map(|env| request(env, "web", "/")), round);
        }
        let kept = |env: &str| store.after(&asked(env), 0).0.len();
        assert_eq!(kept("e0"), 1);
        let all: usize = names.iter().map(|env| kept(env)).sum();
        assert_eq!(all, OF_ALL);
        assert!(names.iter().all(|env| kept(env) <= OF_ONE));
    }
}

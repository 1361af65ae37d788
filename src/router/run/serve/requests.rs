//! The requests of one environment, of this pod and of all routers together.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, timeout, timeout_at};

use super::query::Query;
use super::{PEER, Status};
use crate::router::requests::{Asked, Cursor, Page};
use crate::router::run::peers::{Peer, ask};

/// Who waits is told of requests soon after the first came; what others have meanwhile is told with it.
const OTHERS: Duration = Duration::from_millis(100);

impl Status {
    /// The requests of this pod: as soon as there are some, where the question waits.
    pub(super) async fn own_requests(&self, query: &Query) -> Result<Page, String> {
        let asked = asked(query)?;
        let (requests, next) = match &query.after {
            None => self.requests.last(&asked, query.tail),
            Some(after) => {
                let after = after
                    .parse()
                    .map_err(|_| format!("after={after}: expected a number"))?;
                let mut newest_rx = self.requests.newest();
                let come = async {
                    loop {
                        newest_rx.mark_unchanged();
                        let found = self.requests.after(&asked, after);
                        // The store lives as long as the server.
                        if !found.0.is_empty() || newest_rx.changed().await.is_err() {
                            return found;
                        }
                    }
                };
                match timeout(query.wait, come).await {
                    Ok(found) => found,
                    Err(_) => self.requests.after(&asked, after),
                }
            }
        };
        Ok(Page {
            requests,
            next: next.to_string(),
            errors: Vec::new(),
        })
    }

    /// The requests of all routers. What was read of each is in the cursor, so that the next question may go to any of them; what a router
    /// had no time to tell is asked for again.
    pub(super) async fn requests(&self, query: &Query) -> Result<Page, String> {
        asked(query)?;
        let mut cursor = match &query.after {
            None => Cursor {
                others: now(),
                ..Cursor::default()
            },
            Some(after) => Cursor::parse(after)?,
        };
        let own = Peer {
            pod: self.pod.clone(),
            // It is not asked over the network.
            address: ([0, 0, 0, 0], 0).into(),
        };
        let pods: Vec<Peer> = std::iter::once(own).chain(self.peers()).collect();
        let mut answers: FuturesUnordered<_> = pods
            .iter()
            .map(|pod| self.of_pod(pod, query, &cursor))
            .collect();
        let mut page = Page::default();
        let mut read = Vec::new();
        let mut told = None;
        loop {
            let next = match told {
                None => answers.next().await,
                Some(deadline) => timeout_at(deadline, answers.next()).await.unwrap_or(None),
            };
            let Some((pod, answer)) = next else { break };
            match answer {
                Ok(said) => {
                    let some = !said.requests.is_empty();
                    page.requests.extend(said.requests);
                    if let Ok(next) = said.next.parse::<u64>() {
                        read.push((pod.to_owned(), next));
                    }
                    if some && query.waits() {
                        told.get_or_insert_with(|| Instant::now() + OTHERS);
                    }
                }
                Err(why) => page.errors.push(format!("{pod}: {why}")),
            }
        }
        drop(answers);
        cursor.pods.extend(read);
        page.next = cursor.to_string();
        page.requests
            .sort_by(|one, other| one.time.cmp(&other.time));
        if query.after.is_none() {
            let too_many = page.requests.len().saturating_sub(query.tail);
            page.requests.drain(..too_many);
        }
        Ok(page)
    }

    async fn of_pod<'a>(
        &self,
        pod: &'a Peer,
        query: &Query,
        cursor: &Cursor,
    ) -> (&'a str, Result<Page, String>) {
        let query = Query {
            services: query.services.clone(),
            envs: query.envs.clone(),
            wait: query.wait,
            after: query
                .after
                .as_ref()
                .map(|_| cursor.of(&pod.pod).to_string()),
            tail: query.tail,
        };
        let answer = if pod.pod == self.pod {
            self.own_requests(&query).await
        } else {
            let longest = query.wait + PEER;
            let said = ask(pod, "/v1/pod/requests", &text(&query), longest).await;
            said.map(|(_, page)| page)
        };
        (&pod.pod, answer)
    }
}

fn asked(query: &Query) -> Result<Asked, String> {
    match query.envs.as_slice() {
        [env] => Ok(Asked {
            env: env.clone(),
            services: query.services.clone(),
        }),
        _ => Err("env= names the one environment".to_owned()),
    }
}

/// The query as it is asked of a peer.
fn text(query: &Query) -> String {
    let mut text = format!("wait={}&tail={}", query.wait.as_secs(), query.tail);
    let envs = query.envs.iter().map(|env| format!("&env={env}"));
    let services = query.services.iter().map(|name| format!("&service={name}"));
    let after = query.after.iter().map(|after| format!("&after={after}"));
    text.extend(envs.chain(services).chain(after));
    text
}

/// Microseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or_default())
}

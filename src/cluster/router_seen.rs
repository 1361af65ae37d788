//! What the routers of a base have seen: the traffic of versions, and the requests of an environment. Read as their state is
//! (`router_status`), by the same right.

use http::Request;
use serde::de::DeserializeOwned;

use crate::cluster::Cluster;
use crate::cluster::router_status::{Unknown, proxied};
use crate::error::Error;
use crate::router::requests::Page;
use crate::router::traffic::Report;

impl Cluster {
    /// The traffic of an environment and of the base in the last minute or less.
    pub async fn router_traffic(&self, base: &str, env: &str) -> Result<Report, Unknown> {
        let attempt = format!("ask the routers of {base} what they have counted");
        self.ask_routers(base, &format!("traffic?env={env}"), &attempt)
            .await
    }

    /// The last requests of an environment, or with `after` (the `next` of an earlier answer) those that came since. `wait`: how many seconds the
    /// answer may be kept until there are some.
    pub async fn router_requests(
        &self,
        base: &str,
        env: &str,
        services: &[String],
        tail: usize,
        after: Option<(&str, u64)>,
    ) -> Result<Page, Unknown> {
        let mut query = format!("requests?env={env}&tail={tail}");
        for service in services {
            query.push_str(&format!("&service={service}"));
        }
        if let Some((after, wait)) = after {
            query.push_str(&format!("&after={after}&wait={wait}"));
        }
        let attempt = format!("ask the routers of {base} for the requests of {env}");
        self.ask_routers(base, &query, &attempt).await
    }

    async fn ask_routers<T: DeserializeOwned>(
        &self,
        base: &str,
        query: &str,
        attempt: &str,
    ) -> Result<T, Unknown> {
        let request = Request::get(proxied(base, query)).body(Vec::new());
        self.try_send(request).await.map_err(|failure| {
            let error = self.explain_failure(attempt, &failure);
            match failure.code() {
                Some(403) => Unknown::NoRight(error),
                // The routers answer, but know no such question.
                Some(404) => Unknown::NoAnswer(
                    Error::failed(format!("cannot {attempt}: they are of an older version"))
                        .reason("OldRouters")
                        .hint(format!("dev router install --base {base} upgrades them")),
                ),
                Some(_) | None => Unknown::NoAnswer(error),
            }
        })
    }
}

//! Envoy's admin interface on its Unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::http::send;
use crate::error::{Error, Result};

/// Envoy answers at once, unless its main thread is busy with a large update.
const LONGEST: Duration = Duration::from_secs(10);

/// Connections by listener. The listener that answers probes has no such name; that of the admin interface has.
const CONNECTIONS: &str = r"^listener\.[^.]*\.downstream_cx_active$";

/// The admin interface of one Envoy.
#[derive(Clone, Debug)]
pub struct Admin {
    socket: PathBuf,
}

impl Admin {
    /// The interface on this socket.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// The answer to a GET, as text.
    ///
    /// # Errors
    /// `Failed`: no answer in time, or one that is no success.
    pub async fn get(&self, path: &str) -> Result<String> {
        self.ask(Method::GET, path).await
    }

    /// Makes Envoy do something.
    ///
    /// # Errors
    /// As for [`Admin::get`].
    pub async fn post(&self, path: &str) -> Result<String> {
        self.ask(Method::POST, path).await
    }

    /// How many connections clients have.
    ///
    /// # Errors
    /// As for [`Admin::get`].
    pub async fn connections(&self) -> Result<u64> {
        let text = self.get(&format!("/stats?filter={CONNECTIONS}")).await?;
        Ok(clients(&text))
    }

    async fn ask(&self, method: Method, path: &str) -> Result<String> {
        let asked = async {
            let stream = UnixStream::connect(&self.socket)
                .await
                .map_err(|cause| Error::io("connect to", &self.socket, &cause))?;
            send(stream, method, "envoy", path).await
        };
        let (status, body) = timeout(LONGEST, asked).await.map_err(|_| {
            Error::failed(format!(
                "Envoy's admin interface did not answer {path} within {} s",
                LONGEST.as_secs()
            ))
        })??;
        let body = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() {
            Ok(body)
        } else {
            Err(Error::failed(format!(
                "Envoy's admin interface answers {path} with {status}"
            ))
            .cause(body.trim()))
        }
    }
}

/// The sum of the connections of all listeners, from `name: value` lines. That of whoever asks is none of a client.
fn clients(stats: &str) -> u64 {
    stats
        .lines()
        .filter(|line| !line.starts_with("listener.admin."))
        .filter_map(|line| line.rsplit_once(": ")?.1.trim().parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_added_up_without_the_one_that_asks() {
        let asks = "listener.admin.downstream_cx_active: 1\n";
        let others =
            "listener.svc|web|80.downstream_cx_active: 3\nlistener.edge.downstream_cx_active: 4\n";
        assert_eq!(clients(&format!("{asks}{others}")), 7);
        assert_eq!(clients(asks), 0);
    }
}

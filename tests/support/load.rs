//! Clients that send one request after the other and count what fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::envoy::header;

/// A request that takes longer has failed.
const LONGEST: Duration = Duration::from_secs(10);

/// Clients at work; they end when this is dropped.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    requests: AtomicU64,
    answered: Notify,
    failures: std::sync::Mutex<Vec<String>>,
}

/// What clients are to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to.
    pub to: SocketAddr,
    /// The environment that requests carry.
    pub env: Option<&'static str>,
    /// Clients that keep their connection.
    pub kept: usize,
    /// Clients that make a connection for each request.
    pub new: usize,
    /// The bodies that an answer may have; none: any.
    pub answers: &'static [&'static str],
}

/// What came of it.
#[derive(Debug)]
pub struct Count {
    /// Requests.
    pub requests: u64,
    /// What went wrong, one line for each request that failed.
    pub failures: Vec<String>,
}

impl Load {
    /// Starts these clients.
    pub fn start(plans: &[Plan]) -> Self {
        let shared = Arc::new(Shared::default());
        let mut clients = Vec::new();
        for plan in plans {
            for number in 0..plan.kept + plan.new {
                let (shared, plan) = (Arc::clone(&shared), plan.clone());
                let kept = number < plan.kept;
                clients.push(tokio::spawn(client(shared, plan, kept)));
            }
        }
        Self { shared, clients }
    }

    /// Waits until so many more requests were answered or have failed.
    pub async fn more(&self, requests: u64) {
        let wanted = self.shared.requests.load(Ordering::Relaxed) + requests;
        loop {
            let answered = self.shared.answered.notified();
            if self.shared.requests.load(Ordering::Relaxed) >= wanted {
                return;
            }
            answered.await;
        }
    }

    /// Lets the clients finish what they are at, and counts.
    pub async fn stop(mut self) -> Count {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in &mut self.clients {
            client.await.unwrap();
        }
        Count {
            requests: self.shared.requests.load(Ordering::Relaxed),
            failures: self.shared.failures.lock().unwrap().clone(),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for client in &self.clients {
            client.abort();
        }
    }
}

impl Count {
    /// Prints the count and fails if a request failed.
    pub fn none_failed(&self, what: &str) {
        println!(
            "{what}: {} requests, {} failed",
            self.requests,
            self.failures.len()
        );
        let shown = &self.failures[..self.failures.len().min(10)];
        assert!(self.failures.is_empty(), "{what}: {shown:#?}");
        assert!(self.requests > 0, "{what}: nothing was asked");
    }
}

async fn client(shared: Arc<Shared>, plan: Plan, kept: bool) {
    let env = plan.env.map(|env| format!("x-dev-env: {env}\r\n"));
    let close = if kept { "" } else { "connection: close\r\n" };
    let request = format!(
        "GET / HTTP/1.1\r\nhost: x\r\n{}{close}\r\n",
        env.unwrap_or_default()
    );
    let mut connection = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let used = connection.is_some();
        let answer = match timeout(LONGEST, ask(&mut connection, plan.to, &request)).await {
            Ok(answer) => answer,
            Err(_) => Err("no answer in time".to_owned()),
        };
        let verdict = answer.and_then(|(head, body)| {
            let good = head.starts_with("HTTP/1.1 200 ")
                && (plan.answers.is_empty() || plan.answers.contains(&body.as_str()));
            good.then_some(())
                .ok_or_else(|| format!("{} {body}", head.lines().next().unwrap_or_default()))
        });
        if let Err(failure) = verdict {
            connection = None;
            let line = format!("env {:?}, used connection {used}: {failure}", plan.env);
            shared.failures.lock().unwrap().push(line);
            // Whoever is away for a moment is not asked a million times.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        shared.requests.fetch_add(1, Ordering::Relaxed);
        shared.answered.notify_waiters();
    }
}

/// One request, on the connection if there is one. It stays unless the answer says that it is closed.
async fn ask(
    connection: &mut Option<TcpStream>,
    to: SocketAddr,
    request: &str,
) -> Result<(String, String), String> {
    let words = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => TcpStream::connect(to)
            .await
            .map_err(|error| words("connect", error))?,
    };
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| words("send", error))?;
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize =
                header(head, "content-length").map_or(0, |text| text.parse().unwrap());
            if body.len() >= length {
                let (head, body) = (head.to_owned(), body.to_owned());
                if header(&head, "connection").is_none_or(|value| value != "close") {
                    *connection = Some(stream);
                }
                return Ok((head, body));
            }
        }
        match stream.read_buf(&mut read).await {
            Ok(0) => return Err(format!("the connection ended after {} bytes", read.len())),
            Ok(_) => {}
            Err(error) => return Err(words("read", error)),
        }
    }
}

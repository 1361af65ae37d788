//! Servers behind a proxy under test, which keep what they were sent byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::envoy::header;

/// The end of the head of an HTTP/1 message.
const END: &[u8] = b"\r\n\r\n";

/// A server of HTTP/1.1 that answers with its name; `Upgrade` turns a connection into an echo. It answers `/status/500` with that status
/// and `/slow/40` after so many milliseconds.
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Backend {
    /// Starts one.
    pub async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, bodies) = (Arc::default(), Arc::default());
        let (to_heads, to_bodies) = (Arc::clone(&heads), Arc::clone(&bodies));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = Connection {
                    name,
                    stream,
                    unread: Vec::new(),
                    heads: Arc::clone(&to_heads),
                    bodies: Arc::clone(&to_bodies),
                };
                tokio::spawn(connection.serve());
            }
        });
        Self {
            address,
            heads,
            bodies,
            task,
        }
    }

    /// The heads of the requests since the last call.
    pub fn heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().unwrap())
    }

    /// The bodies as they came, chunks and all, of the requests that had one.
    pub fn bodies(&self) -> Vec<String> {
        std::mem::take(&mut self.bodies.lock().unwrap())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What [`Backend`] answers, apart from the body.
pub const ANSWER: &str = "HTTP/1.1 200 Very Fine\r\nX-BackEnd: Yes\r\nserver: own/1.0\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n";

struct Connection {
    name: &'static str,
    stream: TcpStream,
    unread: Vec<u8>,
    heads: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Connection {
    async fn serve(mut self) -> Option<()> {
        loop {
            let head = self.until(END).await?;
            self.heads.lock().unwrap().push(head.clone());
            if header(&head, "upgrade").is_some() {
                return self.echo(&head).await;
            }
            if header(&head, "expect").is_some() {
                self.send("HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            let body = if header(&head, "transfer-encoding").is_some() {
                self.until(b"0\r\n\r\n").await?
            } else {
                let length =
                    header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
                self.exactly(length).await?
            };
            if !body.is_empty() {
                self.bodies.lock().unwrap().push(body);
            }
            if let Some(time) = after(&head, "/slow/").and_then(|text| text.parse().ok()) {
                tokio::time::sleep(std::time::Duration::from_millis(time)).await;
            }
            let (name, length) = (self.name, self.name.len());
            let answer = match after(&head, "/status/") {
                Some(status) => ANSWER.replacen("200", status, 1),
                None => ANSWER.to_owned(),
            };
            self.send(&format!("{answer}Content-Length: {length}\r\n\r\n{name}"))
                .await?;
        }
    }

    async fn echo(mut self, head: &str) -> Option<()> {
        let protocol = header(head, "upgrade")?;
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        );
        self.send(&answer).await?;
        let waiting = std::mem::take(&mut self.unread);
        self.stream.write_all(&waiting).await.ok()?;
        let (mut from, mut to) = self.stream.split();
        tokio::io::copy(&mut from, &mut to).await.ok()?;
        Some(())
    }

    async fn send(&mut self, text: &str) -> Option<()> {
        self.stream.write_all(text.as_bytes()).await.ok()
    }

    async fn until(&mut self, mark: &[u8]) -> Option<String> {
        loop {
            if let Some(at) = self.unread.windows(mark.len()).position(|it| it == mark) {
                return self.exactly(at + mark.len()).await;
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<String> {
        while self.unread.len() < length {
            self.more().await?;
        }
        let read: Vec<u8> = self.unread.drain(..length).collect();
        // Header values may be any bytes.
        Some(read.into_iter().map(char::from).collect())
    }

    async fn more(&mut self) -> Option<()> {
        (self.stream.read_buf(&mut self.unread).await.ok()? > 0).then_some(())
    }
}

/// What follows this in the path of a request.
fn after<'a>(head: &'a str, begin: &str) -> Option<&'a str> {
    head.split(' ').nth(1)?.strip_prefix(begin)
}

/// A server that speaks first, as Redis' and MySQL's do not wait for a request.
pub struct Greeter {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Greeter {
    /// Starts one that greets, then echoes until the client has nothing more to say, then says goodbye.
    pub async fn start() -> Self {
        Self::saying(b"hello\n").await
    }

    /// The same with this greeting.
    pub async fn saying(greeting: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    stream.write_all(greeting).await.ok()?;
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await.ok()?;
                    to.write_all(b"bye\n").await.ok()
                });
            }
        });
        Self { address, task }
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

//! A real Envoy on this machine's loopback, from a table rendered as one bootstrap. Without `DEV_TEST_ENVOY` the tests that
//! need it are left out and say so.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use dev::router::envoy::fixed::{Place, fixed};
use dev::router::envoy::{Families, Options, snapshot_with};
use dev::router::model::Table;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::Command;

use super::envoy_process::Process;
use super::left_out::left_out;

/// Ports for listeners of tests: `net.ipv4.ip_local_port_range` begins above them.
const FIRST_PORT: u16 = 12_000;
const LAST_PORT: u16 = 29_000;

/// The program, or `None` (and a line that says what is left out).
pub fn program(test: &str) -> Option<PathBuf> {
    let found = std::env::var_os("DEV_TEST_ENVOY").map(PathBuf::from);
    if found.is_none() {
        left_out(&format!("{test} needs Envoy (./tests/run installs it)"));
    }
    found
}

/// An Envoy that ends when it is dropped.
pub struct Envoy {
    folder: TempDir,
    _process: Process,
    /// Where the entry from outside is.
    pub edge: SocketAddr,
}

impl Envoy {
    /// Starts one that serves this table, on the ports that the table says.
    pub async fn start(program: &Path, table: &Table) -> Self {
        Self::start_with(&Options::default(), program, table).await
    }

    /// With [`Families::Both`] it listens on all addresses of the machine, else on loopback.
    pub async fn start_with(options: &Options, program: &Path, table: &Table) -> Self {
        let folder = TempDir::new().unwrap();
        let edge = free_port().await;
        let config = folder.path().join("envoy.pb");
        let admin = folder.path().join("admin.sock");
        std::fs::write(&config, rendered_with(options, table, edge, &admin)).unwrap();
        let mut process = Process::start(program, &config, &["--concurrency", "1"]);
        process.serves().await;
        Self {
            folder,
            _process: process,
            edge: loopback(edge),
        }
    }

    /// The socket of its link, where nobody listens by itself.
    pub fn link(&self) -> PathBuf {
        self.folder.path().join("ads.sock")
    }

    /// What the admin interface answers to a GET, as JSON.
    pub async fn admin(&self, path: &str) -> serde_json::Value {
        let socket = self.folder.path().join("admin.sock");
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        if !head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked")
        {
            return serde_json::from_str(body).unwrap();
        }
        let mut joined = String::new();
        let mut rest = body;
        while let Some((size, tail)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).unwrap();
            joined.push_str(&tail[..size]);
            rest = &tail[(size + 2).min(tail.len())..];
        }
        serde_json::from_str(&joined).unwrap()
    }
}

/// A table as a bootstrap for one machine.
pub fn rendered(table: &Table, edge: u16, admin: &Path) -> Vec<u8> {
    rendered_with(&Options::default(), table, edge, admin)
}

/// The link's socket is beside that of the admin interface.
pub fn rendered_with(options: &Options, table: &Table, edge: u16, admin: &Path) -> Vec<u8> {
    let address = match options.families {
        Families::Ipv4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        // Loopback is of one family only.
        Families::Both => options.families.any(),
    };
    let place = Place {
        address,
        edge,
        admin,
        link: &admin.with_file_name("ads.sock"),
    };
    fixed(&snapshot_with(options, table), &place).unwrap()
}

/// What `envoy --mode validate` says of a file; the error is its whole output.
pub async fn validate(program: &Path, config: &Path) -> Result<(), String> {
    let output = Command::new(program)
        .args(["--mode", "validate", "--config-path"])
        .arg(config)
        .output()
        .await
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(words)
}

/// A port that is free, and that nobody here gets again: below those that the kernel gives to connections, each handed out once.
pub async fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        let start = std::process::id() % u32::from(LAST_PORT - FIRST_PORT);
        AtomicU16::new(FIRST_PORT + u16::try_from(start).unwrap())
    });
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if port >= LAST_PORT {
            NEXT.store(FIRST_PORT, Ordering::Relaxed);
        } else if TcpListener::bind(("0.0.0.0", port)).await.is_ok() {
            return port;
        }
    }
}

/// On this machine.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A connection that speaks HTTP/1 as it is written down.
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(to).await.unwrap(),
            unread: Vec::new(),
        }
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads up to this mark, with it.
    pub async fn until(&mut self, mark: &str) -> String {
        loop {
            let found = self
                .unread
                .windows(mark.len())
                .position(|it| it == mark.as_bytes());
            if let Some(at) = found {
                let read: Vec<u8> = self.unread.drain(..at + mark.len()).collect();
                return String::from_utf8(read).unwrap();
            }
            let read = self.stream.read_buf(&mut self.unread).await.unwrap();
            let so_far = String::from_utf8_lossy(&self.unread);
            assert!(
                read > 0,
                "the connection ended after {so_far:?}, before {mark:?}"
            );
        }
    }

    /// Reads a response with a content-length: head and body.
    pub async fn response(&mut self) -> (String, String) {
        let head = self.until("\r\n\r\n").await;
        let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
        while self.unread.len() < length {
            assert!(self.stream.read_buf(&mut self.unread).await.unwrap() > 0);
        }
        let body = self.unread.drain(..length).collect();
        (head, String::from_utf8(body).unwrap())
    }

    /// Everything up to the end of the connection.
    pub async fn rest(mut self) -> String {
        self.stream.read_to_end(&mut self.unread).await.unwrap();
        String::from_utf8(self.unread).unwrap()
    }
}

/// One request on a connection of its own.
pub async fn ask(to: SocketAddr, request: &str) -> (String, String) {
    let mut client = Client::connect(to).await;
    client.send(request).await;
    client.response().await
}

/// A header of a head, by its name in any case.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = |line: &'a str| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    };
    head.split("\r\n").skip(1).find_map(line)
}

//! A registry of a test's own, on a free port of the loopback interface.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::left_out::left_out;
use crate::local::{Program, which};

/// The password of the user of a registry with authentication.
pub(crate) const PASSWORD: &str = "c0rrect";

/// What the registry says, before its port.
const LISTENING: &str = "listening on 127.0.0.1:";

/// A running registry; it ends with this value.
pub(crate) struct Server {
    /// `localhost:PORT`
    pub(crate) host: String,
    child: Child,
    dir: tempfile::TempDir,
}

impl Server {
    /// Starts one. `None`, said on stderr, where a program that it takes is not installed.
    pub(crate) async fn start(test: &str, user: Option<&str>) -> Option<Self> {
        install_tls();
        let wanted: &[&str] = if user.is_some() {
            &["docker-registry", "htpasswd"]
        } else {
            &["docker-registry"]
        };
        if let Some(missing) = wanted.iter().find(|name| which(name).is_none()) {
            left_out(&format!(
                "{test}: {missing} is not installed (apt-get install docker-registry apache2-utils)"
            ));
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: false}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}/data}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n",
            dir.path().display()
        );
        if let Some(user) = user {
            let output = Program::new("htpasswd")
                .args(["-nbB", user, PASSWORD])
                .output()
                .await
                .unwrap();
            std::fs::write(dir.path().join("htpasswd"), output.stdout).unwrap();
            config.push_str(&format!(
                "auth: {{htpasswd: {{realm: test, path: {}/htpasswd}}}}\n",
                dir.path().display()
            ));
        }
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self {
            host: String::new(),
            child,
            dir,
        };
        let open = || server.log().contains(LISTENING);
        assert!(wait(open).await, "no registry: {}", server.log());
        let log = server.log();
        let (_, rest) = log.split_once(LISTENING).unwrap();
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        server.host = format!("localhost:{port}");
        Some(server)
    }

    /// The lines of the access log so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.log()
            .lines()
            .filter(|line| line.contains("\"HTTP/1.1") || line.contains(" HTTP/1.1\""))
            .map(str::to_owned)
            .collect()
    }

    /// The lines after the first `before`, once one of them holds `last`.
    pub(crate) async fn requests_since(&self, before: usize, last: &str) -> Vec<String> {
        let there = || {
            self.requests()
                .iter()
                .skip(before)
                .any(|line| line.contains(last))
        };
        assert!(wait(there).await, "no {last}: {}", self.log());
        self.requests().split_off(before)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A port that nothing listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// TLS is set up even for clients that speak plain HTTP.
pub(crate) fn install_tls() {
    // Another test may have done it.
    let _done = rustls::crypto::ring::default_provider().install_default();
}

/// Yields to the runtime until something is so, for at most 20 s.
async fn wait(so: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        if so() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

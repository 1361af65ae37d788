//! A process of Envoy with what it writes.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// What Envoy says before it serves, in either order: the second waits for a discovery service where there is one.
const SERVES: [&str; 2] = ["starting main dispatch loop", "starting workers"];

/// A running Envoy; it ends when it is dropped. With `DEV_TEST_ENVOY_LOG` its log is shown.
pub struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// Whether it serves; closed when it has ended.
    serves_rx: watch::Receiver<bool>,
}

impl Process {
    /// Starts one with this configuration and these arguments more.
    pub fn start(program: &Path, config: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(["--disable-hot-restart", "--config-path"])
            .arg(config)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let shown = std::env::var_os("DEV_TEST_ENVOY_LOG").is_some();
        let (serves_tx, serves_rx) = watch::channel(false);
        let log = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&log);
        tokio::spawn(async move {
            let mut missing = Vec::from(SERVES);
            // Read to its end also when nobody asks: a full pipe would stop Envoy.
            while let Ok(Some(line)) = lines.next_line().await {
                if shown {
                    println!("{line}");
                }
                missing.retain(|words| !line.contains(words));
                if missing.is_empty() {
                    serves_tx.send_replace(true);
                }
                to.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            log,
            serves_rx,
        }
    }

    /// Waits until it serves.
    pub async fn serves(&mut self) {
        if self.serves_rx.wait_for(|serves| *serves).await.is_err() {
            panic!("Envoy ended:\n{}", self.log.lock().unwrap().join("\n"));
        }
    }

    /// SIGKILL.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

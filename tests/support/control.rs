//! `dev control` as a process of this machine, with the rights of its account and no others, behind the proxy.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::envoy::{ask, free_port, loopback};
use super::proxy::{Kill, Moment, Signal};
use super::routers::{LONGEST, Routers};

/// The process; it is killed when this is dropped.
pub struct Control {
    process: Child,
    status: SocketAddr,
    log: PathBuf,
}

impl Control {
    /// Starts one with these arguments. Each has the same name, as a container that starts again in its pod has: the Lease is its own.
    pub async fn start(routers: &Routers, more: &[&str]) -> Self {
        let status = loopback(free_port().await);
        let account = format!("system:serviceaccount:{}:dev-control", routers.base);
        let root = routers.project.root();
        let log = root.join("control.log");
        let to_log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let process = Command::new(assert_cmd::cargo::cargo_bin!("dev"))
            .args([
                "control",
                "--base",
                &routers.base,
                "--identity",
                "under-test",
            ])
            .args(["--listen", &status.to_string()])
            .args(more)
            .current_dir(&root)
            .env_clear()
            .env("HOME", &root)
            .env(
                "KUBECONFIG",
                routers.proxy.kubeconfig_as(&root, Some(&account)),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(to_log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            process,
            status,
            log,
        }
    }

    /// What ends it at this write.
    pub fn kill_at(&self, write: usize, moment: Moment) -> Kill {
        Kill {
            pid: i32::try_from(self.process.id().unwrap()).unwrap(),
            write,
            moment,
            signal: Signal::Kill,
        }
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        self.process.wait().await.unwrap()
    }

    /// Ends it without a word.
    pub async fn kill(mut self) {
        // It may have been ended already.
        let _gone = self.process.kill().await;
    }

    /// What it says of itself.
    pub async fn status(&self) -> Value {
        let request = "GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        // It may not listen yet.
        while TcpStream::connect(self.status).await.is_err() {}
        let (_, body) = ask(self.status, request).await;
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until what it says is so.
    pub async fn until(&self, so: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let said = self.status().await;
                if so(&said) {
                    return said;
                }
            }
        };
        match tokio::time::timeout(LONGEST, asking).await {
            Ok(said) => said,
            Err(_) => panic!("it never says so: {}", self.log()),
        }
    }

    /// What it and those before it in this test have written down.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Routers {
    /// Leaves the base without `control`, so that a test can run one here.
    pub async fn without_control(&self) {
        self.scale("dev-control", 0).await;
    }

    /// Asks for everything to be put back, or takes that back.
    pub async fn uninstalling(&self, yes: bool) {
        let value = if yes { json!("true") } else { Value::Null };
        let patch = json!({"metadata": {"annotations": {"dev/uninstall": value}}});
        self.merge("v1", "ConfigMap", "dev-admission", &patch).await;
    }
}

//! A real Envoy that is fed by a discovery service.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dev::router::ads::{Acked, Ads, serve};
use dev::router::envoy::bootstrap::{Bootstrap, READY_PORT, bootstrap};
use dev::router::envoy::{Families, Snapshot};
use dev::router::run::Admin;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use super::envoy::{free_port, loopback};
use super::envoy_process::Process;

/// Nothing that these tests wait for takes longer.
const LONGEST: Duration = Duration::from_secs(30);

/// An Envoy with the bootstrap of a router. It ends when it is dropped.
pub struct Fed {
    folder: TempDir,
    program: PathBuf,
    /// Where it says that it is ready.
    pub ready: u16,
    families: Families,
    process: Option<Process>,
}

impl Fed {
    /// Not started yet.
    pub async fn new(program: &Path) -> Self {
        Self::new_on(Families::Ipv4, program).await
    }

    /// Not started yet; readiness is answered on these families.
    pub async fn new_on(families: Families, program: &Path) -> Self {
        Self {
            families,
            folder: TempDir::new().unwrap(),
            program: program.to_owned(),
            ready: free_port().await,
            process: None,
        }
    }

    /// The socket of its discovery service.
    pub fn ads(&self) -> PathBuf {
        self.folder.path().join("ads.sock")
    }

    /// Starts it, with so many seconds in which listeners drain.
    pub fn start(&mut self, drain: u32) {
        let config = self.folder.path().join("bootstrap.json");
        let made = bootstrap(&Bootstrap {
            node: "dev-router-0",
            base: "shop",
            ads: &self.ads(),
            admin: &self.folder.path().join("admin.sock"),
            families: self.families,
        });
        // Several of them run on this machine.
        let text = made
            .to_string()
            .replace(&READY_PORT.to_string(), &self.ready.to_string());
        std::fs::write(&config, text).unwrap();
        let drain = drain.to_string();
        let args = ["--concurrency", "2", "--drain-time-s", &drain];
        self.process = Some(Process::start(&self.program, &config, &args));
    }

    /// Waits until it serves: its workers begin to listen a moment after it says that they are started.
    pub async fn serves(&mut self) {
        self.process.as_mut().unwrap().serves().await;
        let listens = async {
            while TcpStream::connect(loopback(self.ready)).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONGEST, listens).await.expect("it does not listen");
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    /// The admin interface.
    pub fn admin(&self) -> Admin {
        Admin::new(&self.folder.path().join("admin.sock"))
    }

    /// A statistic of Envoy.
    pub async fn stat(&self, name: &str) -> u64 {
        let path = format!("/stats?filter=^{name}$");
        let text = self.admin().get(&path).await.unwrap();
        let value = text.trim().rsplit(' ').next().unwrap();
        value.parse().unwrap_or_else(|_| panic!("{name}: {text:?}"))
    }
}

/// A discovery service.
pub struct Server {
    snapshot_tx: watch::Sender<Option<Arc<Snapshot>>>,
    acked_rx: watch::Receiver<Acked>,
    /// Its own, so that all of its connections end with it, as those of a process do.
    runtime: Option<Runtime>,
}

impl Server {
    /// Starts one that serves this.
    pub fn start(socket: &Path, snapshot: Snapshot) -> Self {
        let (snapshot_tx, snapshot_rx) = watch::channel(Some(Arc::new(snapshot)));
        let ads = Ads::new(snapshot_rx);
        let acked_rx = ads.acked();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let socket = socket.to_owned();
        runtime.spawn(async move { serve(ads, &socket, std::future::pending()).await });
        Self {
            snapshot_tx,
            acked_rx,
            runtime: Some(runtime),
        }
    }

    /// From now on this is served.
    pub fn offer(&self, snapshot: Snapshot) {
        self.snapshot_tx.send_replace(Some(Arc::new(snapshot)));
    }

    /// Serves this, waits until Envoy has it, gives how long that took.
    pub async fn update(&self, snapshot: Snapshot) -> Duration {
        let began = Instant::now();
        self.offer(snapshot);
        self.accepted().await;
        began.elapsed()
    }

    /// Waits until Envoy has all that is served.
    pub async fn accepted(&self) -> Acked {
        let wanted = self.snapshot_tx.borrow().clone().unwrap();
        self.until(|acked| acked.is(&wanted)).await
    }

    /// Waits until what Envoy has is so.
    pub async fn until(&self, so: impl Fn(&Acked) -> bool) -> Acked {
        let mut acked_rx = self.acked_rx.clone();
        let waited = timeout(LONGEST, acked_rx.wait_for(|acked| so(acked))).await;
        match waited {
            Ok(acked) => acked.unwrap().clone(),
            Err(_) => panic!("never accepted: {:#?}", self.acked_rx.borrow()),
        }
    }

    /// Ends it without a word.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Prints the median, the 99th percentile and the longest.
pub fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    println!(
        "{what}: {} times, median {:?}, p99 {:?}, longest {:?}",
        times.len(),
        at(50),
        at(99),
        at(100)
    );
}

/// A free port and where it is.
pub async fn listener() -> (u16, SocketAddr) {
    let port = free_port().await;
    (port, super::envoy::loopback(port))
}

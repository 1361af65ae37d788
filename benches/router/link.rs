//! The link as far as it is measured: a table, the snapshots made of it, the discovery service, and its Envoy.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dev::router::ads::{Acked, Ads, Kind, serve};
use dev::router::envoy::{Snapshot, names, snapshot, update};
use dev::router::model::{Override, RoutedPort, Table};
use dev::router::table::{Objects, table as from_objects};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use super::child;
use super::envoy::{Envoy, mebibytes, processor};
use super::load::Connection;
use super::trials;
use super::world::{self, PORT, Size};

/// Nothing takes longer but a first configuration of very many versions.
const LONGEST: Duration = Duration::from_secs(120);
/// Connections that ask each version once.
const TOUCHING: usize = 8;

/// The process: `size` is the numbers of [`Size`] and the ports of the two backends.
pub fn main(size: &[&str]) {
    let numbers: Vec<usize> = size
        .iter()
        .map(|number| number.parse().expect("a number"))
        .collect();
    let [services, environments, each, one, other] = *numbers.as_slice() else {
        panic!("not a size and two ports: {size:?}");
    };
    let size = Size {
        services,
        environments,
        each,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (mut link, first) = Link::start(size, [one, other].map(|port| port as u16)).await;
        child::answer(&first);
        loop {
            let line = tokio::task::spawn_blocking(|| child::lines().next()).await;
            let Ok(Some(line)) = line else { return };
            child::answer(&link.obey(&line).await);
        }
    });
}

/// One link.
pub struct Link {
    /// How much there is.
    pub size: Size,
    /// The port of each Service's listener.
    pub listeners: Vec<u16>,
    /// The two backends.
    pub pods: [SocketAddr; 2],
    /// Time spent in making snapshots.
    pub making: Duration,
    table: Table,
    next: Table,
    snapshot: Snapshot,
    snapshot_tx: watch::Sender<Option<Arc<Snapshot>>>,
    acked_rx: watch::Receiver<Acked>,
    envoy: Envoy,
    _folder: TempDir,
}

impl Link {
    async fn start(size: Size, backends: [u16; 2]) -> (Self, Value) {
        let ports = world::free_ports(size.services + 1);
        let (ready, listeners) = ports.split_first().expect("at least one");
        let pods = backends.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let folder = TempDir::new().expect("a temporary directory");
        let table = world::table(size, listeners, pods[0]);
        let next = table.clone();
        let began = Instant::now();
        let made = snapshot(&table);
        let making = began.elapsed();
        let bytes = |kind: Kind| {
            let resources = kind.of(&made).values();
            resources.map(|one| one.body.value.len()).sum::<usize>()
        };
        let bytes = Kind::ALL.map(bytes);
        let (snapshot_tx, snapshot_rx) = watch::channel(Some(Arc::new(made.clone())));
        let ads = Ads::new(snapshot_rx);
        let acked_rx = ads.acked();
        let socket = folder.path().join("ads.sock");
        tokio::spawn(async move { serve(ads, &socket, std::future::pending()).await });
        // The socket is there once this task has given way.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let began = Instant::now();
        let envoy = Envoy::start(folder.path(), *ready);
        let link = Self {
            size,
            listeners: listeners.to_vec(),
            pods,
            making: Duration::ZERO,
            table,
            next,
            snapshot: made,
            snapshot_tx,
            acked_rx,
            envoy,
            _folder: folder,
        };
        link.until(|acked| acked.is(&link.snapshot)).await;
        let first = json!({
            "listeners": link.listeners,
            "making": millis(making),
            "bytes": bytes.iter().sum::<usize>(),
            "first": millis(began.elapsed()),
            "processor": [processor(std::process::id()), processor(link.envoy.id())],
        });
        (link, first)
    }

    async fn obey(&mut self, line: &str) -> Value {
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["memory"] => {
                let own = std::process::id();
                json!({
                    "link": mebibytes(own, "VmRSS"), "link_peak": mebibytes(own, "VmHWM"),
                    "envoy": mebibytes(self.envoy.id(), "VmRSS"),
                })
            }
            ["touch"] => self.touch().await,
            ["objects"] => json!(millis(self.table_from_objects())),
            ["processor", count] => {
                let count: usize = count.parse().expect("a number");
                let processes = [std::process::id(), self.envoy.id()];
                let before = processes.map(processor);
                let making = self.making;
                trials::changes(self, count).await;
                let used = |at: usize| (processor(processes[at]) - before[at]) / count as f64;
                json!({
                    "making": millis(self.making - making) / count as f64,
                    "link": used(0), "envoy": used(1),
                })
            }
            ["trials", kind, count] => {
                trials::run(self, kind, count.parse().expect("a number")).await
            }
            _ => panic!("unknown: {line:?}"),
        }
    }

    /// Has every version answer one request, which is when Envoy makes most of what it keeps of a cluster.
    async fn touch(&self) -> Value {
        let all: Vec<(usize, usize)> = (0..self.size.environments)
            .flat_map(|number| {
                self.size
                    .overridden(number)
                    .map(move |service| (service, number))
            })
            .collect();
        let parts = all.chunks(all.len().div_ceil(TOUCHING)).map(|part| async {
            let mut part = part.to_vec();
            part.sort_unstable();
            for one in part.chunk_by(|a, b| a.0 == b.0) {
                let mut connection = Connection::open(self.listeners[one[0].0]).await;
                for (_, environment) in one {
                    let header = header(*environment);
                    let answer = connection.get(Some(&header)).await;
                    assert!(answer.status().is_success(), "{header:?}: {answer:?}");
                }
            }
        });
        futures::future::join_all(parts).await;
        json!(all.len())
    }

    /// How long the table takes from the objects of the cluster, the middle one of five.
    fn table_from_objects(&self) -> Duration {
        let owned = world::objects(self.size);
        let objects = Objects {
            base: "shop",
            admission: Some(&owned.admission),
            services: owned.services.iter().collect(),
            slices: owned.slices.iter().collect(),
        };
        let mut times: Vec<Duration> = (0..5)
            .map(|_| {
                let began = Instant::now();
                let (table, problems) = from_objects(&objects);
                let took = began.elapsed();
                assert_eq!(table.environments, self.table.environments, "{problems:?}");
                took
            })
            .collect();
        times.sort();
        times[2]
    }

    /// Changes an environment's version of a Service, and serves that. Gives when the change was known.
    pub fn change(&mut self, env: &str, service: &str, to: Option<&Override>) -> Instant {
        put(&mut self.next, env, service, to);
        let known = Instant::now();
        update(&mut self.snapshot, &self.table, &self.next);
        let snapshot = Arc::new(self.snapshot.clone());
        self.making += known.elapsed();
        self.snapshot_tx.send_replace(Some(snapshot));
        put(&mut self.table, env, service, to);
        known
    }

    /// Waits until Envoy has accepted what is wanted of an environment's version of a Service.
    pub async fn accepted(&self, env: &str, service: &str) {
        let cluster = names::environment(env, service, PORT);
        let wanted = [
            (Kind::Clusters, cluster.clone()),
            (Kind::Endpoints, cluster),
            (Kind::Routes, names::service(service, PORT)),
        ];
        let has = |acked: &Acked| {
            wanted.iter().all(|(kind, name)| {
                let resource = kind.of(&self.snapshot).get(name);
                acked.version(*kind, name) == resource.map(|one| one.version.as_str())
            })
        };
        self.until(has).await;
    }

    async fn until(&self, so: impl Fn(&Acked) -> bool) {
        let mut acked_rx = self.acked_rx.clone();
        let waited = timeout(LONGEST, acked_rx.wait_for(|acked| so(acked))).await;
        let acked = waited
            .expect("Envoy accepts in time")
            .expect("the service runs");
        assert!(acked.rejections.is_empty(), "{:?}", acked.rejections);
    }
}

/// The header that asks for an environment.
pub fn header(environment: usize) -> (String, String) {
    let member = format!("dev-env={}", Size::environment(environment));
    ("baggage".to_owned(), member)
}

/// In milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn put(table: &mut Table, env: &str, service: &str, to: Option<&Override>) {
    let service = table.services.get_mut(service).expect("routed");
    let port: &mut RoutedPort = service.ports.get_mut(&PORT).expect("its only port");
    match to {
        Some(version) => port.overrides.insert(env.to_owned(), version.clone()),
        None => port.overrides.remove(env),
    };
}

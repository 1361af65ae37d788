//! The link between the cluster and one Envoy: watches → table → snapshot → discovery service.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::watch;
use tokio::time::sleep;

use super::admin::Admin;
use super::files::Files;
use super::measure::Measure;
use super::peers::peers;
use super::saved;
use super::serve::{Status, listen, serve};
use super::state::Known;
use super::switched::switched;
use crate::cluster::Cluster;
use crate::cluster::mirror::{Mirror, Mirrors, Select};
use crate::error::{Error, Result};
use crate::manifest::labels;
use crate::router::ads::{self, Ads};
use crate::router::collector::Collector;
use crate::router::envoy::{Options, Snapshot, snapshot_with, update};
use crate::router::families;
use crate::router::model::{Problem, Table};
use crate::router::requests::{Log, Store};
use crate::router::table::{Objects, table};

/// The pause before something that belongs to this pod alone is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// What the link is told.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// The base's namespace.
    pub base: String,
    /// The pod's name.
    pub pod: String,
    /// The folder for its files.
    pub state_dir: PathBuf,
    /// The port of the status server.
    pub status_port: u16,
    /// Where requests with an environment are reported to.
    pub collector: Option<Collector>,
}

/// Runs until it cannot go on. `connect` is tried until it succeeds; `say` gets what people should know.
///
/// # Errors
/// `Failed`: the discovery service's socket cannot be made.
pub async fn link<F, C>(
    options: LinkOptions,
    connect: F,
    say: impl Fn(String) + Send + Sync,
) -> Result<()>
where
    F: Fn() -> C,
    C: Future<Output = Result<Cluster>>,
{
    let files = Files::new(&options.state_dir);
    let (snapshot_tx, snapshot_rx) = watch::channel(None);
    let (known_tx, known_rx) = watch::channel(Known::default());
    let requests = Arc::new(Store::default());
    let ads = Ads::new(snapshot_rx).with_log(Log {
        pod: options.pod.clone(),
        store: Arc::clone(&requests),
    });
    let measure = Arc::new(Measure::new(Admin::new(&files.admin())));
    let status = Status {
        pod: options.pod.clone(),
        known_rx,
        acked_rx: ads.acked(),
        requests: Arc::clone(&requests),
        measure: Arc::clone(&measure),
    };
    let mut served = Served {
        files: files.clone(),
        options: Options {
            // The same as the first process found: it is the same kernel.
            families: families::here(),
            collector: options.collector.clone(),
        },
        snapshot_tx,
        known_tx,
        requests,
        table: Arc::default(),
        snapshot: Arc::default(),
        problems: Vec::new(),
    };
    if let Some(table) = saved::load(&files.table(), &options.base) {
        say(format!(
            "serving the last table from disk: {}",
            summary(&table)
        ));
        served.publish(table);
    }
    let feeding = async {
        let cluster = loop {
            match connect().await {
                Ok(cluster) => break cluster,
                Err(error) => {
                    say(format!("{error}: {}", error.causes().join(": ")));
                    sleep(AGAIN).await;
                }
            }
        };
        feed(&options.base, &cluster, &mut served, &say).await;
    };
    let telling = async {
        loop {
            match listen(options.status_port).await {
                Ok(listener) => serve(listener, status.clone()).await,
                Err(cause) => {
                    say(format!(
                        "cannot listen on port {}: {cause}",
                        options.status_port
                    ));
                    sleep(AGAIN).await;
                }
            }
        }
    };
    let socket = files.ads();
    tokio::select! {
        ended = ads::serve(ads, &socket, std::future::pending()) => {
            ended.and_then(|()| Err(Error::failed("the discovery service ended")))
        }
        () = feeding => Err(Error::failed("the watches ended")),
        () = telling => Err(Error::failed("the status server ended")),
        () = measure.run() => Err(Error::failed("the statistics are read no more")),
    }
}

/// The sets of objects that a table is made of.
struct Sets {
    admission: Mirror<ConfigMap>,
    services: Mirror<Service>,
    slices: Mirror<EndpointSlice>,
    env_services: Mirror<Service>,
    env_slices: Mirror<EndpointSlice>,
}

impl Sets {
    fn keep(mirrors: &mut Mirrors, base: &str) -> Self {
        let all = || Select::all().without_managed_fields();
        let of_environments =
            || Select::labels(format!("{}={base}", labels::BASE)).without_managed_fields();
        Self {
            admission: mirrors.namespaced(base, Select::name(labels::ADMISSION)),
            // All of the base: the shadows, the Service of the entry from outside, the routers themselves.
            services: mirrors.namespaced(base, all()),
            slices: mirrors.namespaced(base, all()),
            env_services: mirrors.everywhere(of_environments()),
            env_slices: mirrors.everywhere(of_environments()),
        }
    }

    fn table(&self, base: &str) -> (Table, Vec<Problem>) {
        let admission = self.admission.objects();
        let services = [self.services.objects(), self.env_services.objects()];
        let slices = [self.slices.objects(), self.env_slices.objects()];
        table(&Objects {
            base,
            admission: admission.values().next().map(|map| &**map),
            services: services
                .iter()
                .flat_map(|set| set.values().map(|one| &**one))
                .collect(),
            slices: slices
                .iter()
                .flat_map(|set| set.values().map(|one| &**one))
                .collect(),
        })
    }
}

/// Keeps what is served as the cluster is. Nothing is taken over before every set was read once.
async fn feed(base: &str, cluster: &Cluster, served: &mut Served, say: &(impl Fn(String) + Sync)) {
    let mut mirrors = Mirrors::new(cluster.client.clone());
    let sets = Sets::keep(&mut mirrors, base);
    let mut said = Vec::new();
    let mut synced = false;
    loop {
        let troubles = mirrors.troubles();
        if troubles != said {
            match troubles.as_slice() {
                [] => say("the cluster can be read again".to_owned()),
                some => say(format!("cannot read {}", some.join("; "))),
            }
            said.clone_from(&troubles);
        }
        if mirrors.is_synced() {
            // It may take a while, and others have to go on.
            let (table, problems) = tokio::task::block_in_place(|| sets.table(base));
            if !synced {
                say(format!("in step with the cluster: {}", summary(&table)));
                synced = true;
            }
            for problem in problems.iter().filter(|it| !served.problems.contains(it)) {
                say(format!("left out: {problem}"));
            }
            served.problems = problems;
            if *served.table != table
                && let Err(error) = served.keep(table)
            {
                say(format!("{error}: {}", error.causes().join(": ")));
            }
        }
        let peers = peers(&sets.slices.objects());
        let switched = switched(&sets.services.objects(), &sets.slices.objects(), &peers);
        served.tell(synced, troubles, peers, switched);
        mirrors.changed().await;
    }
}

/// What is served, and where it is kept and told.
struct Served {
    files: Files,
    options: Options,
    snapshot_tx: watch::Sender<Option<Arc<Snapshot>>>,
    known_tx: watch::Sender<Known>,
    requests: Arc<Store>,
    table: Arc<Table>,
    snapshot: Arc<Snapshot>,
    problems: Vec<Problem>,
}

impl Served {
    /// Serves a table and keeps it on disk. First on disk: after a restart Envoy must not be taken back to an older one. It is
    /// served also if it cannot be kept.
    fn keep(&mut self, table: Table) -> Result<()> {
        let kept = tokio::task::block_in_place(|| saved::store(&self.files.table(), &table));
        self.publish(table);
        kept
    }

    fn publish(&mut self, table: Table) {
        let first = self.snapshot_tx.borrow().is_none();
        if first {
            self.snapshot = Arc::new(snapshot_with(&self.options, &table));
        } else {
            update(Arc::make_mut(&mut self.snapshot), &self.table, &table);
        }
        self.requests.admit(&table.environments);
        self.table = Arc::new(table);
        self.snapshot_tx
            .send_replace(Some(Arc::clone(&self.snapshot)));
        self.known_tx.send_modify(|known| {
            known.table = Arc::clone(&self.table);
            known.snapshot = Arc::clone(&self.snapshot);
        });
    }

    fn tell(
        &self,
        synced: bool,
        mut troubles: Vec<String>,
        peers: Vec<super::peers::Peer>,
        switched: BTreeSet<String>,
    ) {
        troubles.extend(self.problems.iter().map(ToString::to_string));
        self.known_tx.send_if_modified(|known| {
            let changed = known.synced != synced
                || known.troubles != troubles
                || known.peers != peers
                || known.switched != switched;
            known.synced = synced;
            known.troubles = troubles;
            known.peers = peers;
            known.switched = switched;
            changed
        });
    }
}

/// `3 services, 12 environments`
fn summary(table: &Table) -> String {
    let services = table.services.len();
    let environments = table.environments.len();
    format!("{services} routed services, {environments} environments")
}

//! `dev up` stopped at every write that it makes, with SIGKILL and with Ctrl-C: one `dev down` afterwards leaves
//! nothing, and a second `dev up` goes on.

use std::process::{Command, ExitStatus, Stdio};

use crate::support::app::{two_services, unique};
use crate::support::cluster::{Cluster, cluster, long};
use crate::support::project::Project;
use crate::support::proxy::{Kill, Moment, Proxy, Signal};

/// One application and its environment.
struct App {
    project: Project,
    namespace: String,
    _guard: crate::support::cluster::Guard,
}

impl App {
    fn new(cluster: &Cluster) -> Self {
        let name = unique("kill");
        let namespace = format!("{name}-t");
        Self {
            project: two_services(&name),
            _guard: cluster.guard(&namespace),
            namespace,
        }
    }

    /// Runs `dev up` as a process of its own, which gets a signal where one is wanted.
    async fn up(&self, proxy: &Proxy, uid: &str, stop: Option<(Point, Signal)>) -> ExitStatus {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("dev"));
        command
            .args(["up", "-e", "t", "-q"])
            .current_dir(self.project.root())
            .env_clear()
            .env("HOME", self.project.root())
            .env("KUBECONFIG", proxy.kubeconfig(&self.project.root()))
            .env("DEV_CLUSTER_UID", uid)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        proxy.arm(None);
        let mut child = command.spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        proxy.arm(stop.map(|(point, signal)| Kill {
            pid,
            write: point.write,
            moment: point.moment,
            signal,
        }));
        let status = tokio::task::spawn_blocking(move || child.wait().unwrap())
            .await
            .unwrap();
        proxy.arm(None);
        status
    }
}

/// Where it is stopped.
#[derive(Clone, Copy, Debug)]
struct Point {
    write: usize,
    moment: Moment,
}

/// The points of a whole run: a few in every run of the tests (the namespace, the inventory, an object in the middle,
/// the last), all in a long one.
async fn points(cluster: &Cluster, proxy: &Proxy) -> Vec<Point> {
    let app = App::new(cluster);
    let mut command = app.project.command();
    command
        .args(["up", "-e", "t", "-q"])
        .env("KUBECONFIG", proxy.kubeconfig(&app.project.root()))
        .env("DEV_CLUSTER_UID", &cluster.uid);
    let run = tokio::task::spawn_blocking(move || crate::support::project::run(&mut command))
        .await
        .unwrap();
    assert_eq!(run.code, 0, "{}", run.stderr);
    let writes = proxy.writes().len();
    assert!(writes >= 9, "{:?}", proxy.writes());
    let few = |point: &Point| {
        let last = point.write == writes && point.moment == Moment::Before;
        last || ([1, 2, writes / 2].contains(&point.write) && point.moment == Moment::After)
    };
    (1..=writes)
        .flat_map(|write| [Moment::Before, Moment::After].map(|moment| Point { write, moment }))
        .filter(|point| long() || few(point))
        .collect()
}

/// `dev down` leaves nothing; where `again`, `dev up` comes to ready before.
async fn afterwards(cluster: &Cluster, app: &App, again: bool) -> Result<(), String> {
    if again {
        let up = cluster.dev(&app.project, &["up", "-e", "t"]).await;
        if up.code != 0 {
            return Err(format!("a second up: {}", up.stderr));
        }
    }
    let down = cluster.dev(&app.project, &["down", "-e", "t"]).await;
    let left = cluster.left_over(&app.namespace).await;
    match down.code == 0 && left.is_empty() {
        true => Ok(()),
        false => Err(format!("down: {left:?} {}", down.stderr)),
    }
}

/// Stops `dev up` at these points; with `again` it is run a second time before it is removed.
async fn stop_at(cluster: &Cluster, proxy: &Proxy, signal: Signal, points: &[Point], again: bool) {
    let mut failed = Vec::new();
    for point in points {
        let app = App::new(cluster);
        let status = app.up(proxy, &cluster.uid, Some((*point, signal))).await;
        let wanted = match signal {
            Signal::Kill => None,
            Signal::Interrupt => Some(130),
        };
        assert!(
            !status.success() && status.code() == wanted,
            "{point:?}: {status}"
        );
        if let Err(what) = afterwards(cluster, &app, again).await {
            failed.push(format!("{point:?}: {what}"));
        }
    }
    println!("{} stops, {} left something", points.len(), failed.len());
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_write_leaves_nothing_after_one_down() {
    let Some(cluster) = cluster("kill").await else {
        return;
    };
    let proxy = Proxy::start(cluster.client.clone()).await;
    let points = points(&cluster, &proxy).await;
    stop_at(&cluster, &proxy, Signal::Kill, &points, false).await;
    // The same kills do not block the next `dev up` either: every third point.
    let some: Vec<Point> = points.into_iter().step_by(3).collect();
    stop_at(&cluster, &proxy, Signal::Kill, &some, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_at_any_write_is_clean_and_a_second_up_goes_on() {
    let Some(cluster) = cluster("Ctrl-C").await else {
        return;
    };
    let proxy = Proxy::start(cluster.client.clone()).await;
    let points = points(&cluster, &proxy).await;
    stop_at(&cluster, &proxy, Signal::Interrupt, &points, true).await;
}

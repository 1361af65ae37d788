//! A whole router pod on loopback: the first process, a real Envoy, the link, in front of an API server in this process.

use std::net::{Ipv6Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dev::router::envoy::Families;
use dev::router::families::here;
use dev::router::run::{Admin, Files};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::support::backend::Backend;
use crate::support::cluster::long;
use crate::support::envoy::{Client, ask, program};
use crate::support::load::{Load, Plan};
use crate::support::objects::Objects;
use crate::support::router::{listener, print_times};

/// Nothing that these tests wait for takes longer.
const LONGEST: Duration = Duration::from_secs(30);
const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const TAGGED: &str = "GET / HTTP/1.1\r\nhost: x\r\nx-dev-env: ann\r\n\r\n";

/// The cluster: `web` in the base `shop`, with a version of the environment `ann` that comes and goes.
struct World {
    objects: Objects,
    base: Backend,
    ann: Backend,
    web: SocketAddr,
}

impl World {
    async fn start() -> Self {
        let (number, web) = listener().await;
        let world = Self {
            objects: Objects::start().await,
            base: Backend::start("base").await,
            ann: Backend::start("ann").await,
            web,
        };
        let environments = r#"[{"namespace": "shop-ann", "env": "ann"}]"#;
        world.objects.put(
            "configmaps",
            json!({"metadata": {"namespace": "shop", "name": "dev-admission"}, "data": {"environments": environments}}),
        );
        world.objects.put(
            "services",
            json!({
                "metadata": {"namespace": "shop", "name": "web-dev-base", "labels": {"dev/shadow": "web"},
                    "annotations": {"dev/ports": format!("{{\"80/TCP\": {number}}}")}},
                "spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
            }),
        );
        world.slice(
            "shop",
            "web-dev-base",
            world.base.address,
            json!({"dev/shadow": "web"}),
        );
        world.switched();
        world
    }

    /// Control has put the routers in front of `web`, and Kubernetes has followed: its only endpoint is the pod under test.
    fn switched(&self) {
        self.objects.put(
            "services",
            json!({"metadata": {"namespace": "shop", "name": "web", "annotations": {"dev/restore": "[]"}},
                "spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}}),
        );
        self.slice("shop", "web", self.web, json!({}));
        self.objects.put(
            "endpointslices",
            json!({
                "metadata": {"namespace": "shop", "name": "dev-router-1",
                    "labels": {"kubernetes.io/service-name": "dev-router"}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [self.web.ip()], "conditions": {"ready": true},
                    "targetRef": {"kind": "Pod", "namespace": "shop", "name": "dev-router-0"}}],
                "ports": [{"name": "status", "port": 15090, "protocol": "TCP"}],
            }),
        );
    }

    fn slice(&self, namespace: &str, service: &str, address: SocketAddr, labels: Value) {
        let mut labels = labels;
        labels["kubernetes.io/service-name"] = json!(service);
        self.objects.put(
            "endpointslices",
            json!({
                "metadata": {"namespace": namespace, "name": format!("{service}-1"), "labels": labels},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [address.ip()], "conditions": {"ready": true},
                    "targetRef": {"kind": "Pod", "namespace": namespace, "name": "p"}}],
                "ports": [{"name": "http", "port": address.port(), "protocol": "TCP"}],
            }),
        );
    }

    /// The environment gets its own version of `web`.
    fn ann_comes(&self) {
        let labels = json!({"dev/base": "shop"});
        self.objects.put(
            "services",
            json!({"metadata": {"namespace": "shop-ann", "name": "web", "labels": labels},
                "spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}}),
        );
        self.slice("shop-ann", "web", self.ann.address, labels);
    }

    fn ann_goes(&self) {
        self.objects.delete("services", "shop-ann", "web");
        self.objects.delete("endpointslices", "shop-ann", "web-1");
    }

    fn load(&self, kept: usize, new: usize) -> Load {
        let plan = |env, answers| Plan {
            to: self.web,
            env,
            kept,
            new,
            answers,
        };
        Load::start(&[plan(None, &["base"]), plan(Some("ann"), &["base", "ann"])])
    }
}

/// A router pod; all its processes end when it is dropped.
struct Pod {
    folder: TempDir,
    process: Child,
    status: SocketAddr,
    log: Arc<Log>,
}

/// What the pod's processes write.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Notify,
}

impl Pod {
    async fn start(envoy: &Path, objects: &Objects) -> Self {
        Self::start_in(TempDir::new().unwrap(), envoy, objects).await
    }

    async fn start_in(folder: TempDir, envoy: &Path, objects: &Objects) -> Self {
        let (number, status) = listener().await;
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("dev"));
        command
            .args(["router-run", "--base", "shop", "--concurrency", "2"])
            .args(["--least", "3", "--grace", "30"])
            .args(["--status-port", &number.to_string(), "--envoy"])
            .arg(envoy)
            .arg("--state-dir")
            .arg(folder.path())
            .env_clear()
            .env("HOME", folder.path())
            .env("KUBECONFIG", objects.kubeconfig(folder.path()))
            .env("POD_NAME", "dev-router-0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut process = Command::from(command).spawn().unwrap();
        let log = Arc::new(Log::default());
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let to = Arc::clone(&log);
        let shown = std::env::var_os("DEV_TEST_ENVOY_LOG").is_some();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if shown {
                    println!("{line}");
                }
                to.lines.lock().unwrap().push(line);
                to.more.notify_waiters();
            }
        });
        Self {
            folder,
            process,
            status,
            log,
        }
    }

    fn group(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.process.id()?).unwrap())
    }

    /// Waits until a line says this so many times; gives the last.
    async fn says(&self, what: &str, times: usize) -> String {
        let said = async {
            loop {
                let more = self.log.more.notified();
                {
                    let lines = self.log.lines.lock().unwrap();
                    let mut found = lines.iter().filter(|line| line.contains(what));
                    if let Some(line) = found.nth(times - 1) {
                        return line.clone();
                    }
                }
                more.await;
            }
        };
        match timeout(LONGEST, said).await {
            Ok(line) => line,
            Err(_) => panic!("{what} was not said: {:#?}", self.log.lines.lock().unwrap()),
        }
    }

    /// The process that a child has been since its start number `start`.
    async fn pid(&self, child: &str, start: usize) -> Pid {
        let line = self.says(&format!("{child} runs as process "), start).await;
        let number = line.rsplit(' ').next().unwrap().parse().unwrap();
        Pid::from_raw(number).unwrap()
    }

    /// What the status server answers. It is away while the link is restarted.
    async fn get(&self, path: &str) -> (u16, Value) {
        let asked = async {
            loop {
                if TcpStream::connect(self.status).await.is_ok() {
                    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
                    let mut client = Client::connect(self.status).await;
                    client.send(request).await;
                    let answer = client.rest().await;
                    if let Some((head, body)) = answer.split_once("\r\n\r\n") {
                        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
                        return (code, serde_json::from_str(body).unwrap());
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(LONGEST, asked)
            .await
            .expect("the status server does not answer")
    }

    /// Waits until Envoy serves `web`, and leads the environment to something ready if one is named.
    async fn serves(&self, env: Option<&str>) -> Value {
        let env = env.map(|env| format!("&env={env}")).unwrap_or_default();
        let (code, state) = self.get(&format!("/v1/pod?service=web{env}&wait=30")).await;
        assert_eq!(code, 200, "{state}");
        state
    }

    /// Waits until the environment has no version.
    async fn leads_nobody(&self) {
        let began = Instant::now();
        while self.get("/v1/pod").await.1["acked"]["web"]["ports"]["80"]["envs"] != json!({}) {
            assert!(began.elapsed() < LONGEST);
        }
    }

    fn admin(&self) -> Admin {
        Admin::new(&Files::new(self.folder.path()).admin())
    }

    /// SIGKILL to all its processes, as when the node loses power. Gives its folder.
    async fn crash(mut self) -> TempDir {
        kill_process_group(self.group().unwrap(), Signal::KILL).unwrap();
        self.process.wait().await.unwrap();
        std::mem::replace(&mut self.folder, TempDir::new().unwrap())
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(group) = self.group() {
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Envoy, or a line that says what is left out.
fn envoy(test: &str) -> Option<PathBuf> {
    program(test)
}

/// Asks until this version answers a tagged request: Envoy acknowledges a configuration a moment before its workers have it.
async fn answers(to: SocketAddr, version: &str) {
    for _ in 0..1000 {
        if ask(to, TAGGED).await.1 == version {
            return;
        }
    }
    panic!("{version} does not answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_follows_the_cluster() {
    let Some(envoy) = envoy("a_pod_follows_the_cluster") else {
        return;
    };
    let world = World::start().await;
    let pod = Pod::start(&envoy, &world.objects).await;
    let state = pod.serves(None).await;
    assert_eq!(state["errors"], json!([]));
    assert_eq!(state["acked"]["web"]["ports"]["80"]["base"], 1);
    assert_eq!(ask(world.web, GET).await.1, "base");
    assert_eq!(ask(world.web, TAGGED).await.1, "base");
    if here() == Families::Both {
        let web = SocketAddr::from((Ipv6Addr::LOCALHOST, world.web.port()));
        assert_eq!(ask(web, GET).await.1, "base");
    }
    let (mut came, mut went) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let began = Instant::now();
        world.ann_comes();
        pod.serves(Some("ann")).await;
        came.push(began.elapsed());
        answers(world.web, "ann").await;
        assert_eq!(ask(world.web, GET).await.1, "base");
        let began = Instant::now();
        world.ann_goes();
        pod.leads_nobody().await;
        went.push(began.elapsed());
        answers(world.web, "base").await;
    }
    print_times("an object comes: to acknowledged", came);
    print_times("an object goes: to acknowledged", went);
    // While the API server is away everything goes on; what has changed meanwhile is seen afterwards.
    world.objects.leave().await;
    pod.says("link: cannot read ", 1).await;
    assert_eq!(ask(world.web, GET).await.1, "base");
    world.ann_comes();
    world.objects.come_back().await;
    pod.serves(Some("ann")).await;
    pod.says("link: the cluster can be read again", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_tells_what_went_through_it() {
    let Some(envoy) = envoy("a_pod_tells_what_went_through_it") else {
        return;
    };
    let world = World::start().await;
    world.ann_comes();
    let pod = Pod::start(&envoy, &world.objects).await;
    pod.serves(Some("ann")).await;
    answers(world.web, "ann").await;
    let before = told(&pod, 1).await.len();
    for _ in 0..5 {
        assert_eq!(ask(world.web, TAGGED).await.1, "ann");
        assert_eq!(ask(world.web, GET).await.1, "base");
    }
    for request in told(&pod, before + 5).await {
        for (field, value) in [
            ("env", "ann"),
            ("service", "web"),
            ("version", "ann"),
            ("router", "dev-router-0"),
        ] {
            assert_eq!(request[field], value, "{request}");
        }
    }
    let counted = async {
        loop {
            let (code, report) = pod.get("/v1/traffic?env=ann").await;
            assert_eq!(code, 200, "{report}");
            let web = &report["services"]["web"];
            if web["base"]["requests"] == 5 && web["envs"]["ann"]["p99"].is_f64() {
                return report;
            }
        }
    };
    let report = timeout(LONGEST, counted).await.expect("it never counts");
    assert_eq!(report["pods"], json!(["dev-router-0"]));
    assert_eq!(report["errors"], json!([]));
    assert_eq!(report["services"]["web"]["envs"]["ann"]["successRate"], 1.0);
}

/// The requests of `ann`, as soon as so many were told.
async fn told(pod: &Pod, least: usize) -> Vec<Value> {
    let heard = async {
        loop {
            let (code, page) = pod.get("/v1/requests?env=ann&tail=100").await;
            assert_eq!(code, 200, "{page}");
            let requests = page["requests"].as_array().unwrap();
            if requests.len() >= least {
                return requests.clone();
            }
        }
    };
    timeout(LONGEST, heard)
        .await
        .expect("the requests are not told")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_link_costs_nobody_a_request() {
    let Some(envoy) = envoy("a_killed_link_costs_nobody_a_request") else {
        return;
    };
    let world = World::start().await;
    let pod = Pod::start(&envoy, &world.objects).await;
    pod.serves(None).await;
    let load = world.load(2, 2);
    let mut times = Vec::new();
    let rounds = if long() { 200 } else { 20 };
    for round in 1..=rounds {
        load.more(20).await;
        let link = pod.pid("the link", round).await;
        let began = Instant::now();
        kill_process(link, Signal::KILL).unwrap();
        // What changes while it is away.
        if round % 2 == 1 {
            world.ann_comes();
        } else {
            world.ann_goes();
        }
        pod.pid("the link", round + 1).await;
        if round % 2 == 1 {
            pod.serves(Some("ann")).await;
        } else {
            pod.serves(None).await;
            pod.leads_nobody().await;
        }
        times.push(began.elapsed());
    }
    print_times(
        "a link killed: until a change meanwhile is acknowledged",
        times,
    );
    assert!(pod.says("Envoy runs as process", 1).await.contains("Envoy"));
    let starts = {
        let lines = pod.log.lines.lock().unwrap();
        let said = |line: &&String| line.contains("Envoy runs as");
        lines.iter().filter(said).count()
    };
    assert_eq!(starts, 1, "Envoy was left alone");
    load.stop()
        .await
        .none_failed(&format!("{rounds} SIGKILLs of the link"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_envoy_is_back_in_a_moment() {
    let Some(envoy) = envoy("a_killed_envoy_is_back_in_a_moment") else {
        return;
    };
    let world = World::start().await;
    let pod = Pod::start(&envoy, &world.objects).await;
    pod.serves(None).await;
    let mut times = Vec::new();
    for round in 1..=5 {
        let process = pod.pid("Envoy", round).await;
        let began = Instant::now();
        kill_process(process, Signal::KILL).unwrap();
        pod.pid("Envoy", round + 1).await;
        let answered = async {
            loop {
                // Refused until it listens again.
                if TcpStream::connect(world.web).await.is_ok() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(LONGEST, answered)
            .await
            .expect("Envoy does not come back");
        assert_eq!(ask(world.web, GET).await.1, "base");
        times.push(began.elapsed());
    }
    print_times("Envoy killed: until a new request succeeds", times);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_may_leave_before_a_pod_ends() {
    let Some(envoy) = envoy("clients_may_leave_before_a_pod_ends") else {
        return;
    };
    let world = World::start().await;
    let mut pod = Pod::start(&envoy, &world.objects).await;
    pod.serves(None).await;
    // A conversation that goes on while the pod ends.
    let mut talk = Client::connect(world.web).await;
    talk.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    assert!(talk.until("\r\n\r\n").await.starts_with("HTTP/1.1 101"));
    let mut kept = Client::connect(world.web).await;
    kept.send(GET).await;
    assert_eq!(kept.response().await.1, "base");
    let load = world.load(2, 4);
    load.more(100).await;
    assert_eq!(pod.admin().get("/ready").await.unwrap().trim(), "LIVE");

    let began = Instant::now();
    kill_process(pod.group().unwrap(), Signal::TERM).unwrap();
    pod.says("told to end", 1).await;
    while pod.admin().get("/ready").await.is_ok() {}
    // Nodes that do not know yet still send new connections; who has one is asked to leave.
    load.more(2000).await;
    kept.send(GET).await;
    let (head, body) = kept.response().await;
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(body, "base");
    load.stop().await.none_failed("SIGTERM under load");
    talk.send("still there?").await;
    assert_eq!(talk.until("?").await, "still there?");
    assert!(
        pod.process.try_wait().unwrap().is_none(),
        "it waits for the last one"
    );
    drop((talk, kept));
    let status = timeout(LONGEST, pod.process.wait()).await.unwrap().unwrap();
    println!("SIGTERM to the end: {:?}", began.elapsed());
    assert!(began.elapsed() >= Duration::from_secs(3));
    assert_eq!(status.code(), Some(0));
    pod.says("all clients have left", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_a_pod_serves_from_disk_while_the_api_server_is_away() {
    let test = "after_a_crash_a_pod_serves_from_disk_while_the_api_server_is_away";
    let Some(envoy) = envoy(test) else {
        return;
    };
    let world = World::start().await;
    world.ann_comes();
    let pod = Pod::start(&envoy, &world.objects).await;
    pod.serves(Some("ann")).await;
    world.objects.leave().await;
    let folder = pod.crash().await;
    let pod = Pod::start_in(folder, &envoy, &world.objects).await;
    pod.says("link: serving the last table from disk", 1).await;
    let served = async {
        while pod.get("/v1/pod").await.1["acked"]["web"]["ports"]["80"]["envs"]["ann"] != 1 {}
    };
    timeout(LONGEST, served).await.expect("it does not serve");
    assert_eq!(pod.get("/v1/pod").await.1["synced"], false);
    assert_eq!(ask(world.web, GET).await.1, "base");
    assert_eq!(ask(world.web, TAGGED).await.1, "ann");
    world.objects.come_back().await;
    pod.serves(Some("ann")).await;
}

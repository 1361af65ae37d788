//! The status server on loopback.

use std::path::Path;

use super::*;
use crate::router::envoy::snapshot;
use crate::router::model::{Protocol, RoutedPort, RoutedService, Table};
use crate::router::requests::Request as Seen;
use crate::router::run::Admin;
use crate::router::run::http::send;

struct Test {
    address: SocketAddr,
    known_tx: watch::Sender<Known>,
    acked_tx: watch::Sender<Acked>,
    requests: Arc<Store>,
    _task: tokio::task::JoinHandle<()>,
}

impl Test {
    async fn start(pod: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (known_tx, known_rx) = watch::channel(Known::default());
        let (acked_tx, acked_rx) = watch::channel(Acked::connected());
        let requests = Arc::new(Store::default());
        requests.admit(&["ann".to_owned()].into());
        let status = Status {
            pod: pod.to_owned(),
            known_rx,
            acked_rx,
            requests: Arc::clone(&requests),
            // No Envoy answers there.
            measure: Arc::new(Measure::new(Admin::new(Path::new("/nowhere/admin.sock")))),
        };
        Self {
            address,
            requests,
            known_tx,
            acked_tx,
            _task: tokio::spawn(serve(listener, status)),
        }
    }

    async fn ask(&self, method: Method, path: &str) -> (u16, serde_json::Value) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (status, body) = send(stream, method, "router", path).await.unwrap();
        (status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        self.ask(Method::GET, path).await
    }

    /// The cluster has a service, and Envoy what `acked` says of it.
    fn knows_web(&self) {
        let port = RoutedPort {
            listener: 20001,
            protocol: Protocol::Tcp,
            base: [SocketAddr::from(([10, 0, 0, 1], 80))].into(),
            overrides: Default::default(),
        };
        let web = RoutedService {
            ports: [(80, port)].into(),
        };
        let table = Table {
            base: "shop".into(),
            services: [("web".to_owned(), web)].into(),
            ..Table::default()
        };
        self.known_tx.send_modify(|known| {
            known.synced = true;
            known.snapshot = Arc::new(snapshot(&table));
            known.table = Arc::new(table);
        });
    }

    fn accepts_all(&self) {
        let snapshot = Arc::clone(&self.known_tx.borrow().snapshot);
        self.acked_tx.send_modify(|acked| {
            for kind in crate::router::ads::Kind::ALL {
                for (name, resource) in kind.of(&snapshot) {
                    acked.set(kind, name.clone(), Some(resource.version.clone()));
                }
            }
        });
    }
}

#[tokio::test]
async fn a_pod_tells_its_state() {
    let test = Test::start("r1").await;
    let (code, state) = test.get("/v1/pod").await;
    assert_eq!((code, &state["synced"]), (200, &false.into()));
    test.knows_web();
    let (_, state) = test.get("/v1/pod").await;
    assert_eq!(state["acked"], serde_json::json!({}));
    test.accepts_all();
    let (_, state) = test.get("/v1/pod?later=1").await;
    assert_eq!(state["acked"]["web"]["ports"]["80"]["listener"], 20001);
    let (_, all) = test.get("/v1/status").await;
    assert_eq!(all["pods"], serde_json::json!([state]));
}

#[tokio::test]
async fn what_is_not_asked_rightly_is_refused() {
    let test = Test::start("r1").await;
    assert_eq!(test.get("/").await.0, 404);
    assert_eq!(test.get("/v1/pod?wait=x").await.0, 400);
    assert_eq!(test.get("/v1/requests").await.0, 400);
    assert_eq!(test.get("/v1/requests?env=ann&after=x").await.0, 400);
    assert_eq!(test.get("/v1/requests?env=ann&tail=x").await.0, 400);
    assert_eq!(test.ask(Method::POST, "/v1/pod").await.0, 405);
}

#[tokio::test]
async fn an_answer_is_kept_until_it_holds() {
    let test = Test::start("r1").await;
    test.knows_web();
    let asked = test.get("/v1/pod?service=web&wait=30");
    let meanwhile = async {
        // The question is there when a second one was answered.
        test.get("/v1/pod").await;
        test.accepts_all();
    };
    let ((code, state), ()) = tokio::join!(asked, meanwhile);
    assert_eq!(code, 200);
    assert_eq!(state["acked"]["web"]["ports"]["80"]["base"], 1);
}

#[tokio::test]
async fn when_the_time_is_up_the_state_is_told() {
    let test = Test::start("r1").await;
    test.knows_web();
    let (code, state) = test.get("/v1/status?service=web&wait=1").await;
    assert_eq!(code, 504);
    assert_eq!(state["pods"][0]["pod"], "r1");
    // Without a time nobody waits, and the state is an answer.
    assert_eq!(test.get("/v1/pod?service=web").await.0, 200);
}

fn peer(pod: &str, address: SocketAddr) -> Peer {
    Peer {
        pod: pod.to_owned(),
        address,
    }
}

/// `r1` and `r2`, of which the first knows the other.
async fn two_pods() -> (Test, Test) {
    let (one, two) = (Test::start("r1").await, Test::start("r2").await);
    let both = vec![peer("r1", one.address), peer("r2", two.address)];
    one.known_tx.send_modify(|known| known.peers = both);
    (one, two)
}

#[tokio::test]
async fn one_pod_tells_of_all() {
    let (one, two) = two_pods().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = gone.local_addr().unwrap();
    drop(gone);
    one.knows_web();
    two.knows_web();
    one.accepts_all();
    let (code, all) = one.get("/v1/status?service=web&wait=1").await;
    assert_eq!(code, 504, "r2 has not taken it over");
    assert_eq!(all["pods"][1]["pod"], "r2");
    two.accepts_all();
    let (code, all) = one.get("/v1/status?service=web&wait=1").await;
    assert_eq!(code, 200);
    assert_eq!(all["pods"][1]["acked"]["web"]["ports"]["80"]["base"], 1);

    one.known_tx
        .send_modify(|known| known.peers.push(peer("r3", nowhere)));
    let (code, all) = one.get("/v1/status").await;
    assert_eq!(code, 200);
    let error = all["pods"][2]["errors"][0].as_str().unwrap();
    assert!(error.starts_with("does not answer"), "{error}");
    assert_eq!(one.get("/v1/status?service=web&wait=1").await.0, 504);
}

#[tokio::test]
async fn it_listens_on_a_free_port() {
    let listener = listen(0).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert!(listen(port).await.is_err());
}

fn seen(env: &str, path: &str, time: &str) -> Seen {
    Seen {
        env: env.to_owned(),
        path: path.to_owned(),
        time: time.to_owned(),
        ..Seen::default()
    }
}

fn paths(page: &serde_json::Value) -> Vec<&str> {
    let requests = page["requests"].as_array().unwrap();
    requests
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn requests_of_all_pods_are_told_in_order_and_each_once() {
    let (one, two) = two_pods().await;
    one.requests
        .put([seen("ann", "/1", "1"), seen("ann", "/3", "3")], 10);
    two.requests
        .put([seen("ann", "/2", "2"), seen("bob", "/x", "2")], 10);
    let (_, last) = one.get("/v1/requests?env=ann&tail=2").await;
    assert_eq!(paths(&last), ["/2", "/3"]);
    let next = last["next"].as_str().unwrap();
    // Nothing is there: the question waits for what comes at the other pod.
    let path = format!("/v1/requests?env=ann&wait=30&after={next}");
    let (two_again, later) = tokio::join!(
        async {
            one.get("/v1/pod").await;
            two.requests.put([seen("ann", "/4", "4")], 20);
        },
        one.get(&path)
    );
    let () = two_again;
    assert_eq!(paths(&later.1), ["/4"]);
    let next = later.1["next"].as_str().unwrap();
    one.requests.put([seen("ann", "/5", "5")], 30);
    two.requests.put([seen("ann", "/6", "6")], 30);
    // What both have is told together.
    let (_, more) = one
        .get(&format!("/v1/requests?env=ann&wait=30&after={next}"))
        .await;
    assert_eq!(paths(&more), ["/5", "/6"]);
    let next = more["next"].as_str().unwrap();
    let (code, none) = one.get(&format!("/v1/requests?env=ann&after={next}")).await;
    assert_eq!((code, paths(&none).len()), (200, 0));
}

#[tokio::test]
async fn traffic_says_which_pods_it_is_not_of() {
    let (one, _two) = two_pods().await;
    let (code, report) = one.get("/v1/traffic").await;
    assert_eq!(code, 200);
    assert_eq!(report["pods"], serde_json::json!([]));
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{report}");
    assert!(errors[1].as_str().unwrap().starts_with("r2: "), "{report}");
}

//! The status server on loopback.

use super::*;
use crate::router::envoy::snapshot;
use crate::router::model::{Protocol, RoutedPort, RoutedService, Table};
use crate::router::run::http::send;

struct Test {
    address: SocketAddr,
    known_tx: watch::Sender<Known>,
    acked_tx: watch::Sender<Acked>,
    _task: tokio::task::JoinHandle<()>,
}

impl Test {
    async fn start(pod: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (known_tx, known_rx) = watch::channel(Known::default());
        let (acked_tx, acked_rx) = watch::channel(Acked::connected());
        let status = Status {
            pod: pod.to_owned(),
            known_rx,
            acked_rx,
        };
        Self {
            address,
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
    assert_eq!(test.get("/v1/pod?env=ann").await.0, 400);
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

#[tokio::test]
async fn one_pod_tells_of_all() {
    let (one, two) = (Test::start("r1").await, Test::start("r2").await);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = gone.local_addr().unwrap();
    drop(gone);
    let peer = |pod: &str, address: SocketAddr| Peer {
        pod: pod.to_owned(),
        address,
    };
    let both = vec![peer("r1", one.address), peer("r2", two.address)];
    one.known_tx.send_modify(|known| known.peers = both.clone());
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

    let mut three = both;
    three.push(peer("r3", nowhere));
    one.known_tx.send_modify(|known| known.peers = three);
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

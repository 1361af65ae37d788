//! What goes through the routers of a base, on a real cluster, as a developer sees it: figures, requests, and the entry from outside.

use std::time::Duration;

use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::support::app::unique;
use crate::support::envoy::{ask, header};
use crate::support::rights::documented;
use crate::support::routers::{LONGEST, Routers, answer, restricted_service, until};

const ANN: &str = "baggage: dev-env=ann\r\n";

/// The next line that a running `dev` prints.
async fn line(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = tokio::time::timeout(LONGEST, lines.next_line()).await;
    line.expect("nothing is printed").unwrap().unwrap()
}

fn lines(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_sees_what_goes_through_and_answers_from_outside() {
    let base = unique("seen");
    let objects = [
        restricted_service("reviews", "reviews of the base"),
        restricted_service("ratings", "ratings of the base"),
    ]
    .concat();
    let Some(routers) = Routers::new("seen", &base, &objects).await else {
        return;
    };
    let (ann, _guard) = routers.developer("ann").await;
    let install = ["router", "install", "--edge-service", "reviews"];
    routers
        .good(&[&install[..], &["--edge-type", "NodePort"]].concat())
        .await;
    routers
        .good(&["router", "admit", &format!("{base}-ann")])
        .await;
    let up = ["up", "reviews", "--overlay", "-e", "ann"];
    let up = routers.dev_as(Some(&ann), &up).await;
    assert_eq!(up.code, 0, "{}", up.stderr);
    let reviews = routers.address(&base, "reviews").await;
    until(reviews, ANN, "reviews of ann").await;

    // The log goes on while it is read; header-less requests are in none.
    let follow = [
        "logs",
        "--requests",
        "-f",
        "--tail",
        "0",
        "-e",
        "ann",
        "-o",
        "json",
    ];
    let mut following = routers.start_as(Some(&ann), &follow);
    let mut followed = lines(&mut following);
    let log = ["logs", "--requests", "-e", "ann", "-o", "json"];
    let requests = async || -> Vec<Value> {
        let run = routers.dev_as(Some(&ann), &log).await;
        assert_eq!(run.code, 0, "{}", run.stderr);
        let lines = run.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    // It follows from the moment that it has asked for the first time: requests go on until it tells of some.
    let asking = async {
        loop {
            assert_eq!(answer(reviews, "").await.1, "reviews of the base");
            assert_eq!(answer(reviews, ANN).await.1, "reviews of ann");
        }
    };
    let three = async {
        [
            line(&mut followed).await,
            line(&mut followed).await,
            line(&mut followed).await,
        ]
    };
    let three = tokio::select! {
        three = three => three,
        () = asking => unreachable!("it never ends"),
    };
    for told in three {
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(
            (&told["env"], &told["version"]),
            (&"ann".into(), &"ann".into())
        );
    }
    drop(following);
    let counted = async {
        loop {
            let requests = requests().await;
            let by_routers: std::collections::BTreeSet<&str> = requests
                .iter()
                .map(|request| request["router"].as_str().unwrap())
                .collect();
            assert!(by_routers.len() <= 2, "{requests:#?}");
            if requests.len() >= 10 {
                return requests;
            }
            answer(reviews, ANN).await;
        }
    };
    let told = tokio::time::timeout(LONGEST, counted).await.unwrap();
    // The last one of those before was cut short.
    let cut = told.iter().filter(|request| request["status"] == 0);
    assert!(cut.count() <= 1, "{told:#?}");
    for request in told.iter().filter(|request| request["status"] != 0) {
        assert_eq!(request["env"], "ann");
        assert_eq!(
            (&request["service"], &request["status"]),
            (&"reviews".into(), &200.into())
        );
    }

    // Figures: times come a moment after counts.
    let figures = async {
        loop {
            let status = ["status", "-e", "ann", "-o", "json"];
            let run = routers.dev_as(Some(&ann), &status).await;
            assert_eq!(run.code, 0, "{}", run.stderr);
            let status: Value = serde_json::from_str(&run.stdout).unwrap();
            let traffic = status["overlay"]["traffic"].clone();
            assert_eq!(traffic["missing"], Value::Array(Vec::new()), "{status}");
            let versions = &traffic["services"]["reviews"];
            let complete = |version: &str| versions[version]["p99"].is_f64();
            if complete("env") && complete("base") {
                return (status, traffic);
            }
            answer(reviews, ANN).await;
            answer(reviews, "").await;
        }
    };
    let (status, traffic) = tokio::time::timeout(LONGEST, figures).await.unwrap();
    assert_eq!(traffic["routers"].as_array().unwrap().len(), 2, "{traffic}");
    for version in ["env", "base"] {
        let figures = &traffic["services"]["reviews"][version];
        assert_eq!(figures["successRate"], 1.0, "{traffic}");
        assert!(figures["requests"].as_u64().unwrap() > 0, "{traffic}");
    }
    assert_eq!(status["services"][0]["namespace"], format!("{base}-ann"));
    let table = routers.dev_as(Some(&ann), &["status", "-e", "ann"]).await;
    for words in ["REQUESTS/S", "from outside: http://ann.", "borrowed from"] {
        assert!(table.stdout.contains(words), "{}", table.stdout);
    }

    // Without the right it is named.
    let blind = documented("dev-borrower");
    let right = documented("dev-borrower-sees").pop().unwrap();
    let cluster = &routers.cluster;
    cluster.give(&base, &ann, &blind, None).await;
    let bindings = Api::<RoleBinding>::namespaced(cluster.client.clone(), &base);
    bindings
        .delete("ann", &DeleteParams::default())
        .await
        .unwrap();
    while cluster.may(&base, &ann, &right).await {
        tokio::task::yield_now().await;
    }
    let refused = routers.dev_as(Some(&ann), &log).await;
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains(&right.told()), "{}", refused.stderr);

    outside(&routers, &base).await;
}

/// The entry, by a port of the nodes and by a port of this machine.
async fn outside(routers: &Routers, base: &str) {
    let urls = routers.json(&["url", "reviews", "-e", "ann"]).await;
    let first = &urls[0]["urls"][0];
    assert_eq!(first["via"]["kind"], "routers", "{urls}");
    let url = first["url"].as_str().unwrap();
    let (host, port) = url.trim_start_matches("http://").rsplit_once(':').unwrap();
    assert_eq!(host, format!("ann.{base}.localhost"));
    let address = first["via"]["address"].as_str().unwrap();
    assert!(address.ends_with(&format!(":{port}")), "{urls}");
    let address = address.parse().unwrap();
    let get = async |host: &str, more: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{more}connection: close\r\n\r\n");
        ask(address, &request).await
    };
    let lies = "baggage: dev-env=ann\r\nx-dev-env: ann\r\n";
    let (head, body) = get(&format!("{host}:{port}"), "").await;
    assert_eq!(body.trim_end(), "reviews of ann");
    assert_eq!(header(&head, "x-dev-route"), Some("reviews=ann"));
    let (_, body) = get(&format!("{base}.localhost"), lies).await;
    assert_eq!(body.trim_end(), "reviews of the base");
    let (head, body) = get(&format!("bob.{base}.localhost"), lies).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(body.contains("no environment bob"), "{body}");
    let (head, _) = get("other.example", lies).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");

    let mut forwarding = routers.start_as(None, &["url", "reviews", "--forward", "-e", "ann"]);
    let url = line(&mut lines(&mut forwarding)).await;
    let (host, port) = url.trim_start_matches("http://").rsplit_once(':').unwrap();
    assert_eq!(host, format!("ann.{base}.localhost"));
    let here = std::net::SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
    let request = format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\nconnection: close\r\n\r\n");
    let asked = tokio::time::timeout(Duration::from_secs(30), ask(here, &request)).await;
    assert_eq!(asked.unwrap().1.trim_end(), "reviews of ann");
}

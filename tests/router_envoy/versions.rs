//! Requests with an environment: which version answers, and how they learn of it.

use super::world::World;
use crate::support::envoy::{ask, header};

#[tokio::test]
async fn an_environment_gets_its_version_however_it_is_spelt() {
    let test = "an_environment_gets_its_version_however_it_is_spelt";
    let Some(world) = World::start(test).await else {
        return;
    };
    for spelling in [
        "baggage: dev-env=ann\r\n",
        "BAGGAGE: userId=1, dev-env = ann;p=1 , x=y\r\n",
        "baggage: a=1\r\nbaggage: dev-env=%61nn\r\n",
        "X-Dev-Env: ann\r\n",
        "baggage: a=1\r\nx-dev-env:   ann  \r\n",
        "baggage: dev-env=ann\r\nx-dev-env: bob\r\n",
    ] {
        let (version, head) = world.get(spelling).await;
        assert_eq!(version, "ann", "{spelling}");
        assert_eq!(
            header(&head, "x-dev-route"),
            Some("reviews=ann"),
            "{spelling}"
        );
        let sent = world.ann.heads().pop().unwrap();
        assert_eq!(header(&sent, "x-dev-env"), Some("ann"), "{sent}");
        assert!(!sent.to_ascii_lowercase().contains("x-forwarded"), "{sent}");
    }
    assert_eq!(world.base.heads(), [] as [&str; 0]);
}

#[tokio::test]
async fn who_has_no_version_of_this_service_gets_the_bases() {
    let test = "who_has_no_version_of_this_service_gets_the_bases";
    let Some(world) = World::start(test).await else {
        return;
    };
    // Without one, unknown, impossible, and without anything ready but with leave to fall back.
    for env in ["dan", "nobody", "N%0d%0aX: y", "cat"] {
        let (version, head) = world.get(&format!("baggage: dev-env={env}\r\n")).await;
        assert_eq!(version, "base", "{env}");
        assert_eq!(header(&head, "x-dev-route"), Some("reviews=base"), "{env}");
    }
    let (version, head) = world.get("").await;
    assert_eq!(
        (version.as_str(), header(&head, "x-dev-route")),
        ("base", None)
    );
}

#[tokio::test]
async fn a_version_of_which_nothing_is_ready_is_named() {
    let Some(world) = World::start("a_version_of_which_nothing_is_ready_is_named").await else {
        return;
    };
    let (body, head) = world.get("baggage: dev-env=bob\r\n").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(header(&head, "x-dev-route"), Some("reviews=bob"));
    assert_eq!(header(&head, "content-type"), Some("text/plain"));
    assert_eq!(
        body,
        "dev: environment bob has its own reviews, of which nothing is ready: no endpoints of Service shop-bob/reviews\n"
    );
    assert_eq!(world.base.heads(), [] as [&str; 0]);
}

#[tokio::test]
async fn the_path_and_the_host_do_not_matter() {
    let Some(world) = World::start("the_path_and_the_host_do_not_matter").await else {
        return;
    };
    for line in [
        "GET /deep/er?q HTTP/1.1\r\nHost: reviews.shop.svc.cluster.local:9080",
        "GET http://other.example/x HTTP/1.1\r\nHost: reviews",
        "POST / HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: 0",
    ] {
        let (_, body) = ask(world.reviews, &format!("{line}\r\nx-dev-env: ann\r\n\r\n")).await;
        assert_eq!(body, "ann", "{line}");
    }
}

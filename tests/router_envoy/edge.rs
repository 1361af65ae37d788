//! The entry from outside.

use super::world::{DOMAIN, World};
use crate::support::envoy::{ask, header};

async fn get(world: &World, host: &str, headers: &str) -> (String, String) {
    let request = format!("GET /page HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
    ask(world.envoy.edge, &request).await
}

#[tokio::test]
async fn the_host_says_the_environment() {
    let Some(world) = World::start("the_host_says_the_environment").await else {
        return;
    };
    for host in [
        format!("ann.{DOMAIN}"),
        format!("ann.{DOMAIN}:8080"),
        format!("ann.{DOMAIN}."),
        "Ann.SHOP.LocalHost".into(),
    ] {
        let (head, body) = get(&world, &host, "").await;
        assert_eq!(body, "ann", "{host}");
        assert_eq!(header(&head, "x-dev-route"), Some("reviews=ann"));
        let sent = world.ann.heads().pop().unwrap();
        assert_eq!(
            sent,
            format!(
                "GET /page HTTP/1.1\r\nHost: {host}\r\nbaggage: dev-env=ann\r\nx-dev-env: ann\r\n\r\n"
            )
        );
    }

    let (head, body) = get(&world, DOMAIN, "Accept: */*\r\n").await;
    assert_eq!(
        (body.as_str(), header(&head, "x-dev-route")),
        ("base", None)
    );
    assert_eq!(
        world.base.heads(),
        [format!(
            "GET /page HTTP/1.1\r\nHost: {DOMAIN}\r\nAccept: */*\r\n\r\n"
        )]
    );
}

#[tokio::test]
async fn an_environment_without_a_version_of_the_entry_passes_through_the_base() {
    let test = "an_environment_without_a_version_of_the_entry_passes_through_the_base";
    let Some(world) = World::start(test).await else {
        return;
    };
    let (head, body) = get(&world, &format!("dan.{DOMAIN}"), "baggage: a=1\r\n").await;
    assert_eq!(body, "base");
    assert_eq!(header(&head, "x-dev-route"), Some("reviews=base"));
    let sent = world.base.heads().pop().unwrap();
    assert_eq!(header(&sent, "baggage"), Some("a=1,dev-env=dan"));
    assert_eq!(header(&sent, "x-dev-env"), Some("dan"));
}

#[tokio::test]
async fn what_is_said_outside_does_not_count() {
    let Some(world) = World::start("what_is_said_outside_does_not_count").await else {
        return;
    };
    let lies = "baggage: a=1,dev-env=bob;p,b=2\r\nx-dev-env: bob\r\nbaggage: dev-env=cat\r\n";
    let (_, body) = get(&world, DOMAIN, lies).await;
    assert_eq!(body, "base");
    let sent = world.base.heads().pop().unwrap();
    assert_eq!(header(&sent, "baggage"), Some("a=1,b=2"));
    assert_eq!(header(&sent, "x-dev-env"), None);

    let (_, body) = get(&world, &format!("ann.{DOMAIN}"), lies).await;
    assert_eq!(body, "ann");
    let sent = world.ann.heads().pop().unwrap();
    assert_eq!(header(&sent, "baggage"), Some("a=1,b=2,dev-env=ann"));
    assert_eq!(header(&sent, "x-dev-env"), Some("ann"));
    assert_eq!(sent.matches("dev-env").count(), 2, "{sent}");
}

#[tokio::test]
async fn who_cannot_be_served_is_told_why() {
    let Some(world) = World::start("who_cannot_be_served_is_told_why").await else {
        return;
    };
    let (head, body) = get(&world, &format!("nobody.{DOMAIN}"), "").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(body, "dev: there is no environment nobody of shop\n");

    let (head, body) = get(&world, &format!("bob.{DOMAIN}"), "").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(body.contains("shop-bob/reviews"), "{body}");

    for host in [
        "10.0.0.1:30080",
        "[::1]:80",
        "other.example",
        "a.b.shop.localhost",
        "-.shop.localhost",
        "xshop.localhost",
        ".shop.localhost",
    ] {
        let (head, body) = get(&world, host, "").await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{host}: {head}");
        assert_eq!(
            body,
            "dev: this address answers for the hosts shop.localhost and <environment>.shop.localhost\n"
        );
    }
    assert_eq!(world.base.heads(), [] as [&str; 0]);
}

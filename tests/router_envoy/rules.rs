//! `normalise.lua` does what `src/router/baggage.rs` says: the same cases, and random ones.

use dev::router::baggage::{Asked, HEADER, asked, without_environment};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde::Deserialize;

use super::world::{DOMAIN, World};
use crate::support::envoy::{Client, header};

#[derive(Deserialize)]
struct Case {
    case: String,
    baggage: Vec<String>,
    plain: Vec<String>,
}

impl Case {
    fn lines(&self) -> String {
        let baggage = self
            .baggage
            .iter()
            .map(|line| format!("baggage: {line}\r\n"));
        let plain = self
            .plain
            .iter()
            .map(|line| format!("x-dev-env: {line}\r\n"));
        baggage.chain(plain).collect()
    }

    fn asked(&self) -> Option<Asked> {
        asked(&bytes(&self.baggage), &bytes(&self.plain))
    }
}

fn bytes(lines: &[String]) -> Vec<&[u8]> {
    lines.iter().map(String::as_bytes).collect()
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../src/router/baggage/cases.json")).unwrap()
}

/// Headers of what the rules look at, in any order, of any length up to 11 pieces a line.
fn random(count: usize) -> Vec<Case> {
    let pieces = vec![
        "dev-env",
        "dev-env",
        "=",
        "=",
        ",",
        ";",
        " ",
        "\t",
        "%61",
        "%2D",
        "%",
        "%0a",
        "ann",
        "Ann",
        "b",
        "-",
        "x",
        "\"",
        "dev-env=ann",
        "dev-env=ann",
        "123456789012345678901234567890",
    ];
    let piece = proptest::sample::select(pieces);
    let line = proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    let lines = || proptest::collection::vec(line.clone(), 0..3);
    let strategy = (lines(), lines());
    let mut runner = TestRunner::deterministic();
    let made = std::iter::repeat_with(|| strategy.new_tree(&mut runner).unwrap().current());
    made.take(count)
        .map(|(baggage, plain)| Case {
            case: "random".into(),
            baggage,
            plain,
        })
        .collect()
}

#[tokio::test]
async fn the_script_follows_the_rules() {
    let Some(world) = World::start("the_script_follows_the_rules").await else {
        return;
    };
    let mut client = Client::connect(world.reviews).await;
    for case in cases().into_iter().chain(random(3000)) {
        let lines = case.lines();
        client
            .send(format!("GET / HTTP/1.1\r\nHost: reviews\r\n{lines}\r\n"))
            .await;
        let (answer, _) = client.response().await;
        let mut heads = world.base.heads();
        heads.extend(world.ann.heads());
        let sent = heads.pop().unwrap_or_default();
        let asked = case.asked();
        let what = format!("{}: {:?} {:?}", case.case, case.baggage, case.plain);
        let plain: Vec<&str> = lines_of(&sent, "x-dev-env: ");
        match &asked {
            // Envoy answers itself.
            Some(Asked::Env(env)) if env == "bob" => assert_eq!(sent, "", "{what}"),
            Some(asked) => assert_eq!(plain, [asked.header()], "{what}"),
            None => {
                let as_sent = case.plain.iter().map(|line| line.trim_matches([' ', '\t']));
                assert_eq!(plain, as_sent.collect::<Vec<_>>(), "{what}");
            }
        }
        let told = header(&answer, "x-dev-route").is_some();
        // A plain header that names nothing is still a header.
        assert_eq!(
            told,
            asked.is_some() || !case.plain.is_empty(),
            "{what}: {answer}"
        );
    }
}

/// The values of the header lines of a head that begin like this.
fn lines_of<'a>(head: &'a str, begin: &str) -> Vec<&'a str> {
    let lines = head.split("\r\n");
    lines.filter_map(|line| line.strip_prefix(begin)).collect()
}

#[tokio::test]
async fn from_outside_no_environment_comes_in() {
    let Some(world) = World::start("from_outside_no_environment_comes_in").await else {
        return;
    };
    let mut client = Client::connect(world.envoy.edge).await;
    for case in cases().into_iter().chain(random(1000)) {
        let lines = case.lines();
        client
            .send(format!("GET / HTTP/1.1\r\nHost: {DOMAIN}\r\n{lines}\r\n"))
            .await;
        let (answer, body) = client.response().await;
        let what = format!("{}: {:?} {:?}", case.case, case.baggage, case.plain);
        assert_eq!(body, "base", "{what}");
        assert_eq!(header(&answer, "x-dev-route"), None, "{what}");
        let sent = world.base.heads().pop().unwrap();
        assert_eq!(header(&sent, HEADER), None, "{what}: {sent}");
        let left = lines_of(&sent, "baggage: ");
        let left: Vec<&[u8]> = left.into_iter().map(str::as_bytes).collect();
        assert_eq!(asked(&left, &[]), None, "{what}: {sent}");
        let expected = without_environment(&bytes(&case.baggage));
        let names = case.baggage.iter().any(|line| line.contains("dev-env"));
        if names {
            let left = left.join(&b',');
            let trimmed = |text: &[u8]| {
                String::from_utf8(text.to_vec())
                    .unwrap()
                    .replace([' ', '\t'], "")
            };
            assert_eq!(
                trimmed(&left),
                trimmed(&expected.unwrap_or_default()),
                "{what}: {sent}"
            );
        } else {
            assert_eq!(left.len(), case.baggage.len(), "{what}: {sent}");
        }
    }
}

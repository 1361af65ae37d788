//! Envoy takes every configuration, and understands it as it is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use dev::router::collector::{Collector, Spans};
use dev::router::envoy::bootstrap::{Bootstrap, bootstrap};
use dev::router::envoy::{Families, Options};
use dev::router::model::{Override, Protocol, RoutedPort, RoutedService, Table};
use serde_json::Value;
use tempfile::TempDir;

use super::world::{World, table};
use crate::support::envoy::{program, rendered, rendered_with, validate};

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 8080))
}

/// Tables of all shapes.
fn tables() -> Vec<(&'static str, Table)> {
    let full = table(20000, 20001, address(1), address(2), address(3));
    let empty = Table {
        base: "shop".into(),
        ..Table::default()
    };
    let mut without_edge = full.clone();
    without_edge.edge = None;
    let mut only_edge = full.clone();
    only_edge.services.clear();
    let mut nothing_ready = full.clone();
    nothing_ready.edge.as_mut().unwrap().base.clear();
    for service in nothing_ready.services.values_mut() {
        for port in service.ports.values_mut() {
            port.base.clear();
        }
    }
    let mut ipv6 = full.clone();
    let port = ipv6
        .services
        .get_mut("reviews")
        .unwrap()
        .ports
        .values_mut()
        .next()
        .unwrap();
    port.base = BTreeSet::from(["[fd00::1]:80".parse().unwrap()]);
    vec![
        ("full", full),
        ("empty", empty),
        ("without an entry", without_edge),
        ("only the entry", only_edge),
        ("nothing ready", nothing_ready),
        ("IPv6", ipv6),
        ("many", many()),
    ]
}

/// With and without a collector, which has a name or an address.
fn options() -> Vec<Options> {
    let collector = |protocol: Spans, text: &str| Options {
        collector: Some(Collector::parse(protocol, text).unwrap()),
        ..Options::default()
    };
    vec![
        Options::default(),
        collector(Spans::Otlp, "collector.observability.svc"),
        collector(Spans::Zipkin, "10.0.0.9:9411"),
        collector(Spans::Otlp, "[fd00::9]:4317"),
    ]
}

/// 20 services with two ports, 100 environments that override three of them each, names as long as they may be.
fn many() -> Table {
    let long = |name: String| format!("{name}-{}", "x".repeat(62 - name.len()));
    let mut table = Table {
        base: "shop".into(),
        environments: (0..100).map(|n| long(format!("env-{n}"))).collect(),
        ..Table::default()
    };
    for n in 0..20u16 {
        let version = |env: u16| {
            let version = Override {
                namespace: long(format!("shop-{env}")),
                endpoints: BTreeSet::from([SocketAddr::from(([10, 1, 0, 1], env + 1))]),
                fallback: false,
            };
            (long(format!("env-{env}")), version)
        };
        let port = |listener: u16| RoutedPort {
            listener,
            protocol: Protocol::Http,
            base: BTreeSet::from([address(1)]),
            overrides: (0..100u16)
                .filter(|env| (env + n) % 20 < 3)
                .map(version)
                .collect(),
        };
        let ports = BTreeMap::from([(80, port(20000 + n)), (8080, port(21000 + n))]);
        table
            .services
            .insert(long(format!("service-{n}")), RoutedService { ports });
    }
    table
}

#[tokio::test]
async fn envoy_takes_every_configuration() {
    let Some(program) = program("envoy_takes_every_configuration") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("envoy.pb");
    for (name, table) in tables() {
        for options in options() {
            let bytes = rendered_with(&options, &table, 15080, Path::new("/tmp/admin.sock"));
            std::fs::write(&config, bytes).unwrap();
            let verdict = validate(&program, &config).await;
            assert!(
                verdict.is_ok(),
                "{name}, {options:?}: {}",
                verdict.unwrap_err()
            );
        }
    }
    // A wrong one is not taken: otherwise the above would say nothing.
    let mut wrong = table(20000, 20001, address(1), address(2), address(3));
    wrong.edge.as_mut().unwrap().edge.service = "x".repeat(100_000);
    wrong.edge.as_mut().unwrap().edge.domain = "\"".into();
    std::fs::write(
        &config,
        rendered(&wrong, 15080, Path::new("/tmp/admin.sock")),
    )
    .unwrap();
    assert!(validate(&program, &config).await.is_err());
}

#[tokio::test]
async fn envoy_takes_the_bootstrap() {
    let Some(program) = program("envoy_takes_the_bootstrap") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("bootstrap.json");
    for families in [Families::Ipv4, Families::Both] {
        let made = bootstrap(&Bootstrap {
            node: "dev-router-0",
            base: "shop",
            ads: &folder.path().join("ads.sock"),
            admin: &folder.path().join("admin.sock"),
            families,
        });
        std::fs::write(&config, made.to_string()).unwrap();
        let verdict = validate(&program, &config).await;
        assert!(verdict.is_ok(), "{families:?}: {}", verdict.unwrap_err());
    }
}

/// The entries of maps come in any order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields
                .iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// What a running Envoy says of its configuration, with the machine's ports and paths replaced.
#[tokio::test]
async fn envoy_understands_it_as_it_is_meant() {
    let Some(world) = World::start("envoy_understands_it_as_it_is_meant").await else {
        return;
    };
    let dump = world.envoy.admin("/config_dump").await;
    let mut golden = BTreeMap::new();
    for (title, list, item) in [
        ("listeners", "static_listeners", "listener"),
        ("clusters", "static_clusters", "cluster"),
    ] {
        let parts = dump["configs"].as_array().unwrap();
        let items = parts.iter().find_map(|part| part.get(list)?.as_array());
        let items = items.unwrap().iter().map(|it| &it[item]);
        // The other clusters differ by their names and endpoints only.
        let shown = items.filter(|it| {
            item == "listener"
                || ["base|reviews|9080", "env|bob|reviews|9080"]
                    .contains(&it["name"].as_str().unwrap())
        });
        golden.insert(title, shown.map(sorted).collect::<Vec<_>>());
    }
    let text = serde_json::to_string_pretty(&golden).unwrap();
    insta::assert_snapshot!(readable(text, &world));
}

/// With names in place of the machine's ports and of scripts.
fn readable(mut text: String, world: &World) -> String {
    for (address, name) in [
        (world.reviews, "\"listener of reviews\""),
        (world.redis, "\"listener of redis\""),
        (world.envoy.edge, "\"edge\""),
        (world.base.address, "\"base\""),
        (world.ann.address, "\"ann\""),
        (world.store.address, "\"store\""),
    ] {
        text = text.replace(
            &format!("\"port_value\": {}", address.port()),
            &format!("\"port_value\": {name}"),
        );
    }
    let scripts = [
        (
            "normalise.lua",
            concat!(
                include_str!("../../src/router/members.lua"),
                include_str!("../../src/router/normalise.lua")
            )
            .to_owned(),
        ),
        (
            "edge.lua",
            concat!(
                include_str!("../../src/router/members.lua"),
                include_str!("../../src/router/edge.lua")
            )
            .replace("@DOMAIN@", super::world::DOMAIN),
        ),
    ];
    for (name, script) in scripts {
        text = text.replace(
            &serde_json::to_string(&script).unwrap(),
            &format!("\"({name})\""),
        );
    }
    text
}

/// What is more where there is a collector.
#[tokio::test]
async fn envoy_understands_the_way_to_a_collector() {
    let test = "envoy_understands_the_way_to_a_collector";
    let options = Options {
        collector: Some(Collector::parse(Spans::Otlp, "10.0.0.9").unwrap()),
        ..Options::default()
    };
    let Some(world) = World::start_with(test, &options).await else {
        return;
    };
    let dump = world.envoy.admin("/config_dump").await;
    let parts = dump["configs"].as_array().unwrap();
    let mut golden = BTreeMap::new();
    for (list, item, shown) in [
        ("static_listeners", "listener", &["traced"][..]),
        ("static_clusters", "cluster", &["traced", "collector"]),
    ] {
        let items = parts.iter().find_map(|part| part.get(list)?.as_array());
        let items = items.unwrap().iter().map(|it| &it[item]);
        let named = items.filter(|it| shown.contains(&it["name"].as_str().unwrap()));
        golden.insert(list, named.map(sorted).collect::<Vec<_>>());
    }
    let listeners = parts
        .iter()
        .find_map(|part| part.get("static_listeners")?.as_array())
        .unwrap();
    let text = serde_json::to_string(listeners).unwrap();
    // The base is reached directly by whoever names no environment.
    assert_eq!(text.matches(r#""cluster":"base|reviews|9080""#).count(), 2);
    let text = serde_json::to_string_pretty(&golden).unwrap();
    insta::assert_snapshot!(readable(text, &world));
}

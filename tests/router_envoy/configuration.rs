//! Envoy takes every configuration, and understands it as it is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use dev::router::envoy::bootstrap::{Bootstrap, bootstrap};
use dev::router::model::{Override, Protocol, RoutedPort, RoutedService, Table};
use serde_json::Value;
use tempfile::TempDir;

use super::world::{World, table};
use crate::support::envoy::{program, rendered, validate};

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
        let bytes = rendered(&table, 15080, Path::new("/tmp/admin.sock"));
        std::fs::write(&config, bytes).unwrap();
        let verdict = validate(&program, &config).await;
        assert!(verdict.is_ok(), "{name}: {}", verdict.unwrap_err());
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
    let made = bootstrap(&Bootstrap {
        node: "dev-router-0",
        base: "shop",
        ads: &folder.path().join("ads.sock"),
        admin: &folder.path().join("admin.sock"),
    });
    std::fs::write(&config, made.to_string()).unwrap();
    let verdict = validate(&program, &config).await;
    assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
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
    let mut text = serde_json::to_string_pretty(&golden).unwrap();
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
            include_str!("../../src/router/normalise.lua").to_owned(),
        ),
        (
            "edge.lua",
            include_str!("../../src/router/edge.lua").replace("@DOMAIN@", super::world::DOMAIN),
        ),
    ];
    for (name, script) in scripts {
        text = text.replace(
            &serde_json::to_string(&script).unwrap(),
            &format!("\"({name})\""),
        );
    }
    insta::assert_snapshot!(text);
}

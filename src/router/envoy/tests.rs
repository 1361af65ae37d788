use std::collections::BTreeMap;
use std::net::SocketAddr;

use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::{Route, RouteAction, RouteConfiguration};
use envoy_types::pb::xds::r#type::matcher::v3::Matcher;
use envoy_types::pb::xds::r#type::matcher::v3::matcher::matcher_tree::TreeType;
use envoy_types::pb::xds::r#type::matcher::v3::matcher::{MatcherType, on_match};
use proptest::prelude::*;
use prost::{Message, Name};

use super::*;
use crate::router::model::{Edge, Entry, Override, Protocol, RoutedPort, RoutedService, Table};

fn addresses() -> impl Strategy<Value = std::collections::BTreeSet<SocketAddr>> {
    prop::collection::btree_set(
        (1u8..4).prop_map(|n| SocketAddr::from(([10, 0, 0, n], 80))),
        0..3,
    )
}

fn overrides() -> impl Strategy<Value = BTreeMap<String, Override>> {
    let version =
        (addresses(), any::<bool>(), "n[12]").prop_map(|(endpoints, fallback, namespace)| {
            Override {
                namespace,
                endpoints,
                fallback,
            }
        });
    prop::collection::btree_map("[abc]", version, 0..4)
}

fn tables() -> impl Strategy<Value = Table> {
    let port = (20000u16..20004, any::<bool>(), addresses(), overrides()).prop_map(
        |(listener, http, base, overrides)| RoutedPort {
            listener,
            protocol: if http { Protocol::Http } else { Protocol::Tcp },
            base,
            overrides: if http { overrides } else { BTreeMap::new() },
        },
    );
    let ports = prop::collection::btree_map(80u16..82, port, 0..3)
        .prop_map(|ports| RoutedService { ports });
    let edge = ("s[12]", 80u16..82, "d[12]", addresses(), overrides()).prop_map(
        |(service, port, domain, base, overrides)| Entry {
            edge: Edge {
                service,
                port,
                domain,
            },
            base,
            overrides,
        },
    );
    (
        prop::collection::btree_map("s[12]", ports, 0..3),
        prop::collection::btree_set("[abcd]", 0..4),
        prop::option::of(edge),
    )
        .prop_map(|(services, environments, edge)| Table {
            base: "shop".into(),
            services,
            environments,
            edge,
        })
}

proptest! {
    #[test]
    fn an_update_gives_what_is_made_whole(tables in prop::collection::vec(tables(), 1..5)) {
        let mut kept = Snapshot::default();
        let mut before = Table::default();
        for table in tables {
            update(&mut kept, &before, &table);
            prop_assert_eq!(&kept, &snapshot(&table));
            before = table;
        }
    }

    #[test]
    fn every_cluster_that_is_named_is_there(table in tables()) {
        let made = snapshot(&table);
        prop_assert_eq!(
            made.clusters.keys().collect::<Vec<_>>(),
            made.endpoints.keys().collect::<Vec<_>>()
        );
        for (name, routes) in &made.routes {
            let mut named = Vec::new();
            let routes = RouteConfiguration::decode(routes.body.value.as_slice()).unwrap();
            prop_assert_eq!(routes.virtual_hosts.len(), 1);
            clusters_of(routes.virtual_hosts[0].matcher.as_ref().unwrap(), &mut named);
            for cluster in named {
                prop_assert!(made.clusters.contains_key(&cluster), "{}: {}", name, cluster);
            }
        }
    }
}

/// The clusters that a matcher leads to, read by the generated types: the fields are where Envoy looks for them.
fn clusters_of(matcher: &Matcher, found: &mut Vec<String>) {
    let Some(MatcherType::MatcherTree(tree)) = &matcher.matcher_type else {
        panic!("no tree: {matcher:?}");
    };
    let (Some(TreeType::ExactMatchMap(map)) | Some(TreeType::PrefixMatchMap(map))) =
        &tree.tree_type
    else {
        panic!("no map: {tree:?}");
    };
    let last = matcher.on_no_match.as_deref().unwrap();
    for case in map.map.values().chain([last]) {
        match case.on_match.as_ref().unwrap() {
            on_match::OnMatch::Matcher(inner) => clusters_of(inner, found),
            on_match::OnMatch::Action(action) => {
                let config = action.typed_config.as_ref().unwrap();
                assert_eq!(config.type_url, Route::type_url());
                let route = Route::decode(config.value.as_slice()).unwrap();
                match route.action.unwrap() {
                    Action::Route(RouteAction {
                        cluster_specifier: Some(ClusterSpecifier::Cluster(name)),
                        ..
                    }) => {
                        found.push(name);
                    }
                    Action::DirectResponse(response) => assert_eq!(response.status, 503),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

#[test]
fn only_what_has_changed_is_made_anew() {
    let mut table = Table::default();
    for service in ["ratings", "reviews"] {
        let version = Override {
            namespace: "shop-ann".into(),
            endpoints: [SocketAddr::from(([10, 0, 0, 1], 80))].into(),
            fallback: false,
        };
        let port = RoutedPort {
            listener: 20000,
            protocol: Protocol::Http,
            base: [SocketAddr::from(([10, 0, 0, 2], 80))].into(),
            overrides: [("ann".to_owned(), version)].into(),
        };
        let routed = RoutedService {
            ports: [(80, port)].into(),
        };
        table.services.insert(service.into(), routed);
    }
    let before = snapshot(&table);
    let mut changed = table.clone();
    let port = changed
        .services
        .get_mut("reviews")
        .unwrap()
        .ports
        .get_mut(&80)
        .unwrap();
    let version = port.overrides.get_mut("ann").unwrap();
    version
        .endpoints
        .insert(SocketAddr::from(([10, 0, 0, 3], 80)));
    let mut after = before.clone();
    update(&mut after, &table, &changed);

    let differing = |one: &snapshot::Resources, other: &snapshot::Resources| {
        let differs = |name: &&String| !std::sync::Arc::ptr_eq(&one[*name], &other[*name]);
        one.keys().filter(differs).cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        differing(&before.endpoints, &after.endpoints),
        ["env|ann|reviews|80"]
    );
    assert_eq!(
        differing(&before.clusters, &after.clusters),
        [] as [String; 0]
    );
    assert_eq!(differing(&before.routes, &after.routes), [] as [String; 0]);
    assert_eq!(
        differing(&before.listeners, &after.listeners),
        [] as [String; 0]
    );
}

#[test]
fn equal_tables_have_equal_versions_in_every_process() {
    let mut table = Table::default();
    let version = Override {
        namespace: "shop-x".into(),
        ..Override::default()
    };
    let overrides = (0..50)
        .map(|n| (format!("env-{n}"), version.clone()))
        .collect();
    let port = RoutedPort {
        listener: 20000,
        protocol: Protocol::Http,
        base: [SocketAddr::from(([10, 0, 0, 1], 80))].into(),
        overrides,
    };
    let service = RoutedService {
        ports: [(80, port)].into(),
    };
    table.services.insert("reviews".into(), service);
    let made = snapshot(&table);
    let versions = |resources: &snapshot::Resources| {
        let lines = resources
            .iter()
            .map(|(name, it)| format!("{name} {}", it.version));
        lines.collect::<Vec<_>>()
    };
    for _ in 0..20 {
        assert_eq!(versions(&snapshot(&table).routes), versions(&made.routes));
    }
}

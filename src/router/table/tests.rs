use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::router::envoy::{self, Snapshot};

/// The objects of a cluster, owned.
#[derive(Clone, Debug, Default)]
struct World {
    admission: Option<ConfigMap>,
    services: Vec<Service>,
    slices: Vec<EndpointSlice>,
}

impl World {
    fn table(&self) -> (Table, Vec<String>) {
        let objects = Objects {
            base: "shop",
            admission: self.admission.as_ref(),
            services: self.services.iter().collect(),
            slices: self.slices.iter().collect(),
        };
        let (table, problems) = table(&objects);
        (table, problems.iter().map(ToString::to_string).collect())
    }

    fn admit(mut self, environments: &str, edge: Option<&str>) -> Self {
        let mut data = BTreeMap::from([("environments".to_owned(), environments.to_owned())]);
        data.extend(edge.map(|edge| ("edge".to_owned(), edge.to_owned())));
        self.admission = Some(ConfigMap {
            data: Some(data),
            ..ConfigMap::default()
        });
        self
    }

    fn service(mut self, value: Value) -> Self {
        self.services.push(read(value));
        self
    }

    /// A slice with pods of its namespace, at these addresses.
    fn slice(
        mut self,
        namespace: &str,
        service: &str,
        port: (&str, u16),
        addresses: &[&str],
    ) -> Self {
        self.slices.push(slice(namespace, service, port, addresses));
        self
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn slice(namespace: &str, service: &str, port: (&str, u16), addresses: &[&str]) -> EndpointSlice {
    let endpoint = |address: &&str| {
        json!({
            "addresses": [address],
            "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": "x"},
        })
    };
    read(json!({
        "metadata": {
            "namespace": namespace, "name": format!("{service}-{}-{}", port.1, addresses.join("-")),
            "labels": {SERVICE: service},
        },
        "addressType": "IPv4",
        "ports": [{"name": port.0, "port": port.1, "protocol": "TCP"}],
        "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
    }))
}

const SERVICE: &str = endpoints::SERVICE_NAME;

/// The shadow of `reviews` with an HTTP port, one for metrics without a name that says HTTP, and one of UDP.
fn shadow(of: &str) -> Value {
    json!({
        "metadata": {
            "namespace": "shop", "name": format!("{of}-dev-base"), "labels": {labels::SHADOW: of},
            "annotations": {labels::PORTS: r#"{"9080/TCP": 20000, "9090/TCP": 20001}"#},
        },
        "spec": {"clusterIP": "None", "ports": [
            {"name": "http", "port": 9080, "targetPort": "web"},
            {"name": "metrics", "port": 9090},
            {"name": "udp", "port": 9080, "protocol": "UDP"},
        ]},
    })
}

fn own(namespace: &str, name: &str, port: u16) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"ports": [{"name": "http", "port": port}]},
    })
}

fn with(mut value: Value, pointer: &str, key: &str, to: Value) -> Value {
    let place = value.pointer_mut(pointer).unwrap();
    place[key] = to;
    value
}

const ANN: &str = r#"[{"namespace": "shop-ann", "env": "ann"}]"#;

fn world() -> World {
    World::default()
        .admit(ANN, None)
        .service(shadow("reviews"))
        .slice(
            "shop",
            "reviews-dev-base",
            ("http", 8080),
            &["10.0.0.1", "10.0.0.2"],
        )
        .slice("shop", "reviews-dev-base", ("metrics", 9090), &["10.0.0.1"])
}

fn addresses(text: &[&str]) -> BTreeSet<SocketAddr> {
    text.iter()
        .map(|address| address.parse().unwrap())
        .collect()
}

fn reviews(table: &Table) -> &RoutedPort {
    &table.services["reviews"].ports[&9080]
}

#[test]
fn a_routed_service_has_the_shadows_pods_and_the_environments_versions() {
    let world = world().service(own("shop-ann", "reviews", 9080)).slice(
        "shop-ann",
        "reviews",
        ("http", 8081),
        &["10.0.1.1"],
    );
    let (table, problems) = world.table();
    assert_eq!(problems, [] as [&str; 0]);
    assert_eq!(table.environments, BTreeSet::from(["ann".to_owned()]));
    let port = reviews(&table);
    assert_eq!((port.listener, port.protocol), (20000, Protocol::Http));
    assert_eq!(port.base, addresses(&["10.0.0.1:8080", "10.0.0.2:8080"]));
    let version = Override {
        namespace: "shop-ann".into(),
        endpoints: addresses(&["10.0.1.1:8081"]),
        fallback: false,
    };
    assert_eq!(
        port.overrides,
        BTreeMap::from([("ann".to_owned(), version)])
    );

    let metrics = &table.services["reviews"].ports[&9090];
    assert_eq!((metrics.listener, metrics.protocol), (20001, Protocol::Tcp));
    assert_eq!(metrics.base, addresses(&["10.0.0.1:9090"]));
    assert!(metrics.overrides.is_empty());
}

#[test]
fn who_is_not_admitted_or_only_an_alias_overrides_nothing() {
    let alias = with(
        own("shop-ann", "reviews", 9080),
        "/spec",
        "type",
        json!("ExternalName"),
    );
    let (table, problems) = world().service(alias).table();
    assert!(reviews(&table).overrides.is_empty());
    assert_eq!(problems, [] as [&str; 0]);

    // The labels say ann; the base does not.
    let mallory = with(
        own("mallory", "reviews", 9080),
        "/metadata",
        "labels",
        json!({labels::ENV: "ann", labels::BASE: "shop"}),
    );
    let (table, _) = world()
        .service(mallory)
        .slice("mallory", "reviews", ("http", 1), &["10.6.6.6"])
        .table();
    assert!(reviews(&table).overrides.is_empty());
}

#[test]
fn only_ready_pods_of_the_environments_own_namespace_count() {
    let mut foreign = slice(
        "shop-ann",
        "reviews",
        ("http", 80),
        &["10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4"],
    );
    let refs = [
        ("Pod", "shop-ann"),
        ("Pod", "shop-bob"),
        ("Node", "shop-ann"),
    ];
    for (endpoint, (kind, namespace)) in foreign.endpoints.iter_mut().zip(refs) {
        let target = endpoint.target_ref.as_mut().unwrap();
        target.kind = Some(kind.into());
        target.namespace = Some(namespace.into());
    }
    foreign.endpoints[3].target_ref = None;
    let mut unready = slice(
        "shop-ann",
        "reviews",
        ("http", 80),
        &["10.0.1.5", "10.0.1.6"],
    );
    unready.endpoints[0].conditions.as_mut().unwrap().ready = Some(false);
    unready.endpoints[1].conditions = None; // not said: ready
    let mut world = world()
        .service(own("shop-ann", "reviews", 9080))
        .slice("shop-ann", "reviews", ("other", 81), &["10.0.1.7"])
        .slice("shop-ann", "ratings", ("http", 80), &["10.0.1.8"]);
    world.slices.extend([foreign, unready]);
    let mut named = slice("shop-ann", "reviews", ("http", 80), &["10.0.1.9"]);
    named.address_type = "FQDN".into();
    world.slices.push(named);
    let (table, _) = world.table();
    assert_eq!(
        reviews(&table).overrides["ann"].endpoints,
        addresses(&["10.0.1.1:80", "10.0.1.6:80"])
    );
}

#[test]
fn an_environments_port_is_found_by_number_then_by_name() {
    for (port, expected) in [
        (json!([{"name": "web", "port": 9080}]), vec!["10.0.1.1:80"]),
        (
            json!([{"name": "http", "port": 80}, {"name": "web", "port": 9080}]),
            vec!["10.0.1.1:80"],
        ),
        (json!([{"name": "http", "port": 80}]), vec!["10.0.1.2:80"]),
        (
            json!([{"name": "http", "port": 9080, "protocol": "UDP"}]),
            vec![],
        ),
    ] {
        let (table, problems) = world()
            .service(with(
                own("shop-ann", "reviews", 1),
                "/spec",
                "ports",
                port.clone(),
            ))
            .slice("shop-ann", "reviews", ("web", 80), &["10.0.1.1"])
            .slice("shop-ann", "reviews", ("http", 80), &["10.0.1.2"])
            .table();
        assert_eq!(
            reviews(&table).overrides["ann"].endpoints,
            addresses(&expected),
            "{port}"
        );
        assert_eq!(problems.is_empty(), !expected.is_empty(), "{problems:?}");
    }
}

#[test]
fn fallback_is_asked_for_by_an_annotation() {
    let says = |value: &str| {
        with(
            own("shop-ann", "reviews", 9080),
            "/metadata",
            "annotations",
            json!({labels::FALLBACK: value}),
        )
    };
    let (table, problems) = world().service(says("base")).table();
    assert!(reviews(&table).overrides["ann"].fallback);
    assert_eq!(problems, [] as [&str; 0]);
    let (table, problems) = world().service(says("Base")).table();
    assert!(!reviews(&table).overrides["ann"].fallback);
    assert_eq!(
        problems,
        [
            "Service shop-ann/reviews: annotation dev/fallback: \"Base\" is not known, expected \"base\""
        ]
    );
}

#[test]
fn what_contradicts_itself_is_left_out_and_said() {
    let second = with(shadow("reviews"), "/metadata", "name", json!("reviews-x"));
    let taken = shadow("ratings");
    let broken = with(shadow("web"), "/metadata", "annotations", json!({}));
    let missing = with(
        shadow("details"),
        "/metadata",
        "annotations",
        json!({labels::PORTS: r#"{"1/TCP": 20007}"#}),
    );
    let (table, problems) = world()
        .service(second)
        .service(taken)
        .service(broken)
        .service(missing)
        .table();
    assert_eq!(
        problems,
        [
            "Service shop/details-dev-base: has no TCP port 1, for which it has a listener",
            "Service shop/reviews-dev-base: port 9080: listener port 20000 is taken by ratings, port 9080",
            "Service shop/reviews-dev-base: port 9090: listener port 20001 is taken by ratings, port 9090",
            "Service shop/reviews-x: is a second shadow of reviews; reviews-dev-base counts",
            "Service shop/web-dev-base: has no annotation dev/ports",
        ]
    );
    assert_eq!(table.services["ratings"].ports.len(), 2);
}

#[test]
fn of_two_with_one_listener_the_one_whose_requests_come_here_has_it() {
    let annotations = json!({labels::RESTORE: "[]"});
    let switched = with(
        own("shop", "reviews", 9080),
        "/metadata",
        "annotations",
        annotations,
    );
    let (table, problems) = world().service(switched).service(shadow("ratings")).table();
    assert_eq!(table.services["reviews"].ports.len(), 2);
    assert!(table.services["ratings"].ports.is_empty());
    assert_eq!(problems.len(), 2, "{problems:?}");
}

const EDGE: &str = r#"{"service": "web", "port": 80, "domain": "shop.localhost"}"#;

#[test]
fn the_entry_needs_no_routed_service() {
    let world = World::default()
        .admit(ANN, Some(EDGE))
        .service(own("shop", "web", 80))
        .slice("shop", "web", ("http", 8080), &["10.0.0.1"])
        .service(own("shop-ann", "web", 80))
        .slice("shop-ann", "web", ("http", 8080), &["10.0.1.1"]);
    let (table, problems) = world.table();
    assert_eq!(problems, [] as [&str; 0]);
    assert!(table.services.is_empty());
    let entry = table.edge.unwrap();
    assert_eq!(entry.base, addresses(&["10.0.0.1:8080"]));
    assert_eq!(
        entry.overrides["ann"].endpoints,
        addresses(&["10.0.1.1:8080"])
    );
}

#[test]
fn the_entry_never_leads_back_to_the_routers() {
    let routed = with(
        own("shop", "web", 80),
        "/metadata",
        "annotations",
        json!({labels::RESTORE: "[]"}),
    );
    let world = World::default()
        .admit("[]", Some(EDGE))
        .service(routed)
        .slice("shop", "web", ("http", 20000), &["10.0.0.9"]);
    let (table, problems) = world.table();
    assert_eq!(table.edge.unwrap().base, BTreeSet::new());
    assert_eq!(
        problems,
        ["the entry from outside, Service shop/web: is routed, but has no shadow"]
    );

    let shadow = json!({
        "metadata": {
            "namespace": "shop", "name": "web-dev-base", "labels": {labels::SHADOW: "web"},
            "annotations": {labels::PORTS: r#"{"80/TCP": 20000}"#},
        },
        "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    let world = world
        .service(shadow)
        .slice("shop", "web-dev-base", ("http", 8080), &["10.0.0.1"]);
    let (table, problems) = world.table();
    assert_eq!(table.edge.unwrap().base, addresses(&["10.0.0.1:8080"]));
    assert_eq!(problems, [] as [&str; 0]);
}

/// What may happen to a cluster.
#[derive(Clone, Debug)]
enum Event {
    Admission(Option<ConfigMap>),
    Service(Box<Service>),
    Slice(EndpointSlice),
    Gone(&'static str, &'static str),
}

fn events() -> impl Strategy<Value = Event> {
    let namespaces = || prop::sample::select(vec!["shop", "shop-ann", "shop-bob", "mallory"]);
    let names = || prop::sample::select(vec!["web", "reviews"]);
    let admission = prop::sample::subsequence(
        vec![
            json!({"namespace": "shop-ann", "env": "ann"}),
            json!({"namespace": "shop-bob", "env": "bob"}),
            json!({"namespace": "shop-bob", "env": "ann"}),
            json!({"namespace": "SHOP", "env": "x"}),
        ],
        0..4,
    )
    .prop_map(|entries| {
        let world = World::default().admit(&Value::from(entries).to_string(), Some(EDGE));
        Event::Admission(world.admission)
    });
    let shadowed = names().prop_map(|of| {
        let mut shadow = shadow(of);
        if of == "web" {
            shadow = with(
                shadow,
                "/metadata/annotations",
                labels::PORTS,
                json!(r#"{"9080/TCP": 20002}"#),
            );
        }
        Event::Service(Box::new(read(shadow)))
    });
    let kind = prop::sample::select(vec!["ClusterIP", "ExternalName"]);
    let service =
        (namespaces(), names(), kind, any::<bool>()).prop_map(|(namespace, name, kind, http)| {
            let port = if http { 9080 } else { 80 };
            let service = with(own(namespace, name, port), "/spec", "type", json!(kind));
            Event::Service(Box::new(read(service)))
        });
    let slice = (
        namespaces(),
        prop::sample::select(vec!["web", "reviews", "web-dev-base", "reviews-dev-base"]),
        prop::sample::subsequence(vec!["10.0.0.1", "10.0.0.2", "10.0.0.3"], 0..3),
        any::<bool>(),
    )
        .prop_map(|(namespace, service, addresses, ready)| {
            let mut slice = slice(namespace, service, ("http", 8080), &addresses);
            slice.metadata.name = Some(format!("{service}-1"));
            for endpoint in &mut slice.endpoints {
                endpoint.conditions.as_mut().unwrap().ready = Some(ready);
            }
            Event::Slice(slice)
        });
    let gone = (namespaces(), names()).prop_map(|(namespace, name)| Event::Gone(namespace, name));
    prop_oneof![
        1 => Just(Event::Admission(None)),
        2 => admission,
        2 => shadowed,
        4 => service,
        4 => slice,
        2 => gone,
    ]
}

impl World {
    fn happens(&mut self, event: &Event) {
        match event {
            Event::Admission(map) => self.admission.clone_from(map),
            Event::Service(service) => {
                self.services
                    .retain(|it| id(&it.metadata) != id(&service.metadata));
                self.services.push((**service).clone());
            }
            Event::Slice(slice) => {
                self.slices
                    .retain(|it| id(&it.metadata) != id(&slice.metadata));
                self.slices.push(slice.clone());
            }
            Event::Gone(namespace, name) => {
                let of = Some(((*namespace).to_owned(), (*name).to_owned()));
                self.services.retain(|it| id(&it.metadata) != of);
            }
        }
    }
}

fn id(of: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Option<(String, String)> {
    Some((of.namespace.clone()?, of.name.clone()?))
}

proptest! {
    /// Whatever happened on the way, and in whatever order it is told: equal objects, equal table, equal resources.
    #[test]
    fn the_table_depends_on_the_objects_only(
        events in prop::collection::vec(events(), 0..40),
        order in any::<prop::sample::Index>(),
    ) {
        let mut world = World::default();
        let (mut before, mut kept) = (Table::default(), Snapshot::default());
        for event in &events {
            world.happens(event);
            let (now, _) = world.table();
            envoy::update(&mut kept, &before, &now);
            before = now;
        }
        let mut other = world.clone();
        other.services.reverse();
        if !other.slices.is_empty() {
            let by = order.index(other.slices.len());
            other.slices.rotate_left(by);
        }
        prop_assert_eq!(world.table(), other.table());
        prop_assert_eq!(kept, envoy::snapshot(&other.table().0));
    }

    /// An environment is there by the base's word only, and never without a version of its own.
    #[test]
    fn nobody_routes_without_admission(events in prop::collection::vec(events(), 0..40)) {
        let mut world = World::default();
        for event in &events {
            world.happens(event);
        }
        let (table, _) = world.table();
        let ports = table.services.values().flat_map(|service| service.ports.values());
        let edge = table.edge.iter().map(|entry| &entry.overrides);
        for overrides in ports.map(|port| &port.overrides).chain(edge) {
            for (env, version) in overrides {
                prop_assert!(table.environments.contains(env));
                prop_assert_ne!(&version.namespace, "mallory");
                prop_assert_ne!(&version.namespace, "shop");
            }
        }
    }
}

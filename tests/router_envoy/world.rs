//! The application under test: `reviews` (HTTP) and `redis` (TCP) with these environments:
//!
//! | environment | its `reviews` |
//! |---|---|
//! | `ann` | is ready |
//! | `bob` | has nothing ready |
//! | `cat` | has nothing ready, and lets the base answer |
//! | `dan` | none of its own |

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use dev::router::envoy::Options;
use dev::router::model::{Edge, Entry, Override, Protocol, RoutedPort, RoutedService, Table};

use crate::support::backend::{Backend, Greeter};
use crate::support::envoy::{Envoy, ask, free_port, loopback, program};

/// The Service port of `reviews`.
pub const PORT: u16 = 9080;
/// The domain of the entry from outside.
pub const DOMAIN: &str = "shop.localhost";

/// The application, with an Envoy in front of it.
pub struct World {
    pub envoy: Envoy,
    pub base: Backend,
    pub ann: Backend,
    /// Where Envoy listens for `reviews`.
    pub reviews: SocketAddr,
    /// Where Envoy listens for `redis`.
    pub redis: SocketAddr,
    /// Behind it.
    pub store: Greeter,
}

impl World {
    /// Starts it; `None` without Envoy.
    pub async fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &Options::default()).await
    }

    /// The same, with a configuration that is made with these options.
    pub async fn start_with(test: &str, options: &Options) -> Option<Self> {
        let program = program(test)?;
        let (base, ann) = (Backend::start("base").await, Backend::start("ann").await);
        let redis = Greeter::start().await;
        let table = table(
            free_port().await,
            free_port().await,
            base.address,
            ann.address,
            redis.address,
        );
        let envoy = Envoy::start_with(options, &program, &table).await;
        let listener = |service: &str| {
            let ports = &table.services[service].ports;
            loopback(ports.values().next().unwrap().listener)
        };
        Some(Self {
            envoy,
            base,
            ann,
            reviews: listener("reviews"),
            redis: listener("redis"),
            store: redis,
        })
    }

    /// A GET of `reviews` with these header lines: which version answered, and the response's head.
    pub async fn get(&self, headers: &str) -> (String, String) {
        let request = format!("GET / HTTP/1.1\r\nHost: reviews\r\n{headers}\r\n");
        let (head, body) = ask(self.reviews, &request).await;
        (body, head)
    }
}

/// The table with these listener ports and endpoints.
pub fn table(
    reviews: u16,
    redis: u16,
    base: SocketAddr,
    ann: SocketAddr,
    store: SocketAddr,
) -> Table {
    let overrides = overrides(ann);
    let port = RoutedPort {
        listener: reviews,
        protocol: Protocol::Http,
        base: BTreeSet::from([base]),
        overrides: overrides.clone(),
    };
    let tcp = RoutedPort {
        listener: redis,
        protocol: Protocol::Tcp,
        base: BTreeSet::from([store]),
        overrides: BTreeMap::new(),
    };
    let service = |number: u16, port: RoutedPort| RoutedService {
        ports: BTreeMap::from([(number, port)]),
    };
    Table {
        base: "shop".into(),
        services: BTreeMap::from([
            ("reviews".into(), service(PORT, port)),
            ("redis".into(), service(6379, tcp)),
        ]),
        environments: ["ann", "bob", "cat", "dan"].map(Into::into).into(),
        edge: Some(Entry {
            edge: Edge {
                service: "reviews".into(),
                port: PORT,
                domain: DOMAIN.into(),
            },
            base: BTreeSet::from([base]),
            overrides,
        }),
    }
}

/// The versions of `reviews`.
pub fn overrides(ann: SocketAddr) -> BTreeMap<String, Override> {
    let version = |env: &str, endpoints: &[SocketAddr]| Override {
        namespace: format!("shop-{env}"),
        endpoints: endpoints.iter().copied().collect(),
        fallback: env == "cat",
    };
    [("ann", &[ann][..]), ("bob", &[]), ("cat", &[])]
        .into_iter()
        .map(|(env, endpoints)| (env.to_owned(), version(env, endpoints)))
        .collect()
}

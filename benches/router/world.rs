//! Tables of a base with many environments, and the objects that they come from.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use dev::router::endpoints::SERVICE_NAME;
use dev::router::model::{Override, Protocol, RoutedPort, RoutedService, Table};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The port of each Service.
pub const PORT: u16 = 80;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Routed Services of the base.
    pub services: usize,
    /// Admitted environments.
    pub environments: usize,
    /// Versions that each of them has of its own.
    pub each: usize,
}

impl Size {
    /// The environment of this number.
    pub fn environment(number: usize) -> String {
        format!("env-{number:04}")
    }

    /// The Service of this number.
    pub fn service(number: usize) -> String {
        format!("service-{number:02}")
    }

    /// The numbers of the Services of which an environment has its own version.
    pub fn overridden(self, environment: usize) -> impl Iterator<Item = usize> {
        (0..self.each).map(move |nth| (environment * self.each + nth) % self.services)
    }

    /// As arguments of a process.
    pub fn to_args(self) -> [String; 3] {
        [self.services, self.environments, self.each].map(|number| number.to_string())
    }
}

/// The table, with a listener on each of these ports, and this address as every pod.
pub fn table(size: Size, listeners: &[u16], pod: SocketAddr) -> Table {
    let mut services: Vec<RoutedPort> = listeners
        .iter()
        .map(|listener| RoutedPort {
            listener: *listener,
            protocol: Protocol::Http,
            base: [pod].into(),
            overrides: BTreeMap::new(),
        })
        .collect();
    for number in 0..size.environments {
        for service in size.overridden(number) {
            let env = Size::environment(number);
            let version = Override {
                namespace: format!("shop-{env}"),
                endpoints: [pod].into(),
                fallback: false,
            };
            services[service].overrides.insert(env, version);
        }
    }
    let services = services.into_iter().enumerate().map(|(number, port)| {
        let ports = [(PORT, port)].into();
        (Size::service(number), RoutedService { ports })
    });
    Table {
        base: "shop".to_owned(),
        services: services.collect(),
        environments: (0..size.environments).map(Size::environment).collect(),
        edge: None,
    }
}

/// So many ports that nobody listens on, below those that outgoing connections take.
pub fn free_ports(count: usize) -> Vec<u16> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    let found: Vec<u16> = (20_000..32_000).filter(free).take(count).collect();
    assert_eq!(found.len(), count, "too few free ports");
    found
}

/// The objects that such a table comes from.
pub struct Owned {
    /// Which environments are admitted.
    pub admission: ConfigMap,
    /// Shadows and the environments' own.
    pub services: Vec<Service>,
    /// One for each of them.
    pub slices: Vec<EndpointSlice>,
}

/// Makes them.
pub fn objects(size: Size) -> Owned {
    let admitted: Vec<Value> = (0..size.environments)
        .map(Size::environment)
        .map(|env| json!({"namespace": format!("shop-{env}"), "env": env}))
        .collect();
    let mut owned = Owned {
        admission: read(json!({"data": {"environments": json!(admitted).to_string()}})),
        services: Vec::new(),
        slices: Vec::new(),
    };
    for number in 0..size.services {
        let service = Size::service(number);
        let shadow = format!("{service}-dev-base");
        let ports = json!({format!("{PORT}/TCP"): 20000 + number}).to_string();
        owned.services.push(read(json!({
            "metadata": {
                "namespace": "shop", "name": shadow, "labels": {"dev/shadow": service},
                "annotations": {"dev/ports": ports},
            },
            "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": PORT}]},
        })));
        owned.slices.push(slice("shop", &shadow));
    }
    for number in 0..size.environments {
        let namespace = format!("shop-{}", Size::environment(number));
        for service in size.overridden(number).map(Size::service) {
            owned.slices.push(slice(&namespace, &service));
            owned.services.push(read(json!({
                "metadata": {"namespace": namespace, "name": service},
                "spec": {"ports": [{"name": "http", "port": PORT}]},
            })));
        }
    }
    owned
}

fn slice(namespace: &str, service: &str) -> EndpointSlice {
    read(json!({
        "metadata": {
            "namespace": namespace, "name": format!("{service}-x"), "labels": {SERVICE_NAME: service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": "x"},
        }],
    }))
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object of this type")
}

//! The route table: values that `table` derives from the cluster's objects and `envoy` turns into Envoy's resources.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The name of an environment as requests carry it: a DNS label (RFC 1123).
pub type Env = String;

/// Everything that the routers of one base serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The base's namespace.
    pub base: String,
    /// The base's Services that have listeners, by name.
    pub services: BTreeMap<String, RoutedService>,
    /// Every environment that the base admits, whether it overrides anything or not.
    pub environments: BTreeSet<Env>,
    /// Where requests from outside come in.
    pub edge: Option<Entry>,
}

/// A Service of the base with listeners on the routers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutedService {
    /// Its ports, by the Service's port number.
    pub ports: BTreeMap<u16, RoutedPort>,
}

/// One port of a routed Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutedPort {
    /// The port that the routers listen on.
    pub listener: u16,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The ready addresses of the base's pods.
    pub base: BTreeSet<SocketAddr>,
    /// The environments' own versions. Always empty for [`Protocol::Tcp`].
    pub overrides: BTreeMap<Env, Override>,
}

/// What a port speaks, as far as routing is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, HTTP/2 without TLS (gRPC too), WebSocket: requests can be told apart by a header.
    Http,
    /// Anything else: passed through to the base, byte by byte.
    Tcp,
}

/// An environment's version of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The environment's namespace.
    pub namespace: String,
    /// The ready addresses of its pods; none: requests get 503, or the base's answer with `fallback`.
    pub endpoints: BTreeSet<SocketAddr>,
    /// Whether the base answers while nothing is ready.
    pub fallback: bool,
}

/// The entry for requests from outside, with the versions of its service. That one need not be routed inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// As it is configured.
    pub edge: Edge,
    /// The ready addresses of the base's pods.
    pub base: BTreeSet<SocketAddr>,
    /// The environments' own versions.
    pub overrides: BTreeMap<Env, Override>,
}

/// The configuration of the entry for requests from outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The Service of the base that requests go to.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// `<env>.<domain>` reaches the environment, `<domain>` the base.
    pub domain: String,
}

/// Something in the cluster's objects that is left out of the table, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// The object: `ConfigMap dev-admission`.
    pub about: String,
    /// One sentence without a full stop.
    pub what: String,
}

impl Problem {
    /// A problem of this object.
    pub fn new(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            about: about.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.about, self.what)
    }
}

//! Envoy's generic matcher on the header `x-dev-env`: an exact-match map from environments to routes.
//!
//! The messages are declared again because prost keeps a map in an order that differs from run to run, while equal
//! tables must give equal bytes. Field numbers are those of `xds/type/matcher/v3/matcher.proto` and
//! `envoy/config/route/v3/route_components.proto`.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::route::v3::{Route, RouteConfiguration, VirtualHost};
use envoy_types::pb::envoy::r#type::matcher::v3::HttpRequestHeaderMatchInput;
use envoy_types::pb::xds::core::v3::TypedExtensionConfig;
use prost::{Message, Oneof};

use super::snapshot::Resource;
use super::wrap::any;
use crate::router::baggage::HEADER;
use crate::router::model::Env;

/// What a request is routed by.
pub(super) struct Choice<'a> {
    /// Requests with the header, by its value.
    pub(super) environments: BTreeMap<&'a Env, Route>,
    /// Requests with another value.
    pub(super) other: Route,
    /// Requests without the header.
    pub(super) none: Route,
}

#[derive(Clone, PartialEq, Message)]
struct Matcher {
    #[prost(message, optional, tag = "2")]
    tree: Option<Tree>,
    #[prost(message, optional, boxed, tag = "3")]
    on_no_match: Option<Box<OnMatch>>,
}

#[derive(Clone, PartialEq, Message)]
struct OnMatch {
    #[prost(oneof = "Then", tags = "1, 2")]
    then: Option<Then>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Then {
    #[prost(message, boxed, tag = "1")]
    Matcher(Box<Matcher>),
    #[prost(message, tag = "2")]
    Action(TypedExtensionConfig),
}

#[derive(Clone, PartialEq, Message)]
struct Tree {
    #[prost(message, optional, tag = "1")]
    input: Option<TypedExtensionConfig>,
    #[prost(message, optional, tag = "2")]
    exact: Option<Map>,
    #[prost(message, optional, tag = "3")]
    prefix: Option<Map>,
}

#[derive(Clone, PartialEq, Message)]
struct Map {
    #[prost(btree_map = "string, message", tag = "1")]
    map: BTreeMap<String, OnMatch>,
}

/// The end of a `VirtualHost`.
#[derive(Clone, PartialEq, Message)]
struct Host {
    #[prost(message, optional, tag = "21")]
    matcher: Option<Matcher>,
}

/// The end of a `RouteConfiguration`. Messages inside a message are written as bytes are.
#[derive(Clone, PartialEq, Message)]
struct Hosts {
    #[prost(bytes = "vec", repeated, tag = "2")]
    virtual_hosts: Vec<Vec<u8>>,
}

/// A route configuration whose only virtual host, this one, takes the choice. Encoded messages that are put one after the
/// other are merged by whoever reads them.
pub(super) fn resource(
    configuration: &RouteConfiguration,
    host: &VirtualHost,
    choice: &Choice<'_>,
) -> Resource {
    let mut host = host.encode_to_vec();
    let tail = Host {
        matcher: Some(matcher(choice)),
    };
    host.extend(tail.encode_to_vec());
    let mut bytes = configuration.encode_to_vec();
    let tail = Hosts {
        virtual_hosts: vec![host],
    };
    bytes.extend(tail.encode_to_vec());
    Resource::encoded::<RouteConfiguration>(bytes)
}

fn matcher(choice: &Choice<'_>) -> Matcher {
    let map = choice
        .environments
        .iter()
        .map(|(env, route)| ((*env).clone(), to(route)))
        .collect();
    // Every value begins with nothing: this asks whether the header is there.
    let present = Matcher {
        tree: Some(Tree {
            input: Some(header()),
            prefix: Some(Map {
                map: BTreeMap::from([(String::new(), to(&choice.other))]),
            }),
            ..Tree::default()
        }),
        on_no_match: Some(Box::new(to(&choice.none))),
    };
    if choice.environments.is_empty() {
        return present;
    }
    Matcher {
        tree: Some(Tree {
            input: Some(header()),
            exact: Some(Map { map }),
            ..Tree::default()
        }),
        on_no_match: Some(Box::new(OnMatch {
            then: Some(Then::Matcher(Box::new(present))),
        })),
    }
}

fn to(route: &Route) -> OnMatch {
    OnMatch {
        then: Some(Then::Action(TypedExtensionConfig {
            name: "route".to_owned(),
            typed_config: Some(any(route)),
        })),
    }
}

fn header() -> TypedExtensionConfig {
    TypedExtensionConfig {
        name: "header".to_owned(),
        typed_config: Some(any(&HttpRequestHeaderMatchInput {
            header_name: HEADER.to_owned(),
        })),
    }
}

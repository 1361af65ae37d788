//! Route configurations: from the environment that a request asks for to a cluster.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::SubstitutionFormatString;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::config::route::v3::retry_policy::{
    RetryHostPredicate, retry_host_predicate,
};
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{
    DirectResponseAction, RetryPolicy, Route, RouteAction, RouteConfiguration, RouteMatch,
    VirtualHost,
};
use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;

use super::http::{FORWARDED_PROTO, set};
use super::matcher::{self, Choice};
use super::names;
use super::snapshot::Resource;
use super::wrap::{OFF, any, number, text};
use crate::manifest::labels::BASE_VERSION;
use crate::router::model::{Env, Override};

/// The response header that says which version answered, for requests with an environment only.
pub const ROUTE_HEADER: &str = "x-dev-route";

/// Nothing has reached a pod when one of these happens, so that another one may be asked. A response with an error is
/// never asked for again: it would hide the error.
const RETRY_ON: &str = "connect-failure,refused-stream,reset-before-request";
/// How often a pod other than the one that failed is looked for, before any will do.
const OTHER_PODS: i64 = 5;

const UNAVAILABLE: u32 = 503;

/// The routes of a port of a Service inside.
pub(super) fn of_service(
    service: &str,
    port: u16,
    overrides: &BTreeMap<Env, Override>,
) -> Resource {
    let base = to_cluster(names::base(service, port));
    let choice = Choice {
        environments: environments(service, port, overrides),
        other: answered_by(base.clone(), service, BASE_VERSION),
        none: base,
    };
    resource(&names::service(service, port), &choice)
}

/// The routes of the environments that override a port of a Service.
pub(super) fn environments<'a>(
    service: &str,
    port: u16,
    overrides: &'a BTreeMap<Env, Override>,
) -> BTreeMap<&'a Env, Route> {
    let route = |(env, version): (&'a Env, &'a Override)| {
        let (route, version) = if !version.endpoints.is_empty() {
            let cluster = names::environment(env, service, port);
            (to_cluster(cluster), env.as_str())
        } else if version.fallback {
            (to_cluster(names::base(service, port)), BASE_VERSION)
        } else {
            (refused(nothing_ready(env, service, version)), env.as_str())
        };
        (env, answered_by(route, service, version))
    };
    overrides.iter().map(route).collect()
}

/// A configuration with this choice.
pub(super) fn resource(name: &str, choice: &Choice<'_>) -> Resource {
    let configuration = RouteConfiguration {
        name: name.to_owned(),
        // Evaluated after the virtual host's.
        request_headers_to_remove: vec![FORWARDED_PROTO.to_owned()],
        ..RouteConfiguration::default()
    };
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    let host = VirtualHost {
        name: name.to_owned(),
        domains: vec!["*".to_owned()],
        request_headers_to_remove: vec!["x-forwarded-proto".to_owned()],
        request_headers_to_add: vec![set(
            "x-forwarded-proto",
            &format!("%REQ({FORWARDED_PROTO})%"),
        )],
        retry_policy: Some(RetryPolicy {
            retry_on: RETRY_ON.to_owned(),
            num_retries: number(1),
            retry_host_predicate: vec![RetryHostPredicate {
                name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
                config_type: Some(retry_host_predicate::ConfigType::TypedConfig(any(
                    &PreviousHostsPredicate {},
                ))),
            }],
            host_selection_retry_max_attempts: OTHER_PODS,
            ..RetryPolicy::default()
        }),
        ..VirtualHost::default()
    };
    matcher::resource(&configuration, &host, choice)
}

/// All paths, to a cluster, without a time limit.
pub(super) fn to_cluster(name: String) -> Route {
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    let action = RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(name)),
        timeout: OFF,
        ..RouteAction::default()
    };
    route(Action::Route(action))
}

/// Answers 503 itself. `%` begins a command of Envoy's formatter.
pub(super) fn refused(why: String) -> Route {
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    let body = SubstitutionFormatString {
        content_type: "text/plain".to_owned(),
        format: Some(Format::TextFormatSource(text(why).unwrap_or_default())),
        ..SubstitutionFormatString::default()
    };
    route(Action::DirectResponse(DirectResponseAction {
        status: UNAVAILABLE,
        body_format: Some(body),
        ..DirectResponseAction::default()
    }))
}

/// With the header that says which version answered.
pub(super) fn answered_by(mut route: Route, service: &str, version: &str) -> Route {
    route
        .response_headers_to_add
        .push(set(ROUTE_HEADER, &format!("{service}={version}")));
    route
}

fn route(action: Action) -> Route {
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix(String::new())),
            ..RouteMatch::default()
        }),
        action: Some(action),
        ..Route::default()
    }
}

fn nothing_ready(env: &str, service: &str, version: &Override) -> String {
    let namespace = &version.namespace;
    format!(
        "dev: environment {env} has its own {service}, of which nothing is ready: no endpoints of Service {namespace}/{service}\n"
    )
}

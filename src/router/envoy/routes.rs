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
use super::snapshot::Resource;
use super::wrap::{OFF, any, number, text};
use super::{names, tracing};
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

/// How requests with an environment are led to the versions of a port of a Service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leads<'a> {
    pub(super) service: &'a str,
    pub(super) port: u16,
    /// Whether they are reported to a collector on their way.
    pub(super) traced: bool,
}

impl Leads<'_> {
    /// To the base.
    pub(super) fn to_base(self) -> Route {
        self.to(names::base(self.service, self.port), BASE_VERSION)
    }

    fn to(self, cluster: String, version: &str) -> Route {
        let answer = self.answer(version);
        let route = match self.traced {
            true => tracing::through(&cluster, &answer),
            false => to_cluster(cluster),
        };
        answered(route, answer)
    }

    /// Answers 503 in the name of a version.
    pub(super) fn refused(self, why: String, version: &str) -> Route {
        answered(refused(why), self.answer(version))
    }

    fn answer(self, version: &str) -> String {
        format!("{}={version}", self.service)
    }

    /// The routes of the environments that have versions of their own.
    pub(super) fn environments(self, overrides: &BTreeMap<Env, Override>) -> BTreeMap<&Env, Route> {
        let route = |(env, version): (&'_ Env, &'_ Override)| {
            if !version.endpoints.is_empty() {
                self.to(names::environment(env, self.service, self.port), env)
            } else if version.fallback {
                self.to_base()
            } else {
                self.refused(nothing_ready(env, self.service, version), env)
            }
        };
        overrides
            .iter()
            .map(|(env, version)| (env, route((env, version))))
            .collect()
    }
}

/// The routes of a port of a Service inside.
pub(super) fn of_service(leads: Leads<'_>, overrides: &BTreeMap<Env, Override>) -> Resource {
    let choice = Choice {
        environments: leads.environments(overrides),
        other: leads.to_base(),
        none: to_cluster(names::base(leads.service, leads.port)),
    };
    resource(&names::service(leads.service, leads.port), &choice)
}

/// A configuration with this choice.
pub(super) fn resource(name: &str, choice: &Choice<'_>) -> Resource {
    matcher::resource(&configuration(name), &host(name), choice)
}

/// A configuration without routes.
pub(super) fn configuration(name: &str) -> RouteConfiguration {
    RouteConfiguration {
        name: name.to_owned(),
        // Evaluated after the virtual host's.
        request_headers_to_remove: vec![FORWARDED_PROTO.to_owned()],
        ..RouteConfiguration::default()
    }
}

/// The one virtual host, without routes.
pub(super) fn host(name: &str) -> VirtualHost {
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    VirtualHost {
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
    }
}

/// All paths, to a cluster, without a time limit.
pub(super) fn to_cluster(name: String) -> Route {
    to(ClusterSpecifier::Cluster(name))
}

/// All paths, without a time limit.
pub(super) fn to(cluster: ClusterSpecifier) -> Route {
    #[allow(deprecated, reason = "messages are filled up with their defaults")]
    let action = RouteAction {
        cluster_specifier: Some(cluster),
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

/// With the header that says which version answered, and that as the route's name for the log of requests.
fn answered(mut route: Route, answer: String) -> Route {
    route
        .response_headers_to_add
        .push(set(ROUTE_HEADER, &answer));
    route.name = answer;
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

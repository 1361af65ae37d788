//! What Envoy is started with: where everything else comes from, the readiness that Envoy answers itself, and which
//! statistics are kept.

use std::path::Path;

use serde_json::{Value, json};

use super::names;
use super::snapshot::Families;

/// The port on which Envoy itself says that it is ready: a dead link or API server makes no pod unready.
pub const READY_PORT: u16 = 15021;
/// The path of the readiness probe.
pub const READY_PATH: &str = "/ready";

/// The extension by which listeners inside of Envoy work.
pub(super) const INTERNAL_LISTENER: &str = "envoy.bootstrap.internal_listener";

/// Statistics of clusters that are read: all others would cost memory for each environment. What is made of them is in
/// `router/run/traffic`. The statuses of gRPC are those of a server that failed.
const CLUSTER_STATS: &str =
    r"^cluster\.(base|env)\|[^.]*\.(upstream_rq_(completed|5xx|time)|grpc\.(2|4|12|13|14|15))$";
/// Statistics of the listeners and of Envoy as a whole.
const OTHER_STATS: [&str; 6] = [
    "server.",
    "listener_manager.",
    "cluster_manager.",
    "control_plane.",
    "main_thread.watchdog",
    "workers.watchdog",
];
/// What says whether anybody is still connected, for the drain.
const LISTENER_STATS: &str = r"^listener\.[^.]*\.downstream_cx_(active|total)$";

/// Where a router's Envoy finds its link.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap<'a> {
    /// The pod's name.
    pub node: &'a str,
    /// The base's namespace.
    pub base: &'a str,
    /// The Unix socket of the link's ADS server.
    pub ads: &'a Path,
    /// The Unix socket that Envoy's admin interface listens on.
    pub admin: &'a Path,
    /// What readiness is answered on.
    pub families: Families,
}

/// The bootstrap as JSON.
pub fn bootstrap(of: &Bootstrap<'_>) -> Value {
    // Without a first configuration nothing is served, so that no pod is ready before the link has synced.
    let by_ads = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
    json!({
        "node": {"id": of.node, "cluster": of.base},
        "admin": {"address": {"pipe": {"path": of.admin, "mode": 0o600}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {
                    "cluster_name": names::LINK,
                    // A link that was ended is back in less than a second.
                    "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}},
                }}],
            },
            "cds_config": by_ads,
            "lds_config": by_ads,
        },
        "static_resources": {"listeners": [ready(of.families)], "clusters": [ads(of.ads)]},
        "bootstrap_extensions": [{
            "name": INTERNAL_LISTENER,
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"},
        }],
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": stats()}}},
        "deferred_stat_options": {"enable_deferred_creation_stats": true},
        "layered_runtime": {"layers": [{"name": "ours", "static_layer": runtime()}]},
    })
}

fn ads(socket: &Path) -> Value {
    json!({
        "name": names::LINK,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        },
        "load_assignment": {
            "cluster_name": names::LINK,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": socket}}}}]}],
        },
    })
}

/// Answers 200, or 503 from `POST /healthcheck/fail` on.
fn ready(families: Families) -> Value {
    json!({
        "name": "ready",
        // With a dot, unlike those of listeners that clients use: who probes is none.
        "stat_prefix": "probes.ready",
        "address": {"socket_address": {
            "address": families.any(), "ipv4_compat": families.ipv4_compat(), "port_value": READY_PORT,
        }},
        // Probes go on while the other listeners drain.
        "drain_type": "MODIFY_ONLY",
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "ready",
                "http_filters": [
                    {
                        "name": "envoy.filters.http.health_check",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
                            "pass_through_mode": false,
                            "headers": [{"name": ":path", "string_match": {"exact": READY_PATH}}],
                        },
                    },
                    {
                        "name": "envoy.filters.http.router",
                        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                    },
                ],
                "route_config": {"virtual_hosts": [{"name": "none", "domains": ["*"]}]},
            },
        }]}],
    })
}

fn stats() -> Vec<Value> {
    let regex = |regex: &str| json!({"safe_regex": {"regex": regex}});
    let mut patterns = vec![regex(CLUSTER_STATS), regex(LISTENER_STATS)];
    patterns.extend(OTHER_STATS.map(|prefix| json!({"prefix": prefix})));
    patterns
}

/// Envoy's defences against strangers, which cannot tell an attack from a busy client that takes its requests back, as gRPC
/// clients with short deadlines do: the connection with all its other streams would be closed.
fn runtime() -> Value {
    json!({
        "overload": {
            "premature_reset_total_stream_count": u32::MAX,
            "premature_reset_min_stream_lifetime_seconds": 0,
        },
    })
}

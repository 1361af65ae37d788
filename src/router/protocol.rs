//! What a Service port speaks: its `appProtocol`, else the prefix of its name, by the convention that service meshes use.
//!
//! A port that does not say HTTP is passed through byte by byte. Nothing is guessed from the first bytes: of protocols
//! in which the server speaks first (MySQL, SMTP) there are none.

use k8s_openapi::api::core::v1::ServicePort;

use crate::router::model::Protocol;

/// Values of `appProtocol` in which requests can be told apart by a header: names of the convention, and those that
/// Kubernetes defines (KEP-3726).
const HTTP: [&str; 8] = [
    "http",
    "http2",
    "h2c",
    "grpc",
    "grpc-web",
    "ws",
    "kubernetes.io/h2c",
    "kubernetes.io/ws",
];

/// Prefixes of port names, the whole name or followed by `-`.
const NAMES: [&str; 5] = ["http", "http2", "h2c", "grpc", "ws"];

/// What the port speaks; `None` for UDP and SCTP, which are not routed at all.
pub fn spoken(port: &ServicePort) -> Option<Protocol> {
    if !is_tcp(port.protocol.as_deref()) {
        return None;
    }
    let http = match port.app_protocol.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => HTTP.contains(&name.to_ascii_lowercase().as_str()),
        None => named_http(port.name.as_deref().unwrap_or_default()),
    };
    Some(if http { Protocol::Http } else { Protocol::Tcp })
}

/// Whether a transport protocol, as Services and EndpointSlices write it, is TCP.
pub fn is_tcp(protocol: Option<&str>) -> bool {
    protocol.is_none_or(|protocol| protocol == "TCP")
}

fn named_http(name: &str) -> bool {
    NAMES.iter().any(|prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(protocol: &str, app_protocol: &str, name: &str) -> Option<Protocol> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        spoken(&ServicePort {
            protocol: some(protocol),
            app_protocol: some(app_protocol),
            name: some(name),
            port: 80,
            ..ServicePort::default()
        })
    }

    #[test]
    fn app_protocol_comes_before_the_name() {
        for http in HTTP {
            assert_eq!(port("", http, "redis"), Some(Protocol::Http), "{http}");
        }
        assert_eq!(port("TCP", "HTTP", ""), Some(Protocol::Http));
        for tcp in [
            "https",
            "tls",
            "redis",
            "mysql",
            "mongo",
            "tcp",
            "kubernetes.io/wss",
            "example.com/http",
        ] {
            assert_eq!(port("TCP", tcp, "http"), Some(Protocol::Tcp), "{tcp}");
        }
    }

    #[test]
    fn names_count_by_their_prefix() {
        for http in [
            "http",
            "http-web",
            "http2",
            "http2-x",
            "grpc",
            "grpc-web",
            "grpc-web-x",
            "h2c",
            "ws",
            "ws-live",
        ] {
            assert_eq!(port("", "", http), Some(Protocol::Http), "{http}");
        }
        for tcp in [
            "",
            "https",
            "https-web",
            "httpd",
            "web",
            "web-http",
            "redis",
            "wss",
            "tcp-http",
        ] {
            assert_eq!(port("", "", tcp), Some(Protocol::Tcp), "{tcp}");
        }
    }

    #[test]
    fn only_tcp_is_routed() {
        assert_eq!(port("UDP", "http", "http"), None);
        assert_eq!(port("SCTP", "", "http"), None);
    }
}

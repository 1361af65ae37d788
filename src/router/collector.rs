//! Where the routers report requests with an environment to: a collector of OpenTelemetry or Zipkin.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::manifest::names::is_label;

/// A collector of spans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collector {
    /// How it is spoken to.
    pub protocol: Spans,
    /// Its name in the DNS, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spans {
    /// OpenTelemetry's protocol over gRPC without TLS, as collectors take it on port 4317.
    Otlp,
    /// Zipkin's JSON over HTTP (`POST /api/v2/spans`), as it takes it on port 9411.
    Zipkin,
}

impl Spans {
    /// The port of such collectors.
    pub fn usual_port(self) -> u16 {
        match self {
            Self::Otlp => 4317,
            Self::Zipkin => 9411,
        }
    }

    /// The flag that names one.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Otlp => "--otlp",
            Self::Zipkin => "--zipkin",
        }
    }
}

impl Collector {
    /// Reads `HOST` or `HOST:PORT`; an IPv6 address with a port stands in brackets. The error is one sentence.
    pub fn parse(protocol: Spans, text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "{text:?}: {what}, expected HOST[:PORT] such as collector.observability:{}",
                protocol.usual_port()
            )
        };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(|| wrong("] is missing"))?;
                host.parse::<Ipv6Addr>()
                    .map_err(|_| wrong("no IPv6 address between [ and ]"))?;
                let port = match rest {
                    "" => None,
                    rest => Some(
                        rest.strip_prefix(':')
                            .ok_or_else(|| wrong("no port after ]"))?,
                    ),
                };
                (host, port)
            }
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            None => protocol.usual_port(),
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                Ok(_) | Err(_) => return Err(wrong("no port after the colon")),
            },
        };
        if host.parse::<IpAddr>().is_err() && !host.split('.').all(is_label) {
            return Err(wrong("no host name and no address"));
        }
        Ok(Self {
            protocol,
            host: host.to_owned(),
            port,
        })
    }

    /// The arguments by which a router is told.
    pub fn args(&self) -> [String; 2] {
        [self.protocol.flag().to_owned(), self.to_string()]
    }

    /// The address, where it is one and no name.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        match self.address() {
            Some(IpAddr::V6(_)) => write!(f, "[{host}]:{port}"),
            Some(IpAddr::V4(_)) | None => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        Collector::parse(Spans::Otlp, text).map(|it| it.to_string())
    }

    #[test]
    fn hosts_addresses_and_ports_are_read() {
        for (text, expected) in [
            ("collector", "collector:4317"),
            ("otel.observability.svc:4000", "otel.observability.svc:4000"),
            ("10.0.0.1", "10.0.0.1:4317"),
            ("fd00::1", "[fd00::1]:4317"),
            ("[fd00::1]:9", "[fd00::1]:9"),
            ("[fd00::1]", "[fd00::1]:4317"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(
            Collector::parse(Spans::Zipkin, "zipkin").unwrap().port,
            9411
        );
    }

    #[test]
    fn anything_else_is_told_with_what_was_expected() {
        for text in [
            "", ":1", "a:", "a:0", "a:b", "a:70000", "http://a", "a b", "[::1", "[a]:1", "[::1]9",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains("expected HOST[:PORT]"), "{text}: {error}");
        }
    }
}

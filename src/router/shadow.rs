//! What a shadow Service says: which Service it stands for, and where the routers listen for that one's ports.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort};

use crate::manifest::labels;
use crate::router::envoy::EDGE_PORT;
use crate::router::envoy::bootstrap::READY_PORT;
use crate::router::model::Protocol;
use crate::router::protocol::spoken;

/// The port of a router's status server.
pub const STATUS_PORT: u16 = 15090;

/// A shadow.
#[derive(Clone, Debug)]
pub struct Shadow<'a> {
    /// Its own name.
    pub name: &'a str,
    /// The Service of the base whose pods it selects.
    pub of: &'a str,
    /// That Service's ports as they were.
    pub ports: &'a [ServicePort],
    /// The listener port by the Service's port.
    pub listeners: BTreeMap<u16, u16>,
}

impl<'a> Shadow<'a> {
    /// Reads a Service of the base; `None` if it is no shadow. The error is one sentence.
    pub fn read(name: &'a str, service: &'a Service) -> Option<Result<Self, String>> {
        let of = service.metadata.labels.as_ref()?.get(labels::SHADOW)?;
        let annotations = service.metadata.annotations.as_ref();
        let text = annotations.and_then(|all| all.get(labels::PORTS));
        let listeners = match text.map(|text| listeners(text)) {
            Some(Ok(listeners)) => listeners,
            Some(Err(why)) => return Some(Err(format!("annotation {}: {why}", labels::PORTS))),
            None => return Some(Err(format!("has no annotation {}", labels::PORTS))),
        };
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref());
        Some(Ok(Self {
            name,
            of,
            ports: ports.unwrap_or_default(),
            listeners,
        }))
    }

    /// The port of this number, if it is routed at all, and what it speaks.
    pub fn port(&self, number: u16) -> Option<(&'a ServicePort, Protocol)> {
        let tcp = |port: &'a ServicePort| Some((port, spoken(port)?));
        let of_number = |port: &&ServicePort| port.port == i32::from(number);
        self.ports.iter().filter(of_number).find_map(tcp)
    }
}

/// `{"9080/TCP": 20001}`
fn listeners(text: &str) -> Result<BTreeMap<u16, u16>, String> {
    let read: BTreeMap<String, u16> =
        serde_json::from_str(text).map_err(|cause| format!("{text}: {cause}"))?;
    let mut listeners = BTreeMap::new();
    for (port, listener) in read {
        let number = port.strip_suffix("/TCP").and_then(|port| port.parse().ok());
        let Some(number) = number else {
            return Err(format!("{port:?}: expected the form \"9080/TCP\""));
        };
        if [0, READY_PORT, EDGE_PORT, STATUS_PORT].contains(&listener) {
            return Err(format!(
                "{port:?}: no service can have the listener port {listener}"
            ));
        }
        listeners.insert(number, listener);
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_and_reserved_ports_refused() {
        assert_eq!(
            listeners(r#"{"9080/TCP": 20001, "80/TCP": 20000}"#),
            Ok(BTreeMap::from([(80, 20000), (9080, 20001)]))
        );
        for broken in [
            "",
            "[]",
            r#"{"9080": 1}"#,
            r#"{"9080/UDP": 20000}"#,
            r#"{"90800/TCP": 20000}"#,
            r#"{"80/TCP": 0}"#,
            r#"{"80/TCP": 15021}"#,
            r#"{"80/TCP": 70000}"#,
        ] {
            assert!(listeners(broken).is_err(), "{broken}");
        }
    }
}

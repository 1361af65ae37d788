//! PURE: which ports of the routers' pods belong to which ports of a Service.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// `port/protocol` of the Service (`9080/TCP`) → the port that the routers listen on.
pub type Listeners = BTreeMap<String, u16>;

/// Above what applications listen on, below what Linux takes for outgoing connections.
pub(super) const RANGE: RangeInclusive<u16> = 20_000..=32_767;

/// How a port is called in [`Listeners`].
pub fn key(port: &ServicePort) -> String {
    format!("{}/{}", port.port, protocol(port))
}

/// The transport protocol of a port.
pub fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

/// Listeners for these ports: those that were theirs before, else the lowest that are free. `None`: there are no more. A number that
/// one of the ports has as its target port cannot be a listener: the owner's state could not be told from the routed one.
pub fn allot(
    ports: &[ServicePort],
    before: &Listeners,
    taken: &BTreeSet<u16>,
) -> Option<Listeners> {
    let own: BTreeSet<u16> = numbers(ports.iter()).collect();
    let mut taken: BTreeSet<u16> = taken
        .iter()
        .chain(before.values())
        .chain(&own)
        .copied()
        .collect();
    let mut listeners = Listeners::new();
    for port in ports {
        let name = key(port);
        let listener = match before.get(&name) {
            Some(listener) if !own.contains(listener) => *listener,
            Some(_) | None => RANGE.clone().find(|number| !taken.contains(number))?,
        };
        taken.insert(listener);
        listeners.insert(name, listener);
    }
    Some(listeners)
}

/// Numbers that Services mention: as a listener one of them could be taken for somebody's own target port.
pub fn mentioned<'a>(services: impl Iterator<Item = &'a Service>) -> BTreeSet<u16> {
    let ports = services
        .filter_map(|service| service.spec.as_ref()?.ports.as_ref())
        .flatten();
    numbers(ports).collect()
}

/// What may be listeners in a Service of which nothing else is known than that it is, or was, routed.
pub fn guess(ports: &[ServicePort]) -> Listeners {
    let target = |port: &ServicePort| match port.target_port {
        Some(IntOrString::Int(number)) => u16::try_from(number).ok(),
        Some(IntOrString::String(_)) | None => None,
    };
    ports
        .iter()
        .filter_map(|port| Some((key(port), target(port)?)))
        .filter(|(_, number)| RANGE.contains(number))
        .collect()
}

fn numbers<'a>(ports: impl Iterator<Item = &'a ServicePort>) -> impl Iterator<Item = u16> {
    let numbers = ports.flat_map(|port| {
        let target = match port.target_port {
            Some(IntOrString::Int(number)) => Some(number),
            Some(IntOrString::String(_)) | None => None,
        };
        [Some(port.port), target]
    });
    numbers
        .flatten()
        .filter_map(|number| u16::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: i32) -> ServicePort {
        ServicePort {
            port: number,
            ..ServicePort::default()
        }
    }

    #[test]
    fn the_lowest_free_ports_are_given_and_kept() {
        let taken = BTreeSet::from([20_000, 20_002]);
        let first = allot(&[port(80), port(81)], &Listeners::new(), &taken).unwrap();
        assert_eq!(
            first,
            Listeners::from([("80/TCP".into(), 20_001), ("81/TCP".into(), 20_003)])
        );
        let next = allot(&[port(82), port(81)], &first, &taken).unwrap();
        assert_eq!(
            next,
            Listeners::from([("81/TCP".into(), 20_003), ("82/TCP".into(), 20_004)])
        );
        let moved = ServicePort {
            target_port: Some(IntOrString::Int(20_001)),
            ..port(80)
        };
        let again = allot(&[moved], &first, &taken).unwrap();
        assert_eq!(again["80/TCP"], 20_004);
        let all: BTreeSet<u16> = RANGE.collect();
        assert_eq!(allot(&[port(80)], &Listeners::new(), &all), None);
    }
}

//! Ready addresses from EndpointSlices.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::router::protocol::is_tcp;

/// The label of a slice with the name of its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Whose endpoints are wanted.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// The base's: whatever its slices say.
    Base,
    /// Those of the environment with this namespace: only pods of it, so that nobody leads requests elsewhere by a slice of
    /// their own.
    Environment(&'a str),
}

/// The slices by namespace and name of their Service. Slices without a Service are left out.
pub fn by_service<'a>(
    slices: &[&'a EndpointSlice],
) -> HashMap<(&'a str, &'a str), Vec<&'a EndpointSlice>> {
    let mut sorted: HashMap<_, Vec<_>> = HashMap::new();
    for slice in slices {
        let labels = slice.metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get(SERVICE_NAME));
        if let (Some(namespace), Some(service)) = (&slice.metadata.namespace, service) {
            let of = (namespace.as_str(), service.as_str());
            sorted.entry(of).or_default().push(*slice);
        }
    }
    sorted
}

/// The ready addresses of a Service's port. `port` is the port's name, empty if it has none: that is what slices are
/// matched by, and their number is the pods' own port. A pod with addresses of both families counts with its IPv4 one.
pub fn ready(slices: &[&EndpointSlice], port: &str, whose: Whose<'_>) -> BTreeSet<SocketAddr> {
    let found = of_family(slices, "IPv4", port, whose);
    if found.is_empty() {
        return of_family(slices, "IPv6", port, whose);
    }
    found
}

fn of_family(
    slices: &[&EndpointSlice],
    family: &str,
    port: &str,
    whose: Whose<'_>,
) -> BTreeSet<SocketAddr> {
    let mut found = BTreeSet::new();
    for slice in slices.iter().filter(|it| it.address_type == family) {
        let numbers = slice.ports.iter().flatten().filter(|candidate| {
            candidate.name.as_deref().unwrap_or_default() == port
                && is_tcp(candidate.protocol.as_deref())
        });
        let numbers: Vec<u16> = numbers
            .filter_map(|candidate| u16::try_from(candidate.port?).ok())
            .collect();
        let endpoints = slice.endpoints.iter().filter(|it| counts(it, whose));
        // All addresses of an endpoint are the same pod; the API takes the first.
        let addresses = endpoints.filter_map(|it| it.addresses.first()?.parse::<IpAddr>().ok());
        for address in addresses {
            found.extend(
                numbers
                    .iter()
                    .map(|number| SocketAddr::new(address, *number)),
            );
        }
    }
    found
}

fn counts(endpoint: &Endpoint, whose: Whose<'_>) -> bool {
    // Not said means ready.
    let ready = endpoint.conditions.as_ref().and_then(|it| it.ready);
    let allowed = match whose {
        Whose::Base => true,
        Whose::Environment(namespace) => endpoint.target_ref.as_ref().is_some_and(|target| {
            target.kind.as_deref() == Some("Pod") && target.namespace.as_deref() == Some(namespace)
        }),
    };
    ready.unwrap_or(true) && allowed
}

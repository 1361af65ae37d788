//! PURE: the Services of the base whose requests reach the routers by now: `control` has switched them, and Kubernetes has followed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::peers::Peer;
use crate::cluster::mirror::Objects;
use crate::manifest::labels;
use crate::router::endpoints::SERVICE_NAME;

/// Their names. Every ready endpoint of such a Service is a router.
pub(super) fn switched(
    services: &Objects<Service>,
    slices: &Objects<EndpointSlice>,
    routers: &[Peer],
) -> BTreeSet<String> {
    let routers: BTreeSet<IpAddr> = routers.iter().map(|peer| peer.address.ip()).collect();
    let mut ready: BTreeMap<&str, BTreeSet<IpAddr>> = BTreeMap::new();
    for slice in slices.values() {
        let labels = slice.metadata.labels.as_ref();
        let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) else {
            continue;
        };
        let endpoints = slice.endpoints.iter().filter(|endpoint| {
            let ready = endpoint.conditions.as_ref().and_then(|it| it.ready);
            ready.unwrap_or(true)
        });
        let addresses = endpoints.flat_map(|endpoint| &endpoint.addresses);
        let addresses = addresses.filter_map(|text| text.parse::<IpAddr>().ok());
        ready.entry(service).or_default().extend(addresses);
    }
    let marked = services.values().filter(|service| {
        let annotations = service.metadata.annotations.as_ref();
        annotations.is_some_and(|all| all.contains_key(labels::RESTORE))
    });
    let names = marked.filter_map(|service| service.metadata.name.as_ref());
    let reach_routers = |name: &&String| {
        let ready = ready.get(name.as_str());
        ready.is_some_and(|ready| !ready.is_empty() && ready.is_subset(&routers))
    };
    names.filter(reach_routers).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_switched_when_it_says_so_and_all_its_endpoints_are_routers() {
        let service = |name: &str, marked: bool| {
            let annotations = if marked {
                json!({"dev/restore": "[]"})
            } else {
                json!({})
            };
            let object = json!({"metadata": {"name": name, "annotations": annotations}});
            let object: Service = serde_json::from_value(object).unwrap();
            (("shop".to_owned(), name.to_owned()), Arc::new(object))
        };
        let slice = |name: &str, endpoints: &[(&str, bool)]| {
            let endpoints: Vec<_> = endpoints
                .iter()
                .map(|(address, ready)| json!({"addresses": [address], "conditions": {"ready": ready}}))
                .collect();
            let object = json!({"metadata": {"name": name, "labels": {SERVICE_NAME: name}},
                "addressType": "IPv4", "endpoints": endpoints});
            let object: EndpointSlice = serde_json::from_value(object).unwrap();
            (("shop".to_owned(), name.to_owned()), Arc::new(object))
        };
        let services = Objects::from([
            service("routed", true),
            service("following", true),
            service("empty", true),
            service("sliceless", true),
            service("base", false),
        ]);
        let slices = Objects::from([
            slice("routed", &[("10.0.0.1", true), ("10.0.0.7", false)]),
            slice("following", &[("10.0.0.1", true), ("10.0.0.7", true)]),
            slice("empty", &[("10.0.0.1", false)]),
            slice("base", &[("10.0.0.1", true)]),
        ]);
        let router = Peer {
            pod: "dev-router-0".to_owned(),
            address: "10.0.0.1:15090".parse().unwrap(),
        };
        let names = BTreeSet::from(["routed".to_owned()]);
        assert_eq!(switched(&services, &slices, &[router]), names);
        assert_eq!(switched(&services, &slices, &[]), BTreeSet::new());
    }
}

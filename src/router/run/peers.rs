//! The other router pods of the base, and what they say.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::http::send;
use crate::cluster::mirror::Objects;
use crate::error::Error;
use crate::router::endpoints::SERVICE_NAME;

/// The routers' Service, and its port that tells their state.
const SERVICE: &str = "dev-router";
const PORT: &str = "status";

/// A router pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer {
    pub(super) pod: String,
    pub(super) address: SocketAddr,
}

/// The ready router pods, from the base's slices.
pub(super) fn peers(slices: &Objects<EndpointSlice>) -> Vec<Peer> {
    let mut peers = BTreeMap::new();
    for slice in slices.values().filter(|slice| is_of_routers(slice)) {
        let ports = slice.ports.iter().flatten();
        let number = ports
            .filter(|port| port.name.as_deref() == Some(PORT))
            .find_map(|port| u16::try_from(port.port?).ok());
        let Some(number) = number else { continue };
        for endpoint in &slice.endpoints {
            let ready = endpoint.conditions.as_ref().and_then(|it| it.ready);
            let address = endpoint.addresses.first();
            let address = address.and_then(|text| text.parse::<IpAddr>().ok());
            let Some(address) = address.filter(|_| ready.unwrap_or(true)) else {
                continue;
            };
            let target = endpoint.target_ref.as_ref();
            let pod = target.and_then(|target| target.name.clone());
            let pod = pod.unwrap_or_else(|| address.to_string());
            // A pod with addresses of two families is one.
            peers.entry(pod).or_insert(SocketAddr::new(address, number));
        }
    }
    let peer = |(pod, address)| Peer { pod, address };
    peers.into_iter().map(peer).collect()
}

fn is_of_routers(slice: &Arc<EndpointSlice>) -> bool {
    let labels = slice.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(SERVICE_NAME))
        .map(String::as_str)
        == Some(SERVICE)
}

/// What a peer says to a question: the status and the body of its answer.
///
/// # Errors
/// One sentence, of which the pod is the subject.
pub(super) async fn ask<T: DeserializeOwned>(
    peer: &Peer,
    path: &str,
    query: &str,
    longest: Duration,
) -> Result<(StatusCode, T), String> {
    let path = if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    };
    let asked = async {
        let stream = TcpStream::connect(peer.address)
            .await
            .map_err(|cause| Error::failed("cannot connect").caused_by(&cause))?;
        send(stream, Method::GET, &peer.address.to_string(), &path).await
    };
    match timeout(longest, asked).await {
        Ok(Ok((status, body))) => serde_json::from_slice(&body)
            .map(|said| (status, said))
            .map_err(|cause| format!("its answer ({status}) is not what was expected: {cause}")),
        Ok(Err(error)) => Err(format!(
            "does not answer: {error}: {}",
            error.causes().join(": ")
        )),
        Err(_) => Err(format!("does not answer within {} s", longest.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn peers_are_the_ready_pods_of_the_routers_service() {
        let slice = |name: &str, service: &str, addresses: &[(&str, &str, bool)]| {
            let endpoints: Vec<_> = addresses
                .iter()
                .map(|(pod, address, ready)| {
                    json!({"addresses": [address], "conditions": {"ready": ready},
                        "targetRef": {"kind": "Pod", "name": pod}})
                })
                .collect();
            let slice = json!({
                "metadata": {"namespace": "shop", "name": name, "labels": {SERVICE_NAME: service}},
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": [{"name": "edge", "port": 15080}, {"name": "status", "port": 15090}],
            });
            let key = ("shop".to_owned(), name.to_owned());
            (key, Arc::new(serde_json::from_value(slice).unwrap()))
        };
        let slices = Objects::from([
            slice(
                "a",
                "dev-router",
                &[("r1", "10.0.0.1", true), ("r2", "10.0.0.2", false)],
            ),
            slice(
                "b",
                "dev-router",
                &[("r3", "10.0.0.3", true), ("r1", "10.0.0.1", true)],
            ),
            slice("c", "web", &[("w", "10.0.0.9", true)]),
        ]);
        let peer = |pod: &str, address: &str| Peer {
            pod: pod.to_owned(),
            address: address.parse().unwrap(),
        };
        assert_eq!(
            peers(&slices),
            [peer("r1", "10.0.0.1:15090"), peer("r3", "10.0.0.3:15090")]
        );
    }
}

//! Reads what the addresses of an environment's services are made from.

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cluster::base::Base;
use crate::cluster::pods::refused;
use crate::cluster::url::{self, Entry, Exposed};
use crate::error::Result;

/// Reads a namespace's Services, Ingresses and HTTPRoutes, with their Gateways and the nodes. What may not be read or does not exist
/// in this cluster is left out, but for the Services.
pub async fn read(client: &Client, namespace: &str) -> Result<Exposed> {
    let services = Api::<Service>::namespaced(client.clone(), namespace);
    let all = ListParams::default();
    let (services, ingresses, routes) = futures::join!(
        services.list(&all),
        list(Api::<Ingress>::namespaced(client.clone(), namespace)),
        gateway_api(client, "HTTPRoute", Some(namespace)),
    );
    let services = services
        .map_err(|error| refused("list services", namespace, &error))?
        .items;
    let (gateways, nodes) = around(client, &services, &routes).await;
    Ok(Exposed {
        services,
        ingresses,
        routes,
        gateways,
        nodes,
    })
}

/// The entry of a base for an environment of it; `None` where it has none, or does not admit the namespace. What may not be read is left
/// out: the base's Services were read before.
pub async fn entry(client: &Client, base: &Base, namespace: &str) -> Option<Entry> {
    let edge = base.admission.as_ref()?.edge.clone()?;
    let env = base.has_router().then(|| base.env_of(namespace))??;
    let of_routers = |service: &&Value| {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        url::ROUTERS.contains(&name)
    };
    let services: Vec<Service> = base
        .services
        .iter()
        .filter(of_routers)
        .filter_map(|service| serde_json::from_value(service.clone()).ok())
        .collect();
    let (ingresses, routes) = futures::join!(
        list(Api::<Ingress>::namespaced(client.clone(), &base.name)),
        gateway_api(client, "HTTPRoute", Some(&base.name)),
    );
    let (gateways, nodes) = around(client, &services, &routes).await;
    Some(Entry {
        base: base.name.clone(),
        host: format!("{env}.{}", edge.domain),
        service: edge.service,
        routers: Exposed {
            services,
            ingresses,
            routes,
            gateways,
            nodes,
        },
    })
}

/// Gateways of routes, and nodes where a Service has ports on them.
async fn around(
    client: &Client,
    services: &[Service],
    routes: &[Value],
) -> (Vec<Value>, Vec<Node>) {
    let on_nodes = services.iter().any(|one| {
        let kind = one.spec.as_ref().and_then(|spec| spec.type_.as_deref());
        matches!(kind, Some("NodePort" | "LoadBalancer"))
    });
    futures::join!(
        async {
            match routes.is_empty() {
                true => Vec::new(),
                false => gateway_api(client, "Gateway", None).await,
            }
        },
        async {
            match on_nodes {
                true => list(Api::<Node>::all(client.clone())).await,
                false => Vec::new(),
            }
        }
    )
}

async fn list<K: Clone + DeserializeOwned + std::fmt::Debug>(api: Api<K>) -> Vec<K> {
    match api.list(&ListParams::default()).await {
        Ok(found) => found.items,
        Err(error) => {
            tracing::debug!(%error, kind = std::any::type_name::<K>(), "left out of the addresses");
            Vec::new()
        }
    }
}

async fn gateway_api(client: &Client, kind: &str, namespace: Option<&str>) -> Vec<Value> {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind);
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let found = list(api).await;
    found
        .iter()
        .filter_map(|one| serde_json::to_value(one).ok())
        .collect()
}

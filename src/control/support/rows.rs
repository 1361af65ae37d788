//! The rows of the support table, in the order of the page.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Row, Subject, Verdict};
use crate::control::listeners::protocol;
use crate::control::network;
use crate::control::routing::router_labels;
use crate::control::{CONTROL, ROUTER, shadow};
use crate::router::model::Protocol;
use crate::router::protocol::spoken;

use Verdict::{Limited, Refused, Supported};

/// Everything that is known to matter.
pub const TABLE: &[Row] = &[
    Row {
        id: "Http",
        what: "a port known to be HTTP: HTTP/1.1, HTTP/2 without TLS, gRPC, WebSocket",
        verdict: Supported,
        why: "by `appProtocol`, else by the port's name: `http`, `http2`, `h2c`, `grpc`, `ws`, or one of these and `-…`",
        check: never,
    },
    Row {
        id: "TargetPort",
        what: "target ports by number or by name, several ports, node ports, type LoadBalancer, `publishNotReadyAddresses`, two IP families",
        verdict: Supported,
        why: "",
        check: never,
    },
    Row {
        id: "DefaultTargetPort",
        what: "a port whose target port is its own number",
        verdict: Limited,
        why: "where the owner's manifest leaves `targetPort` out, the owner's next `kubectl apply`, `helm upgrade` or server-side apply puts the selector back and not the target port; until control has repaired it (at once, but nodes take up to a second to follow) new connections fail. Write `targetPort` into the manifest",
        check: default_target_port,
    },
    Row {
        id: "PartialSelector",
        what: "a selector of several labels",
        verdict: Limited,
        why: "a patch by its owner that changes one of them (blue-green by `kubectl patch`) leaves a selector that selects nothing, until control has repaired it. `kubectl apply`, `helm upgrade` and server-side apply change all of them at once",
        check: partial_selector,
    },
    Row {
        id: "PassedThrough",
        what: "a port not known to be HTTP beside one that is: TLS, databases, anything else over TCP",
        verdict: Limited,
        why: "it is passed through to the base, byte by byte, whatever environment a client belongs to",
        check: passed_through,
    },
    Row {
        id: "StatefulSet",
        what: "pods of a StatefulSet behind a Service with a cluster IP",
        verdict: Limited,
        why: "the pods' own names and the StatefulSet's headless Service always lead to the base",
        check: stateful_set,
    },
    Row {
        id: "Topology",
        what: "`trafficDistribution`, topology-aware routing",
        verdict: Limited,
        why: "a router takes any ready pod of the base, in any zone",
        check: topology,
    },
    Row {
        id: "SourceAddress",
        what: "pods that look at the address of their client",
        verdict: Limited,
        why: "they see that of a router; this cannot be seen from outside, so it is not detected",
        check: never,
    },
    Row {
        id: "ExternalName",
        what: "type ExternalName",
        verdict: Refused,
        why: "it is only a name in the DNS",
        check: |subject| {
            (subject.spec().type_.as_deref() == Some("ExternalName"))
                .then(|| "it is of type ExternalName: only a name in the DNS".to_owned())
        },
    },
    Row {
        id: "Headless",
        what: "headless (`clusterIP: None`)",
        verdict: Refused,
        why: "clients connect to the pods themselves",
        check: |subject| {
            (subject.spec().cluster_ip.as_deref() == Some("None"))
                .then(|| "it is headless: clients connect to the pods themselves".to_owned())
        },
    },
    Row {
        id: "NoSelector",
        what: "no selector",
        verdict: Refused,
        why: "somebody else writes its endpoints",
        check: no_selector,
    },
    Row {
        id: "ReservedSelector",
        what: "a selector that the routers' pods cannot satisfy: only `app.kubernetes.io/managed-by` or `pod-template-hash`, or a label that their Deployment sets otherwise",
        verdict: Refused,
        why: "a routed Service selects the routers by the keys of its own selector",
        check: reserved_selector,
    },
    Row {
        id: "NotTcp",
        what: "a UDP or SCTP port",
        verdict: Refused,
        why: "the selector is that of all its ports, and the routers speak TCP. Split the Service",
        check: not_tcp,
    },
    Row {
        id: "NoHttpPort",
        what: "no port known to be HTTP, TLS passed through included",
        verdict: Refused,
        why: "requests cannot be told apart. Name the port `http` (or set `appProtocol`) where it is HTTP",
        check: no_http_port,
    },
    Row {
        id: "ClientIpAffinity",
        what: "`sessionAffinity: ClientIP`",
        verdict: Refused,
        why: "a client would no longer reach the same pod each time",
        check: |subject| {
            (subject.spec().session_affinity.as_deref() == Some("ClientIP")).then(|| "it has sessionAffinity ClientIP: a client would no longer reach the same pod each time".to_owned())
        },
    },
    Row {
        id: "InternalTrafficPolicy",
        what: "`internalTrafficPolicy: Local`",
        verdict: Refused,
        why: "nodes without a router would lose it",
        check: |subject| {
            (subject.spec().internal_traffic_policy.as_deref() == Some("Local")).then(|| {
                "it has internalTrafficPolicy Local: nodes without a router would lose it"
                    .to_owned()
            })
        },
    },
    Row {
        id: "ExternalTrafficPolicy",
        what: "`externalTrafficPolicy: Local`",
        verdict: Refused,
        why: "load balancers would move to the routers' nodes, and pods would no longer see the client's address",
        check: |subject| {
            (subject.spec().external_traffic_policy.as_deref() == Some("Local")).then(|| "it has externalTrafficPolicy Local: load balancers would move to the routers' nodes".to_owned())
        },
    },
    Row {
        id: "PodTargets",
        what: "a load balancer that sends to the pods themselves (AWS target type `ip`, GKE network endpoint groups)",
        verdict: Refused,
        why: "it follows a change of pods and ports only after minutes",
        check: pod_targets,
    },
    Row {
        id: "Mesh",
        what: "pods or a namespace in a service mesh: Istio (side-car or ambient), Linkerd, Kuma, Consul",
        verdict: Refused,
        why: "mutual TLS and the mesh's own routes would not survive a hop between. Let the mesh route",
        check: mesh,
    },
    Row {
        id: "NetworkPolicy",
        what: "NetworkPolicies of the base that would refuse clients at the routers, or the routers at the pods, or that the routers would get around",
        verdict: Refused,
        why: "the message has the NetworkPolicy that is needed; it is judged again when that is there. Addresses (`ipBlock`) are not followed",
        check: network_policy,
    },
    Row {
        id: "Scraped",
        what: "a Service that Prometheus scrapes: selected by a ServiceMonitor, or annotated `prometheus.io/scrape: \"true\"`",
        verdict: Refused,
        why: "the routers' pods would be scraped in place of the base's. Scrape the pods (a PodMonitor), or by a Service of its own",
        check: scraped,
    },
    Row {
        id: "OwnObject",
        what: "the Services of `dev` itself",
        verdict: Refused,
        why: "",
        check: |subject| {
            let own = [ROUTER, CONTROL].contains(&subject.name())
                || shadow::of(subject.service).is_some();
            own.then(|| "it is a part of dev".to_owned())
        },
    },
];

fn never(_subject: &Subject<'_>) -> Option<String> {
    None
}

fn default_target_port(subject: &Subject<'_>) -> Option<String> {
    let same = ports(subject, |port| {
        port.target_port
            .as_ref()
            .is_none_or(|target| *target == IntOrString::Int(port.port))
    })?;
    Some(format!(
        "{same}: if the manifest leaves targetPort out, new connections fail for a moment after its owner writes to the Service"
    ))
}

fn partial_selector(subject: &Subject<'_>) -> Option<String> {
    (subject.routing.selector.len() > 1).then(|| {
        "a patch of one label of its selector leaves it selecting nothing for a moment".to_owned()
    })
}

fn passed_through(subject: &Subject<'_>) -> Option<String> {
    let passed = ports(subject, |port| spoken(port) == Some(Protocol::Tcp))?;
    Some(format!(
        "{passed}: not known to be HTTP, so always the base's"
    ))
}

fn stateful_set(subject: &Subject<'_>) -> Option<String> {
    let owned = |pod: &&Pod| {
        let owners = pod.metadata.owner_references.iter().flatten();
        owners.into_iter().any(|owner| owner.kind == "StatefulSet")
    };
    subject
        .pods
        .iter()
        .copied()
        .find(|pod| owned(pod))
        .map(|_| "its pods are a StatefulSet's: their own names always lead to the base".to_owned())
}

fn topology(subject: &Subject<'_>) -> Option<String> {
    let mode = subject.annotation("service.kubernetes.io/topology-mode");
    let wanted = subject.spec().traffic_distribution.is_some()
        || mode.is_some_and(|mode| mode != "Disabled");
    wanted.then(|| "its traffic distribution is not kept: a router takes any ready pod".to_owned())
}

fn no_selector(subject: &Subject<'_>) -> Option<String> {
    let other = subject.spec().type_.as_deref() == Some("ExternalName");
    (subject.routing.selector.is_empty() && !other)
        .then(|| "it has no selector: somebody else writes its endpoints".to_owned())
}

fn reserved_selector(subject: &Subject<'_>) -> Option<String> {
    let selector = &subject.routing.selector;
    let labels = router_labels(selector.keys());
    if labels.is_empty() && !selector.is_empty() {
        let keys: Vec<&str> = selector.keys().map(String::as_str).collect();
        return Some(format!(
            "its selector has only labels that the routers carry with other values: {}",
            keys.join(", ")
        ));
    }
    if selector.values().any(|value| value == ROUTER) {
        return Some(format!(
            "it selects pods by the value {ROUTER}, which is the routers'"
        ));
    }
    let set = |key: &&String| {
        let value = subject.around.router_labels.get(*key);
        value.is_some_and(|value| value != ROUTER)
    };
    let key = labels.keys().find(set)?;
    Some(format!(
        "the routers carry the label {key} of its selector with another value"
    ))
}

fn not_tcp(subject: &Subject<'_>) -> Option<String> {
    let other = ports(subject, |port| protocol(port) != "TCP")?;
    Some(format!("{other}: not TCP"))
}

fn no_http_port(subject: &Subject<'_>) -> Option<String> {
    let none = !subject
        .routing
        .ports
        .iter()
        .any(|port| spoken(port) == Some(Protocol::Http));
    none.then(|| {
        "no port is known to be HTTP; name it http (or set appProtocol) where it is".to_owned()
    })
}

fn pod_targets(subject: &Subject<'_>) -> Option<String> {
    let is = |name: &str, wanted: &str| {
        subject
            .annotation(name)
            .is_some_and(|value| value.contains(wanted))
    };
    const AWS: &str = "service.beta.kubernetes.io/aws-load-balancer-";
    let targets = is(&format!("{AWS}nlb-target-type"), "ip")
        || is(&format!("{AWS}type"), "nlb-ip")
        || is("cloud.google.com/neg", "true");
    targets.then(|| {
        "a load balancer sends to its pods themselves, and follows a change only after minutes"
            .to_owned()
    })
}

/// Label or annotation, and the values by which something is not in the mesh; any other value means that it is.
const MESHES: [(&str, &[&str]); 10] = [
    ("sidecar.istio.io/inject", &["false"]),
    ("sidecar.istio.io/status", &[]),
    ("istio-injection", &["disabled"]),
    ("istio.io/rev", &[]),
    ("istio.io/dataplane-mode", &["none"]),
    ("linkerd.io/inject", &["disabled"]),
    ("linkerd.io/proxy-version", &[]),
    ("kuma.io/sidecar-injection", &["disabled", "false"]),
    ("kuma.io/sidecar-injected", &["false"]),
    ("consul.hashicorp.com/connect-inject-status", &[]),
];

/// A pod that says no is out of its namespace's mesh.
fn mesh(subject: &Subject<'_>) -> Option<String> {
    let around = subject.around;
    let said = |maps: [&BTreeMap<String, String>; 2]| -> (Option<String>, bool) {
        let found = |out: bool| {
            MESHES.iter().find_map(|(key, outside)| {
                let value = maps.iter().find_map(|map| map.get(*key))?;
                (outside.contains(&value.as_str()) == out).then(|| format!("{key}={value}"))
            })
        };
        (found(false), found(true).is_some())
    };
    let empty = BTreeMap::new();
    let metadata = &subject.service.metadata;
    let own = said([
        metadata.labels.as_ref().unwrap_or(&empty),
        metadata.annotations.as_ref().unwrap_or(&empty),
    ]);
    let namespace = said([&around.namespace_labels, &around.namespace_annotations]);
    let pods: Vec<_> = subject
        .pods
        .iter()
        .map(|pod| {
            said([
                pod.metadata.labels.as_ref().unwrap_or(&empty),
                pod.metadata.annotations.as_ref().unwrap_or(&empty),
            ])
        })
        .collect();
    let in_pods = pods.iter().find_map(|(inside, _)| inside.clone());
    let all_out = !pods.is_empty() && pods.iter().all(|(_, out)| *out);
    let found = own.0.or(in_pods).or(namespace.0.filter(|_| !all_out))?;
    Some(format!(
        "it is in a service mesh ({found}), which would have to route it"
    ))
}

fn network_policy(subject: &Subject<'_>) -> Option<String> {
    let targets: Vec<IntOrString> = subject
        .routing
        .ports
        .iter()
        .map(|port| {
            port.target_port
                .clone()
                .unwrap_or(IntOrString::Int(port.port))
        })
        .collect();
    subject
        .network()
        .refusal(subject.name(), &subject.pods, &targets)
}

fn scraped(subject: &Subject<'_>) -> Option<String> {
    if subject.annotation("prometheus.io/scrape") == Some("true") {
        return Some("Prometheus scrapes its pods through it (prometheus.io/scrape)".to_owned());
    }
    let empty = BTreeMap::new();
    let labels = subject.service.metadata.labels.as_ref().unwrap_or(&empty);
    let monitors = subject.around.monitors.iter();
    let monitor = monitors
        .filter(|monitor| monitor.sees_base)
        .find(|monitor| network::selects(Some(&monitor.selector), labels))?;
    Some(format!(
        "ServiceMonitor {} scrapes its pods through it",
        monitor.name
    ))
}

/// The ports of which something is true, as words.
fn ports(subject: &Subject<'_>, is: impl Fn(&ServicePort) -> bool) -> Option<String> {
    let found: Vec<String> = subject
        .routing
        .ports
        .iter()
        .filter(|port| is(port))
        .map(|port| match &port.name {
            Some(name) => format!("{name} ({}/{})", port.port, protocol(port)),
            None => format!("{}/{}", port.port, protocol(port)),
        })
        .collect();
    match found.as_slice() {
        [] => None,
        [one] => Some(format!("port {one}")),
        _ => Some(format!("ports {}", found.join(", "))),
    }
}

//! PURE: whether requests to a Service of the base can be led to an environment's copy at all, by what the Service says of itself.

use k8s_openapi::api::core::v1::Service;
use serde_json::Value;

use crate::cluster::base::Base;
use crate::manifest::labels;
use crate::router::model::Protocol;
use crate::router::protocol::spoken;

/// Why no request to the base's Service of this name reaches a copy, without a full stop; `None`: it can be led there.
pub fn unreachable(base: &Base, name: &str) -> Option<String> {
    let named = |service: &&Value| service["metadata"]["name"] == name;
    let Some(found) = base.services.iter().find(named) else {
        return Some(format!("{} has no Service of that name", base.name));
    };
    if let Some(reason) = stands_down(base, name) {
        return Some(format!(
            "the routers leave the Service of {} alone: {reason}",
            base.name
        ));
    }
    let service: Service = serde_json::from_value(found.clone()).ok()?;
    let spec = service.spec.unwrap_or_default();
    if spec.type_.as_deref() == Some("ExternalName") {
        return Some(format!(
            "the Service of {} leads out of the cluster",
            base.name
        ));
    }
    if spec.cluster_ip.as_deref() == Some("None") {
        return Some(format!("the Service of {} is headless", base.name));
    }
    let ports = spec.ports.unwrap_or_default();
    let http = ports
        .iter()
        .any(|port| spoken(port) == Some(Protocol::Http));
    (!http).then(|| {
        format!(
            "no port of the Service of {} says that it speaks HTTP, by its appProtocol or a name that begins with http, grpc, h2c or ws",
            base.name
        )
    })
}

/// What the shadow says, where somebody else has changed the routed Service.
fn stands_down(base: &Base, name: &str) -> Option<String> {
    let shadow = base
        .services
        .iter()
        .find(|service| service["metadata"]["labels"][labels::SHADOW] == name)?;
    let text = shadow["metadata"]["annotations"][labels::STAND_DOWN].as_str()?;
    let said: Value = serde_json::from_str(text).unwrap_or_default();
    Some(
        said["reason"]
            .as_str()
            .unwrap_or("somebody else has changed it")
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_says_http_can_be_told_apart() {
        let base = |spec: Value| Base {
            name: "shop".into(),
            services: vec![json!({"metadata": {"name": "x"}, "spec": spec})],
            ..Base::default()
        };
        let why = |spec: Value| unreachable(&base(spec), "x");
        assert_eq!(
            why(json!({"ports": [{"port": 5432}, {"port": 80, "name": "http"}]})),
            None
        );
        assert_eq!(
            why(json!({"ports": [{"port": 80, "appProtocol": "kubernetes.io/h2c"}]})),
            None
        );
        assert!(
            why(json!({"ports": [{"port": 6379, "name": "redis"}]}))
                .unwrap()
                .contains("speaks HTTP")
        );
        assert!(
            why(json!({"clusterIP": "None", "ports": [{"port": 80, "name": "http"}]}))
                .unwrap()
                .contains("headless")
        );
        assert!(
            why(json!({"type": "ExternalName"}))
                .unwrap()
                .contains("out of the cluster")
        );
        assert!(
            unreachable(&base(json!({})), "y")
                .unwrap()
                .contains("no Service of that name")
        );
    }

    #[test]
    fn what_the_routers_leave_alone_is_said_with_the_reason() {
        let shadow = json!({"metadata": {"name": "x-dev-base", "labels": {"dev/shadow": "x"},
            "annotations": {"dev/stand-down": "{\"reason\": \"helm changed spec.ports\"}"}}});
        let base = Base {
            name: "shop".into(),
            services: vec![
                shadow,
                json!({"metadata": {"name": "x"}, "spec": {"ports": [{"port": 80, "name": "http"}]}}),
            ],
            ..Base::default()
        };
        assert!(
            unreachable(&base, "x")
                .unwrap()
                .ends_with("helm changed spec.ports")
        );
    }
}

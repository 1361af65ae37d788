//! PURE: whether requests to a Service of the base can be led to an environment's copy at all, by what a developer may read: the
//! Services. `control` sees more of what is around them, and is asked when the copies are there.

use k8s_openapi::api::core::v1::Service;
use serde_json::Value;

use crate::cluster::base::Base;
use crate::control::support::{Surroundings, judge_live};
use crate::manifest::labels;

/// Why no request to the base's Service of this name reaches a copy, without a full stop; `None`: it can be led there.
pub fn unreachable(base: &Base, name: &str) -> Option<String> {
    let named = |service: &&Value| service["metadata"]["name"] == name;
    let Some(found) = base.services.iter().find(named) else {
        return Some(format!("{} has no Service of that name", base.name));
    };
    let shadow = base
        .services
        .iter()
        .find(|service| service["metadata"]["labels"][labels::SHADOW] == name);
    if let Some(reason) = shadow.and_then(stands_down) {
        return Some(left_alone(base, &reason));
    }
    let typed = |object: &Value| serde_json::from_value::<Service>(object.clone()).ok();
    let shadow = shadow.and_then(typed);
    let around = Surroundings {
        base: base.name.clone(),
        ..Surroundings::default()
    };
    let judgement = judge_live(&typed(found)?, shadow.as_ref(), &around);
    Some(left_alone(base, &judgement.refusal()?))
}

/// How it is said that the routers do not answer for a Service.
pub fn left_alone(base: &Base, reason: &str) -> String {
    format!(
        "the routers leave the Service of {} alone: {reason}",
        base.name
    )
}

/// What the shadow says, where somebody else has changed the routed Service.
fn stands_down(shadow: &Value) -> Option<String> {
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

    fn base(services: Vec<Value>) -> Base {
        Base {
            name: "shop".into(),
            services,
            ..Base::default()
        }
    }

    #[test]
    fn what_control_would_refuse_is_refused_with_its_words() {
        let why = |mut spec: Value| {
            spec["selector"] = json!({"app": "x"});
            unreachable(
                &base(vec![json!({"metadata": {"name": "x"}, "spec": spec})]),
                "x",
            )
        };
        let http = json!([{"port": 5432}, {"port": 80, "name": "http"}]);
        assert_eq!(why(json!({"ports": http})), None);
        assert_eq!(
            why(json!({"ports": [{"port": 80, "appProtocol": "kubernetes.io/h2c"}]})),
            None
        );
        for (spec, words) in [
            (json!({"ports": [{"port": 6379, "name": "redis"}]}), "HTTP"),
            (json!({"clusterIP": "None", "ports": http}), "headless"),
            (json!({"type": "ExternalName"}), "ExternalName"),
            (
                json!({"sessionAffinity": "ClientIP", "ports": http}),
                "ClientIP",
            ),
        ] {
            let told = why(spec).unwrap();
            assert!(told.starts_with("the routers leave"), "{told}");
            assert!(told.contains(words), "{told}");
        }
        assert!(
            unreachable(&base(Vec::new()), "y")
                .unwrap()
                .contains("no Service of that name")
        );
    }

    #[test]
    fn a_service_that_is_routed_is_judged_by_what_its_owner_wrote() {
        let shadow = json!({"metadata": {"name": "x-dev-base", "labels": {"dev/shadow": "x", "app.kubernetes.io/managed-by": "dev"},
            "annotations": {"dev/ports": "{\"80/TCP\":20000}", "dev/progress": "{\"uid\":\"u\"}", "dev/managed-fields": "[]",
                "dev/original": "{\"selector\":{\"app\":\"x\"},\"ports\":[{\"name\":\"http\",\"port\":80,\"targetPort\":8080}]}"}}});
        let routed = json!({"metadata": {"name": "x"}, "spec": {"selector": {"app": "dev-router"},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 20000}]}});
        let alone = unreachable(&base(vec![routed.clone()]), "x");
        assert!(alone.unwrap().contains("dev-router"));
        assert_eq!(unreachable(&base(vec![shadow, routed]), "x"), None);
    }

    #[test]
    fn what_the_routers_leave_alone_is_said_with_the_reason() {
        let shadow = json!({"metadata": {"name": "x-dev-base", "labels": {"dev/shadow": "x"},
            "annotations": {"dev/stand-down": "{\"reason\": \"helm changed spec.ports\"}"}}});
        let service =
            json!({"metadata": {"name": "x"}, "spec": {"ports": [{"port": 80, "name": "http"}]}});
        assert!(
            unreachable(&base(vec![shadow, service]), "x")
                .unwrap()
                .ends_with("helm changed spec.ports")
        );
    }
}

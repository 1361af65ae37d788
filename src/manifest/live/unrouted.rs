//! A base with routers as it is without them: what is copied from it must not lead to the routers.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifest::labels;
use crate::router::install::{CONTROL, EDGE, ROUTER};

/// Services that `dev` puts beside a base, and what runs behind them, by name.
const OWN: [&str; 4] = [ROUTER, CONTROL, EDGE, labels::ADMISSION];

/// The objects of a base without those of the routers; Services that lead to the routers get their own selector and ports back, as
/// their shadow keeps them.
pub fn unrouted(objects: Vec<Value>) -> Vec<Value> {
    let originals: BTreeMap<String, Value> = objects.iter().filter_map(original).collect();
    objects
        .into_iter()
        .filter(|object| !is_own(object))
        .map(|mut object| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let original = originals.get(name).filter(|_| object["kind"] == "Service");
            if let (Some(original), Some(spec)) = (original, object["spec"].as_object().cloned()) {
                let mut spec = spec;
                for field in ["selector", "ports"] {
                    if let Some(value) = original.get(field) {
                        spec.insert(field.to_owned(), value.clone());
                    }
                }
                object["spec"] = Value::Object(spec);
            }
            object
        })
        .collect()
}

/// What a shadow keeps: the name of its Service, and that one's selector and ports.
fn original(object: &Value) -> Option<(String, Value)> {
    let metadata = &object["metadata"];
    let service = metadata["labels"][labels::SHADOW].as_str()?;
    let text = metadata["annotations"][labels::ORIGINAL].as_str()?;
    // A Service that its owner has changed is not routed any more, and is as its owner wants it.
    let stands_down = metadata["annotations"].get(labels::STAND_DOWN).is_some();
    let original = serde_json::from_str(text).ok().filter(|_| !stands_down)?;
    Some((service.to_owned(), original))
}

fn is_own(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let shadow = metadata["labels"].get(labels::SHADOW).is_some();
    shadow || OWN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_routed_service_is_copied_as_its_owner_wrote_it() {
        let routed = json!({"kind": "Service", "metadata": {"name": "reviews", "annotations": {"dev/restore": "[]"}},
            "spec": {"selector": {"app": "dev-router"}, "clusterIP": "10.0.0.1", "ports": [{"port": 80, "targetPort": 20001}]}});
        let kept =
            r#"{"selector": {"app": "reviews"}, "ports": [{"port": 80, "targetPort": "http"}]}"#;
        let shadow = json!({"kind": "Service", "metadata": {"name": "reviews-dev-base",
            "labels": {"dev/shadow": "reviews"}, "annotations": {"dev/original": kept}}});
        let router = json!({"kind": "Deployment", "metadata": {"name": "dev-router"}});
        let other = json!({"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}});
        let objects = unrouted(vec![routed, shadow, router, other.clone()]);
        assert_eq!(objects.len(), 2);
        let spec = &objects[0]["spec"];
        assert_eq!(spec["selector"], json!({"app": "reviews"}));
        assert_eq!(
            (&spec["ports"][0]["targetPort"], &spec["clusterIP"]),
            (&json!("http"), &json!("10.0.0.1"))
        );
        assert_eq!(objects[1], other);
    }
}

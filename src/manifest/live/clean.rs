//! What the cluster, and those who applied an object, wrote into it that a copy must not carry.

use serde_json::{Map, Value};

use crate::manifest::walk;

/// Fields of `metadata` that the API server fills in.
const SERVER_METADATA: [&str; 10] = [
    "managedFields",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "ownerReferences",
    "finalizers",
];

/// Labels and annotations, by their beginning, that say who owns or bound the original.
const FOREIGN_MARKS: [&str; 20] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubectl.kubernetes.io/restartedAt",
    "deployment.kubernetes.io/",
    "deprecated.daemonset.template.generation",
    "autoscaling.alpha.kubernetes.io/",
    "pv.kubernetes.io/",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/",
    "meta.helm.sh/",
    "helm.sh/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "field.cattle.io/",
    "endpoints.kubernetes.io/",
    "batch.kubernetes.io/",
    "controller-uid",
    "job-name",
    "pod-template-hash",
    "dev/",
];

/// Labels that are marks of ownership only with these values.
const MANAGERS: (&str, [&str; 4]) = (
    "app.kubernetes.io/managed-by",
    ["Helm", "argocd", "flux", "dev"],
);

/// Fields of a Service that the API server allocates.
const ALLOCATED: [&str; 5] = [
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "healthCheckNodePort",
    "internalTrafficPolicy",
];

/// Whether the cluster makes the object itself in every namespace, or for every account.
pub fn is_generated(value: &Value) -> bool {
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    match value["kind"].as_str().unwrap_or_default() {
        "ConfigMap" => matches!(name, "kube-root-ca.crt" | "openshift-service-ca.crt"),
        "ServiceAccount" => name == "default",
        "Secret" => matches!(
            value["type"].as_str(),
            Some(
                "kubernetes.io/service-account-token"
                    | "helm.sh/release.v1"
                    | "bootstrap.kubernetes.io/token"
            )
        ),
        "Endpoints" | "EndpointSlice" | "Event" | "Lease" | "ControllerRevision" | "PodMetrics" => {
            true
        }
        _ => false,
    }
}

/// Leaves what a person could have written: no status, no identity, nothing allocated, no marks of an owner.
pub fn clean(value: &mut Value) {
    let kind = value["kind"].as_str().unwrap_or_default().to_owned();
    if let Some(object) = value.as_object_mut() {
        object.shift_remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata") {
        clean_metadata(metadata, true);
    }
    let templates = [
        "template",
        "spec.template",
        "spec.jobTemplate",
        "spec.jobTemplate.spec.template",
        "spec.volumeClaimTemplates[]",
    ];
    for template in templates {
        walk::maps(value, template, &mut |template| {
            template.shift_remove("status");
            if let Some(metadata) = template.get_mut("metadata") {
                clean_metadata(metadata, false);
            }
        });
    }
    let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    match kind.as_str() {
        "Service" => clean_service(spec),
        "Job" => clean_job(spec),
        "PersistentVolumeClaim" => {
            spec.shift_remove("volumeName");
        }
        "Pod" => {
            spec.shift_remove("nodeName");
        }
        _ => {}
    }
    if let Some(Value::Object(selector)) = spec.get_mut("selector") {
        clean_selector(selector);
    }
}

fn clean_metadata(metadata: &mut Value, top: bool) {
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    if top {
        for field in SERVER_METADATA {
            metadata.shift_remove(field);
        }
        metadata.shift_remove("generateName");
        metadata.shift_remove("namespace");
    } else {
        metadata.shift_remove("creationTimestamp");
    }
    for field in ["labels", "annotations"] {
        if let Some(Value::Object(marks)) = metadata.get_mut(field) {
            marks.retain(|key, value| !is_foreign(key, value, top));
            if marks.is_empty() {
                metadata.shift_remove(field);
            }
        }
    }
}

/// Labels of a pod template may be what selectors ask for, so there only those go that no selector can ask for.
fn is_foreign(key: &str, value: &Value, top: bool) -> bool {
    let (managed_by, managers) = MANAGERS;
    if key == managed_by {
        return top
            && value
                .as_str()
                .is_some_and(|value| managers.contains(&value));
    }
    let chart_label = key == "helm.sh/chart";
    FOREIGN_MARKS.iter().any(|mark| key.starts_with(mark)) && (top || !chart_label)
}

fn clean_service(spec: &mut Map<String, Value>) {
    let headless = spec.get("clusterIP").and_then(Value::as_str) == Some("None");
    if !headless {
        spec.shift_remove("clusterIP");
    }
    for field in ALLOCATED {
        let wanted =
            field == "internalTrafficPolicy" && spec.get(field) == Some(&Value::from("Local"));
        if !wanted {
            spec.shift_remove(field);
        }
    }
    if let Some(Value::Array(ports)) = spec.get_mut("ports") {
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            port.shift_remove("nodePort");
        }
    }
}

/// A Job gets its selector from the cluster, unless it says that it brings its own.
fn clean_job(spec: &mut Map<String, Value>) {
    if spec.get("manualSelector") != Some(&Value::Bool(true)) {
        spec.shift_remove("selector");
    }
}

/// The stamp of an earlier copy, and what controllers tell their pods apart by.
fn clean_selector(selector: &mut Map<String, Value>) {
    let is_mark = |key: &str| {
        key.starts_with("dev/")
            || key.starts_with("batch.kubernetes.io/")
            || key == "controller-uid"
            || key == "pod-template-hash"
    };
    selector.retain(|key, _| !is_mark(key));
    if let Some(Value::Object(labels)) = selector.get_mut("matchLabels") {
        labels.retain(|key, _| !is_mark(key));
    }
}

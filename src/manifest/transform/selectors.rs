//! Labels and selectors of versions that share a namespace, so that none selects the pods of another.
//!
//! The labels that workloads and Services of the set select pods by tell versions apart: their values get the suffix,
//! wherever they occur in the set. So neither the selectors of the original nor those of other versions match the new
//! pods. Selectors of the version ask for `dev/version` besides.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Target;
use crate::manifest::labels::VERSION;
use crate::manifest::{Manifest, as_map, child_map, names, walk};

const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Selectors of pods inside pods: they compare, but do not own.
const IN_PODS: [&str; 5] = [
    "topologySpreadConstraints[].labelSelector",
    "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelector",
    "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector",
    "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelector",
    "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector",
];

/// What is known of the whole set.
pub(super) struct Selectors<'a> {
    target: &'a Target,
    /// New values of the labels that tell versions apart, by key and old value. Empty where nothing changes.
    values: BTreeMap<(String, String), String>,
    keys: BTreeSet<String>,
    /// The labels of all pod templates, as they were.
    pods: Vec<Map<String, Value>>,
}

impl<'a> Selectors<'a> {
    pub(super) fn of(objects: &[Manifest], target: &'a Target) -> Self {
        let mut result = Self {
            target,
            values: BTreeMap::new(),
            keys: BTreeSet::new(),
            pods: Vec::new(),
        };
        let Some(suffix) = &target.suffix else {
            return result;
        };
        let own = |key: &str| target.stamp.labels("").any(|(stamped, _)| stamped == key);
        let mut values: BTreeSet<(String, String)> = BTreeSet::new();
        for object in objects {
            for (key, value) in selected(object) {
                if !own(&key) {
                    result.keys.insert(key.clone());
                    values.extend(value.map(|value| (key, value)));
                }
            }
        }
        for object in objects {
            let key = object.key();
            let labels = walk::pod_template(key.group(), &key.kind)
                .and_then(|path| pod_labels(&object.value, path))
                .cloned()
                .unwrap_or_default();
            let metadata = walk::get(&object.value, "metadata.labels").and_then(Value::as_object);
            for (key, value) in labels.iter().chain(metadata.into_iter().flatten()) {
                if let Some(value) = value.as_str().filter(|_| result.keys.contains(key)) {
                    values.insert((key.clone(), value.to_owned()));
                }
            }
            if !labels.is_empty() {
                result.pods.push(labels);
            }
        }
        for (key, value) in &values {
            let mut new = suffixed(value, suffix);
            // A value that the original uses as well would be selected by it.
            while values.contains(&(key.clone(), new.clone())) {
                new = suffixed(&new, suffix);
            }
            result.values.insert((key.clone(), value.clone()), new);
        }
        result
    }

    /// Changes labels and selectors of one object.
    pub(super) fn apply(
        &self,
        object: &mut Manifest,
        group: &str,
        home: &[String],
        said: &mut Vec<String>,
    ) {
        let kind = object.kind().to_owned();
        if kind == "NetworkPolicy" {
            self.network_policy(&mut object.value, home);
        }
        if let Some(path) = walk::pod_template(group, &kind) {
            let pod = if path.is_empty() {
                "spec".to_owned()
            } else {
                format!("{path}.spec")
            };
            if let Some(pod) = walk::get_mut(&mut object.value, &pod) {
                self.pod(pod, home);
            }
        }
        if self.target.suffix.is_none() {
            self.restamp(object, group, &kind);
            return;
        }
        let unmatched =
            kind == "Service" && group.is_empty() && self.selects_nothing(&object.value);
        if unmatched {
            said.push(
                "its selector matches no pods of this set, so this version of it has none"
                    .to_owned(),
            );
        }
        self.rename_labels(object.metadata_mut());
        if kind == "CronJob"
            && let Some(job) = walk::get_mut(&mut object.value, "spec.jobTemplate.metadata")
        {
            self.rename_labels(as_map(job));
        }
        if let Some(path) = walk::pod_template(group, &kind).filter(|path| !path.is_empty())
            && let Some(template) = walk::get_mut(&mut object.value, path)
        {
            self.rename_labels(child_map(template, "metadata"));
        }
        self.own_selector(object, group, &kind);
    }

    /// The selector by which an object takes pods (or Services) as its own.
    fn own_selector(&self, object: &mut Manifest, group: &str, kind: &str) {
        let value = &mut object.value;
        match (group, kind) {
            ("", "Service" | "ReplicationController") => {
                if let Some(Value::Object(selector)) = walk::get_mut(value, "spec.selector")
                    && !selector.is_empty()
                {
                    self.rename_values(selector);
                    self.add_version(selector);
                }
            }
            ("networking.k8s.io", "NetworkPolicy") => {
                if let Some(spec) = value.get_mut("spec") {
                    self.label_selector(as_map(spec).entry("podSelector").or_insert(json!({})));
                }
            }
            // A Job makes its own selector unless it says otherwise.
            ("batch", "Job") => {
                if let Some(selector) = walk::get_mut(value, "spec.selector") {
                    self.label_selector(selector);
                }
            }
            ("apps" | "extensions", _)
            | ("argoproj.io", "Rollout")
            | ("policy", "PodDisruptionBudget")
            | ("monitoring.coreos.com", "ServiceMonitor" | "PodMonitor") => {
                if let Some(selector) = walk::get_mut(value, "spec.selector") {
                    self.label_selector(selector);
                }
            }
            ("networking.istio.io", "DestinationRule") => {
                walk::maps(value, "spec.subsets[].labels", &mut |labels| {
                    self.rename_values(labels)
                });
            }
            ("networking.istio.io" | "security.istio.io", _) => {
                walk::maps(value, "spec.selector.matchLabels", &mut |labels| {
                    self.rename_values(labels)
                });
            }
            _ => {}
        }
    }

    fn label_selector(&self, selector: &mut Value) {
        self.rename_selector(selector);
        self.add_version(child_map(selector, "matchLabels"));
    }

    fn add_version(&self, labels: &mut Map<String, Value>) {
        let version = Value::from(self.target.stamp.version.as_str());
        labels.insert(VERSION.to_owned(), version);
    }

    /// New values in `matchLabels` and `matchExpressions`.
    fn rename_selector(&self, selector: &mut Value) {
        if let Some(Value::Object(labels)) = selector.get_mut("matchLabels") {
            self.rename_values(labels);
        }
        walk::maps(selector, "matchExpressions[]", &mut |expression| {
            let key = expression
                .get("key")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            let excludes = expression.get("operator").and_then(Value::as_str) == Some("NotIn");
            let Some(Value::Array(list)) = expression.get_mut("values") else {
                return;
            };
            let new: Vec<Value> = list
                .iter()
                .map(|value| {
                    let new = value.as_str().and_then(|value| self.value(&key, value));
                    new.map_or_else(|| value.clone(), Value::from)
                })
                .collect();
            if excludes {
                // What was excluded stays excluded.
                for value in new {
                    if !list.contains(&value) {
                        list.push(value);
                    }
                }
            } else {
                *list = new;
            }
        });
    }

    fn rename_labels(&self, metadata: &mut Map<String, Value>) {
        if let Some(Value::Object(labels)) = metadata.get_mut("labels") {
            self.rename_values(labels);
        }
    }

    fn rename_values(&self, labels: &mut Map<String, Value>) {
        for (key, value) in labels.iter_mut() {
            if let Some(new) = value.as_str().and_then(|value| self.value(key, value)) {
                *value = Value::from(new);
            }
        }
    }

    fn value(&self, key: &str, value: &str) -> Option<&str> {
        if !self.keys.contains(key) {
            return None;
        }
        let found = self.values.get(&(key.to_owned(), value.to_owned()));
        found.map(String::as_str)
    }

    fn pod(&self, pod: &mut Value, home: &[String]) {
        for path in IN_PODS {
            walk::values(pod, path, &mut |selector| self.rename_selector(selector));
        }
        let terms = ["podAffinity", "podAntiAffinity"];
        for term in terms {
            let required =
                format!("affinity.{term}.requiredDuringSchedulingIgnoredDuringExecution[]");
            let preferred = format!(
                "affinity.{term}.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm"
            );
            for path in [required, preferred] {
                walk::maps(pod, &path, &mut |term| self.move_namespaces(term, home));
            }
        }
    }

    /// The namespaces of an affinity term.
    fn move_namespaces(&self, term: &mut Map<String, Value>, home: &[String]) {
        if let Some(Value::Array(list)) = term.get_mut("namespaces") {
            for namespace in list {
                if is_home(namespace, home) {
                    *namespace = Value::from(self.target.namespace.as_str());
                }
            }
        }
        if let Some(selector) = term.get_mut("namespaceSelector") {
            self.move_namespace_selector(selector, home);
        }
    }

    /// A selector of namespaces that names the old one names the new one.
    fn move_namespace_selector(&self, selector: &mut Value, home: &[String]) {
        let namespace = Value::from(self.target.namespace.as_str());
        if let Some(Value::Object(labels)) = selector.get_mut("matchLabels")
            && let Some(value) = labels.get_mut(NAMESPACE_NAME)
            && is_home(value, home)
        {
            *value = namespace.clone();
        }
        walk::maps(selector, "matchExpressions[]", &mut |expression| {
            if expression.get("key").and_then(Value::as_str) != Some(NAMESPACE_NAME) {
                return;
            }
            if let Some(Value::Array(list)) = expression.get_mut("values") {
                for value in list {
                    if is_home(value, home) {
                        *value = namespace.clone();
                    }
                }
            }
        });
    }

    /// The pods of the version are reachable from where those of the original are, and from the version itself.
    fn network_policy(&self, policy: &mut Value, home: &[String]) {
        for path in ["spec.ingress[].from", "spec.egress[].to"] {
            walk::values(policy, path, &mut |peers| {
                let Some(list) = peers.as_array_mut() else {
                    return;
                };
                let mut added = Vec::new();
                for peer in list.iter_mut() {
                    if let Some(selector) = peer.get_mut("namespaceSelector") {
                        self.move_namespace_selector(selector, home);
                    }
                    let mut copy = peer.clone();
                    if let Some(selector) = copy.get_mut("podSelector") {
                        self.rename_selector(selector);
                    }
                    if copy != *peer {
                        added.push(copy);
                    }
                }
                list.extend(added);
            });
        }
    }

    /// In a namespace of its own nothing has to be told apart, but a selector that asks for labels of an earlier stamp
    /// (in a copy of what `dev` made) has to ask for those of the new one.
    fn restamp(&self, object: &mut Manifest, group: &str, kind: &str) {
        let service = object.origin.service.clone();
        let stamp: BTreeMap<&str, &str> = self.target.stamp.labels(&service).collect();
        let path = match (group, kind) {
            ("", "Service" | "ReplicationController") => "spec.selector",
            ("networking.k8s.io", "NetworkPolicy") => "spec.podSelector.matchLabels",
            _ => "spec.selector.matchLabels",
        };
        if let Some(Value::Object(labels)) = walk::get_mut(&mut object.value, path) {
            for (key, value) in labels.iter_mut() {
                if let Some(new) = stamp.get(key.as_str()).filter(|_| key.starts_with("dev/")) {
                    *value = Value::from(*new);
                }
            }
        }
    }

    fn selects_nothing(&self, service: &Value) -> bool {
        let selector = walk::get(service, "spec.selector").and_then(Value::as_object);
        let Some(selector) = selector.filter(|selector| !selector.is_empty()) else {
            return false;
        };
        !self.pods.iter().any(|labels| {
            selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
        })
    }
}

/// The labels that an object selects pods by: keys, and values where it names them.
fn selected(object: &Manifest) -> Vec<(String, Option<String>)> {
    let key = object.key();
    let selector = object
        .value
        .get("spec")
        .and_then(|spec| spec.get("selector"));
    let plain =
        key.group().is_empty() && matches!(key.kind.as_str(), "Service" | "ReplicationController");
    let is_workload = walk::pod_template(key.group(), &key.kind).is_some();
    let mut found = Vec::new();
    let labels = match (selector, plain, is_workload) {
        (Some(selector), true, _) => Some(selector),
        (Some(selector), false, true) => selector.get("matchLabels"),
        _ => None,
    };
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        found.push((key.clone(), value.as_str().map(str::to_owned)));
    }
    if !plain && is_workload {
        let expressions = selector.and_then(|selector| selector["matchExpressions"].as_array());
        for expression in expressions.into_iter().flatten() {
            let key = expression["key"].as_str().unwrap_or_default();
            found.push((key.to_owned(), None));
            for value in expression["values"].as_array().into_iter().flatten() {
                found.push((key.to_owned(), value.as_str().map(str::to_owned)));
            }
        }
    }
    found
}

fn pod_labels<'v>(value: &'v Value, template: &str) -> Option<&'v Map<String, Value>> {
    let path = if template.is_empty() {
        "metadata.labels".to_owned()
    } else {
        format!("{template}.metadata.labels")
    };
    walk::get(value, &path)?.as_object()
}

fn is_home(namespace: &Value, home: &[String]) -> bool {
    namespace
        .as_str()
        .is_some_and(|namespace| home.iter().any(|home| home == namespace))
}

/// Label values may hold what names may not, and be empty.
fn suffixed(value: &str, suffix: &str) -> String {
    if value.is_empty() {
        return suffix.to_owned();
    }
    names::suffixed(value, suffix, names::LABEL)
}

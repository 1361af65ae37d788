//! The stamp: labels on objects and on the templates of what controllers make from them.

use serde_json::Value;

use crate::manifest::labels::{MANAGED_BY, Stamp};
use crate::manifest::{Manifest, as_map, child_map, walk};

/// Puts the labels of the stamp on an object, its pod template, its job template and its claim templates.
pub(super) fn stamp(object: &mut Manifest, group: &str, stamp: &Stamp) {
    let service = object.origin.service.clone();
    let kind = object.kind().to_owned();
    write_in(&mut object.value, stamp, &service, true);
    let mut templates: Vec<&str> = Vec::new();
    if let Some(path) = walk::pod_template(group, &kind).filter(|path| !path.is_empty()) {
        templates.push(path);
    }
    if kind == "CronJob" {
        templates.push("spec.jobTemplate");
    }
    for path in templates {
        if let Some(template) = walk::get_mut(&mut object.value, path) {
            write_in(template, stamp, &service, false);
        }
    }
    if kind == "StatefulSet" {
        walk::values(
            &mut object.value,
            "spec.volumeClaimTemplates[]",
            &mut |template| {
                write_in(template, stamp, &service, false);
            },
        );
    }
}

/// `managed-by` of a template may be what a selector asks for, so it is not replaced there.
fn write_in(holder: &mut Value, stamp: &Stamp, service: &str, replace: bool) {
    if !holder.is_object() {
        return;
    }
    let metadata = child_map(holder, "metadata")
        .entry("labels")
        .or_insert(Value::Null);
    let labels = as_map(metadata);
    for (key, value) in stamp.labels(service) {
        if replace || key != MANAGED_BY || !labels.contains_key(key) {
            labels.insert(key.to_owned(), Value::from(value));
        }
    }
}

//! PURE: the JSON Patches (RFC 6902) that are written to a Service of the base. Each begins with tests, so that it does nothing to
//! a Service that is not as it was when the patch was made.

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::control::routing::Routing;
use crate::manifest::labels::RESTORE;

/// A JSON Patch.
pub type Patch = Vec<Value>;

/// Where an object says who owns which fields.
const FIELDS: &str = "/metadata/managedFields";

/// What becomes of the annotation `dev/restore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Set,
    Remove,
}

/// Lets the routers answer. The version is tested too: the ownership of fields that is given back afterwards is that of this version.
pub fn switch(service: &Service, routed: &Routing) -> Patch {
    let mut patch = vec![same_object(service), same_version(service)];
    patch.extend(change(service, routed));
    let back = restore_later(&Routing::of(service));
    patch.extend(mark(service, &text(back), Mark::Set));
    patch
}

/// Lets the base's pods answer again: the same as `dev/restore`, which it removes.
pub fn restore(service: &Service, owners: &Routing) -> Patch {
    let mut patch = vec![same_object(service), same_version(service)];
    patch.extend(change(service, owners));
    patch.extend(mark(service, "", Mark::Remove));
    patch
}

/// Puts the owner's state back where somebody else's write left a mixture. The annotation is a sign of what happened until that is
/// recorded, and leads to what the owner has now; `fields`: who owns what then. Other fields may change meanwhile: this one is urgent.
pub fn repair(service: &Service, owners: &Routing, fields: &[ManagedFieldsEntry]) -> Patch {
    let mut patch = vec![same_object(service)];
    patch.extend(change(service, owners));
    let mut back = restore_later(owners);
    // Only control can tell whose a field was before this patch, and it may end before it has written that down.
    back.push(replace(FIELDS, &json!(fields)));
    patch.extend(mark(service, &text(back), Mark::Set));
    patch
}

/// Removes the annotation from a Service that its owner has back.
pub fn unmark(service: &Service) -> Patch {
    let mut patch = vec![same_object(service), same_version(service)];
    patch.extend(mark(service, "", Mark::Remove));
    patch
}

/// Gives the ownership of fields back.
pub fn give_back(service: &Service, fields: &[ManagedFieldsEntry]) -> Patch {
    let fields = match fields.is_empty() {
        // An empty list would be taken as "no change"; this is how to say "nobody".
        true => json!([{}]),
        false => json!(fields),
    };
    vec![
        same_object(service),
        same_version(service),
        replace(FIELDS, &fields),
    ]
}

/// The annotation `dev/restore` of a Service.
pub fn restore_annotation(service: &Service) -> Option<&str> {
    let annotations = service.metadata.annotations.as_ref()?;
    annotations.get(RESTORE).map(String::as_str)
}

/// The patch that leads back to this, whatever selector and target ports are then, for the annotation: also a person without `dev`
/// can apply it.
fn restore_later(routing: &Routing) -> Patch {
    let mut patch = Patch::new();
    for (index, port) in routing.ports.iter().enumerate() {
        patch.push(test(
            &format!("/spec/ports/{index}/port"),
            &json!(port.port),
        ));
    }
    patch.push(replace("/spec/selector", &json!(routing.selector)));
    for (index, port) in routing.ports.iter().enumerate() {
        patch.push(replace(&target_path(index), &json!(target(port))));
    }
    patch.push(json!({"op": "remove", "path": annotation_path()}));
    patch
}

fn text(patch: Patch) -> String {
    Value::Array(patch).to_string()
}

/// What a routed Service was before, from its annotation alone. `None`: it does not tell.
pub fn read_restore(service: &Service) -> Option<Routing> {
    let patch: Patch = serde_json::from_str(restore_annotation(service)?).ok()?;
    let value = |path: &str| replacement(&patch, path);
    let mut routing = Routing::of(service);
    routing.selector = serde_json::from_value(value("/spec/selector")?).ok()?;
    for (index, port) in routing.ports.iter_mut().enumerate() {
        port.target_port = Some(serde_json::from_value(value(&target_path(index))?).ok()?);
    }
    Some(routing)
}

/// Who owned which fields of a Service when it was repaired, from its annotation.
pub fn read_fields(service: &Service) -> Option<Vec<ManagedFieldsEntry>> {
    let patch: Patch = serde_json::from_str(restore_annotation(service)?).ok()?;
    serde_json::from_value(replacement(&patch, FIELDS)?).ok()
}

/// What a patch puts in place of something.
fn replacement(patch: &Patch, path: &str) -> Option<Value> {
    let operation = patch
        .iter()
        .find(|operation| operation["op"] == "replace" && operation["path"] == path)?;
    Some(operation["value"].clone())
}

/// From selector and target ports as they are to those wanted; both must have the same ports.
fn change(service: &Service, wanted: &Routing) -> Patch {
    let now = Routing::of(service);
    let mut patch = Patch::new();
    if now.selector.is_empty() {
        patch.push(test("/spec/selector", &Value::Null));
    } else {
        patch.push(test("/spec/selector", &json!(now.selector)));
    }
    for (index, port) in now.ports.iter().enumerate() {
        patch.push(test(
            &format!("/spec/ports/{index}/port"),
            &json!(port.port),
        ));
        patch.push(test(&target_path(index), &json!(target(port))));
    }
    if now.selector != wanted.selector {
        let op = if now.selector.is_empty() {
            "add"
        } else {
            "replace"
        };
        patch.push(json!({"op": op, "path": "/spec/selector", "value": wanted.selector}));
    }
    for (index, (before, port)) in now.ports.iter().zip(&wanted.ports).enumerate() {
        if before.target_port != port.target_port {
            patch.push(replace(&target_path(index), &json!(target(port))));
        }
    }
    patch
}

fn mark(service: &Service, value: &str, mark: Mark) -> Patch {
    let annotations = service.metadata.annotations.as_ref();
    let there = annotations.and_then(|annotations| annotations.get(RESTORE));
    match (mark, there) {
        (Mark::Remove, None) => Patch::new(),
        (Mark::Remove, Some(before)) => vec![
            test(&annotation_path(), &json!(before)),
            json!({"op": "remove", "path": annotation_path()}),
        ],
        (Mark::Set, _) if annotations.is_none_or(|annotations| annotations.is_empty()) => vec![
            test("/metadata/annotations", &Value::Null),
            json!({"op": "add", "path": "/metadata/annotations", "value": {(RESTORE): value}}),
        ],
        (Mark::Set, _) => vec![json!({"op": "add", "path": annotation_path(), "value": value})],
    }
}

fn same_object(service: &Service) -> Value {
    test("/metadata/uid", &json!(service.metadata.uid))
}

fn same_version(service: &Service) -> Value {
    test(
        "/metadata/resourceVersion",
        &json!(service.metadata.resource_version),
    )
}

/// The API server sets it wherever it is left out.
fn target(port: &ServicePort) -> IntOrString {
    port.target_port
        .clone()
        .unwrap_or(IntOrString::Int(port.port))
}

fn target_path(index: usize) -> String {
    format!("/spec/ports/{index}/targetPort")
}

/// `/` of a key is `~1` in a path (RFC 6901).
fn annotation_path() -> String {
    format!("/metadata/annotations/{}", RESTORE.replace('/', "~1"))
}

fn test(path: &str, value: &Value) -> Value {
    json!({"op": "test", "path": path, "value": value})
}

fn replace(path: &str, value: &Value) -> Value {
    json!({"op": "replace", "path": path, "value": value})
}

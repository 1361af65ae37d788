//! The configuration of an image: that of its base, changed by what dev.yaml says.

use serde_json::{Map, Value, json};

use super::Layer;
use crate::error::{Error, Result};
use crate::image::blob::{Blob, media, to_json};
use crate::project::Layers;

/// An operating system and an architecture, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `linux`
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
}

impl Platform {
    /// Linux on the architecture of this machine: what a local build makes.
    pub fn host() -> Self {
        Self::linux(match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        })
    }

    /// Linux on an architecture.
    pub fn linux(architecture: &str) -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// The configuration of `scratch`.
pub fn empty_config(platform: &Platform) -> Value {
    json!({
        "created": EPOCH,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [],
    })
}

/// Images made of the same input are the same image, so none has a time of its own.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// Changes a base's configuration. `layer` is the new layer, if there are files. Fields that we know nothing about are
/// kept.
pub fn derive_config(base: Value, spec: &Layers, layer: Option<&Layer>) -> Result<Blob> {
    let Value::Object(mut image) = base else {
        return Err(Error::failed(
            "the base image's configuration is no JSON object",
        ));
    };
    image.insert("created".to_owned(), EPOCH.into());
    let run = object(&mut image, "config");
    if let Some(entrypoint) = &spec.entrypoint {
        run.insert("Entrypoint".to_owned(), json!(entrypoint));
        // The base's arguments belong to the base's entry point.
        run.shift_remove("Cmd");
    }
    if let Some(cmd) = &spec.cmd {
        run.insert("Cmd".to_owned(), json!(cmd));
    }
    if let Some(workdir) = &spec.workdir {
        run.insert("WorkingDir".to_owned(), json!(workdir));
    }
    if let Some(user) = &spec.user {
        run.insert("User".to_owned(), json!(user));
    }
    if !spec.env.is_empty() {
        let merged = merge_env(run.get("Env"), spec);
        run.insert("Env".to_owned(), json!(merged));
    }
    let ports = object(run, "ExposedPorts");
    for port in &spec.ports {
        ports.insert(format!("{port}/tcp"), json!({}));
    }
    ports.sort_keys();
    if ports.is_empty() {
        run.shift_remove("ExposedPorts");
    }
    if let Some(layer) = layer {
        let rootfs = object(&mut image, "rootfs");
        rootfs.insert("type".to_owned(), "layers".into());
        array(rootfs, "diff_ids").push(json!(layer.diff_id));
        array(&mut image, "history").push(json!({"created": EPOCH, "created_by": "dev layers"}));
    }
    Ok(Blob::memory(media::CONFIG, to_json(&image)?))
}

/// The base's variables in their order, with new values where dev.yaml has them; then the new ones by name.
fn merge_env(base: Option<&Value>, spec: &Layers) -> Vec<String> {
    let mut merged: Vec<String> = base
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.as_str().map(str::to_owned))
        .collect();
    for (name, value) in &spec.env {
        let entry = format!("{name}={value}");
        let old = merged
            .iter_mut()
            .find(|old| old.split_once('=').is_some_and(|(key, _)| key == name));
        match old {
            Some(old) => *old = entry,
            None => merged.push(entry),
        }
    }
    merged
}

/// The object in a field. A missing one (or `null`, as Go writes it) is made.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let field = parent.entry(key).or_insert(Value::Null);
    if !field.is_object() {
        *field = json!({});
    }
    field.as_object_mut().expect("it was just made an object")
}

fn array<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let field = parent.entry(key).or_insert(Value::Null);
    if !field.is_array() {
        *field = json!([]);
    }
    field.as_array_mut().expect("it was just made an array")
}

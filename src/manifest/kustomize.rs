//! `kustomize:` input, built by the `kustomize` program or the one inside `kubectl`.

use std::ffi::OsString;
use std::path::Path;

use super::program;
use super::text::{self, Lines};
use super::{Loaded, Manifest};
use crate::error::{Error, Place, Result};

/// The objects of a kustomization. `dir` is relative to `root`.
pub(super) async fn load(dir: &Path, root: &Path, service: &str) -> Result<Loaded> {
    if !root.join(dir).is_dir() {
        return Err(Error::usage(format!(
            "kustomize: there is no directory {}",
            dir.display()
        ))
        .hint(format!(
            "paths are relative to {}, the directory of dev.yaml",
            root.display()
        )));
    }
    let dir_arg = OsString::from(dir);
    let output = match program::run(
        "kustomize",
        &[OsString::from("build"), dir_arg.clone()],
        root,
    )
    .await?
    {
        Some(output) => output,
        None => program::run("kubectl", &[OsString::from("kustomize"), dir_arg], root)
            .await?
            .ok_or_else(|| {
                Error::usage(
                    "kustomize: needs the program kustomize or kubectl, and neither is installed",
                )
                .hint("see https://kubectl.docs.kubernetes.io/installation/kustomize/")
            })?,
    };
    let shown = dir.join("kustomization.yaml");
    let mut manifests: Vec<Manifest> = text::parse(&output.stdout, &shown, service, Lines::Moved)?;
    for manifest in &mut manifests {
        manifest.origin.place = Some(Place::file(dir));
    }
    Ok(Loaded {
        manifests,
        notes: Vec::new(),
    })
}

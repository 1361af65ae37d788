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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::left_out::left_out;

    #[tokio::test]
    async fn an_overlay_is_built_by_the_real_program() {
        let has = |program: &str| std::process::Command::new(program).output().is_ok();
        if !has("kustomize") && !has("kubectl") {
            left_out("kustomize: neither kustomize nor kubectl is installed");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("base/kustomization.yaml", "resources: [c.yaml]\n");
        write(
            "base/c.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {on: \"yes\"}\n",
        );
        write(
            "over/kustomization.yaml",
            "resources: [../base]\nnamePrefix: x-\n",
        );
        let loaded = load(Path::new("over"), dir.path(), "web").await.unwrap();
        let [config] = loaded.manifests.as_slice() else {
            panic!("one object: {loaded:?}");
        };
        assert_eq!(config.name(), "x-c");
        assert_eq!(config.value["data"], serde_json::json!({"on": "yes"}));
        write("over/kustomization.yaml", "resources: [../nope]\n");
        let error = load(Path::new("over"), dir.path(), "web")
            .await
            .unwrap_err();
        assert!(
            error.causes().iter().any(|line| line.contains("nope")),
            "{error:?}"
        );
        let error = load(Path::new("ovr"), dir.path(), "web").await.unwrap_err();
        assert_eq!(error.message(), "kustomize: there is no directory ovr");
    }
}

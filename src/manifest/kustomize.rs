//! `kustomize:` input, built by the `kustomize` program or the one inside `kubectl`.

use std::ffi::OsString;
use std::path::Path;

use super::program;
use super::snippet::Text;
use super::text::{self, Lines};
use super::{Loaded, Manifest, yaml};
use crate::error::{Error, Place, Result};

/// The names that kustomize looks for, in its order.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

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
    let found = |name: &&str| root.join(dir).join(name).is_file();
    let shown = dir.join(NAMES.into_iter().find(found).unwrap_or(NAMES[0]));
    let ran = async {
        let dir = || OsString::from(dir);
        match program::run("kustomize", &["build".into(), dir()], root).await? {
            Some(output) => Ok(Some(output)),
            None => program::run("kubectl", &["kustomize".into(), dir()], root).await,
        }
    };
    let output = ran
        .await
        .map_err(|error| {
            let error = error.hint(format!(
                "it can be run alone: kubectl kustomize {}",
                dir.display()
            ));
            match place_of(error.causes(), &shown, root) {
                Some(place) => error.at(place),
                None => error,
            }
        })?
        .ok_or_else(|| {
            Error::usage(
                "kustomize: needs the program kustomize or kubectl, and neither is installed",
            )
            .hint("see https://kubectl.docs.kubernetes.io/installation/kustomize/")
        })?;
    let printed = Text::Made {
        made: &output.stdout,
        written: None,
    };
    let manifests: Vec<Manifest> = text::parse(printed, &shown, service, Lines::Moved)?;
    Ok(Loaded {
        manifests,
        notes: Vec::new(),
    })
}

/// Where the program says that something is wrong, as far as it says it: in the kustomization `file` itself, or in a file beside it.
fn place_of(said: &[String], file: &Path, root: &Path) -> Option<Place> {
    let line_in = |text: &str| -> Option<usize> {
        let (_, rest) = text.split_once("yaml: line ")?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    said.iter().find_map(|text| {
        // Some builds of kubectl log their last error, which escapes the quotes in it.
        let text = text.replace("\\\"", "\"");
        let text = text.trim_end_matches('"');
        if let Some((before, named)) = text.split_once(" in File: ") {
            let path = file.with_file_name(named.trim());
            return root.join(&path).is_file().then(|| Place {
                file: path,
                line: line_in(before),
                column: None,
            });
        }
        let (_, wrong) = text.split_once("invalid Kustomization: ")?;
        let key = wrong
            .split_once("unknown field \"")
            .and_then(|(_, rest)| rest.split('"').next());
        let source = text::read(file, root).unwrap_or_default();
        let at = key.and_then(|key| yaml::locate(&source, 1, &[key]));
        Some(match at {
            Some((line, column)) => Place::at(file, line, column),
            None => Place {
                file: file.to_owned(),
                line: line_in(wrong),
                column: None,
            },
        })
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
        for (path, text, place) in [
            (
                "over/kustomization.yaml",
                "resources: [../base]\nnmePrefix: x-\n",
                "over/kustomization.yaml:2:12",
            ),
            (
                "over/kustomization.yaml",
                "resources: [../base\n",
                "over/kustomization.yaml:1",
            ),
            (
                "over/kustomization.yaml",
                "resources: [c.yaml]\n",
                "over/c.yaml:1",
            ),
        ] {
            write("over/c.yaml", "a: [\n");
            write(path, text);
            let error = load(Path::new("over"), dir.path(), "web").await;
            let error = error.unwrap_err();
            let found = error.place().map(ToString::to_string);
            assert_eq!(found.as_deref(), Some(place), "{error:?}");
        }
        let error = load(Path::new("ovr"), dir.path(), "web").await.unwrap_err();
        assert_eq!(error.message(), "kustomize: there is no directory ovr");
    }
}

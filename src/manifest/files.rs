//! From `manifests:` to the list of files: files, directories and globs, in a fixed order.

use std::path::{Path, PathBuf};

use globset::{Glob, GlobBuilder};
use ignore::WalkBuilder;

use crate::error::{Error, Result, did_you_mean};

/// File name endings that a directory gives.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The files that the entries name, relative to `root`, in the order of the entries and sorted by name within one;
/// a file that two entries name comes once. A directory gives its own files, not those of directories in it;
/// `dir/**/*.yaml` gives all. Hidden files are skipped.
///
/// # Errors
/// An entry that names nothing, with the nearest name that exists.
pub fn resolve(entries: &[String], root: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in entries {
        for file in resolve_one(entry, root)? {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

fn resolve_one(entry: &str, root: &Path) -> Result<Vec<PathBuf>> {
    let path = Path::new(entry);
    let full = root.join(path);
    match std::fs::metadata(&full) {
        Ok(found) if found.is_dir() => directory(path, root),
        Ok(_) => Ok(vec![path.to_owned()]),
        Err(_) if entry.contains(['*', '?', '[', '{']) => glob(entry, root),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Err(missing(path, root)),
        Err(cause) => Err(Error::io("read", path, &cause)),
    }
}

fn directory(dir: &Path, root: &Path) -> Result<Vec<PathBuf>> {
    let full = root.join(dir);
    let mut files = Vec::new();
    let mut kustomization = false;
    for entry in std::fs::read_dir(&full).map_err(|cause| Error::io("read", dir, &cause))? {
        let entry = entry.map_err(|cause| Error::io("read", dir, &cause))?;
        let name = entry.file_name();
        let Some(text) = name.to_str() else { continue };
        let path = dir.join(&name);
        kustomization |= matches!(text, "kustomization.yaml" | "kustomization.yml");
        if !text.starts_with('.') && is_manifest(&path) && root.join(&path).is_file() {
            files.push(path);
        }
    }
    if kustomization {
        return Err(Error::usage(format!(
            "{} holds a kustomization, which is no list of manifests",
            dir.display()
        ))
        .hint(format!(
            "say kustomize: {} in place of manifests:",
            dir.display()
        )));
    }
    if files.is_empty() {
        return Err(Error::usage(format!(
            "the directory {} holds no *.yaml, *.yml or *.json",
            dir.display()
        )));
    }
    files.sort();
    Ok(files)
}

fn is_manifest(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
}

fn glob(pattern: &str, root: &Path) -> Result<Vec<PathBuf>> {
    let clean = pattern.strip_prefix("./").unwrap_or(pattern);
    let glob: Glob = GlobBuilder::new(clean)
        .literal_separator(true)
        .build()
        .map_err(|cause| {
            Error::usage(format!("\"{pattern}\" is no valid glob")).caused_by(&cause)
        })?;
    let matcher = glob.compile_matcher();
    let fixed: PathBuf = Path::new(clean)
        .components()
        .take_while(|part| {
            part.as_os_str()
                .to_str()
                .is_some_and(|part| !part.contains(['*', '?', '[', '{']))
        })
        .collect();
    let walk = WalkBuilder::new(root.join(&fixed))
        .standard_filters(false)
        .hidden(true)
        .sort_by_file_name(std::cmp::Ord::cmp)
        .build();
    let files: Vec<PathBuf> = walk
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.path().strip_prefix(root).ok().map(Path::to_owned))
        .filter(|path| matcher.is_match(path))
        .collect();
    if files.is_empty() {
        let error = Error::usage(format!("no file matches \"{pattern}\""));
        return Err(if root.join(&fixed).is_dir() {
            error
                .hint("\"*\" stays within one directory, \"**\" does not; hidden files are skipped")
        } else {
            error.cause(format!("there is no directory {}", fixed.display()))
        });
    }
    Ok(files)
}

fn missing(path: &Path, root: &Path) -> Error {
    let error = Error::usage(format!("there is no file or directory {}", path.display()));
    // The deepest part that exists decides what the next name could have been.
    let mut known = PathBuf::new();
    for part in path.components() {
        let next = known.join(part);
        if !root.join(&next).exists() {
            let names: Vec<String> = std::fs::read_dir(root.join(&known))
                .into_iter()
                .flatten()
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect();
            let wanted = part.as_os_str().to_string_lossy();
            return error
                .maybe_hint(did_you_mean(&wanted, names.iter().map(String::as_str)))
                .hint(format!(
                    "paths are relative to {}, the directory of dev.yaml",
                    root.display()
                ));
        }
        known = next;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "web/k8s/b.yaml",
            "web/k8s/a.yml",
            "web/k8s/c.json",
            "web/k8s/.hidden.yaml",
            "web/k8s/notes.txt",
            "web/k8s/deep/d.yaml",
            "over/kustomization.yaml",
            "empty/readme.md",
        ] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        dir
    }

    fn names(dir: &tempfile::TempDir, entries: &[&str]) -> Result<Vec<String>> {
        let entries: Vec<String> = entries.iter().map(|&e| e.to_owned()).collect();
        let files = resolve(&entries, dir.path())?;
        Ok(files.iter().map(|f| f.display().to_string()).collect())
    }

    #[test]
    fn directories_globs_and_files_come_in_order_and_once() {
        let dir = tree();
        assert_eq!(
            names(&dir, &["web/k8s/c.json", "web/k8s/"]).unwrap(),
            ["web/k8s/c.json", "web/k8s/a.yml", "web/k8s/b.yaml"]
        );
        assert_eq!(
            names(&dir, &["web/k8s/*.yaml"]).unwrap(),
            ["web/k8s/b.yaml"]
        );
        assert_eq!(
            names(&dir, &["./web/**/*.y*ml"]).unwrap(),
            ["web/k8s/a.yml", "web/k8s/b.yaml", "web/k8s/deep/d.yaml"]
        );
    }

    #[test]
    fn what_names_nothing_is_an_error_with_the_nearest_name() {
        let dir = tree();
        let cases = [
            (
                "web/k9s/b.yaml",
                "there is no file or directory web/k9s/b.yaml",
                "did you mean \"k8s\"?",
            ),
            (
                "web/k8s/bb.yaml",
                "there is no file",
                "did you mean \"b.yaml\"?",
            ),
            (
                "web/*.toml",
                "no file matches",
                "stays within one directory",
            ),
            ("nope/*.yaml", "no file matches", ""),
            ("over", "holds a kustomization", "say kustomize: over"),
            ("empty/", "holds no *.yaml", ""),
            ("web/[", "no valid glob", ""),
        ];
        for (entry, words, hint) in cases {
            let error = names(&dir, &[entry]).expect_err(entry);
            assert!(error.message().contains(words), "{entry}: {error:?}");
            assert!(
                hint.is_empty() || error.hints().iter().any(|h| h.contains(hint)),
                "{error:?}"
            );
        }
    }
}

//! Reading kubeconfig files as kubectl does, with errors that say which file and what to do.

use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::error::{Error, Place, Result, did_you_mean};

/// A context of a kubeconfig, ready to connect.
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) context: String,
}

/// Where kubeconfig files are: what was named, else `$KUBECONFIG`, else `~/.kube/config`.
pub(super) fn paths(named: Option<&Path>, variable: Option<&std::ffi::OsStr>) -> Vec<PathBuf> {
    if let Some(named) = named {
        return vec![named.to_owned()];
    }
    let listed: Vec<PathBuf> = variable
        .map(|value| {
            std::env::split_paths(value)
                .filter(|path| !path.as_os_str().is_empty())
                .collect()
        })
        .unwrap_or_default();
    if !listed.is_empty() {
        return listed;
    }
    etcetera::home_dir()
        .map(|home| vec![home.join(".kube").join("config")])
        .unwrap_or_default()
}

/// Reads and merges the files. `None` where none of them exists.
pub(super) fn read(paths: &[PathBuf]) -> Result<Option<Kubeconfig>> {
    let mut merged: Option<Kubeconfig> = None;
    for path in paths {
        let next = match Kubeconfig::read_from(path) {
            Ok(next) => next,
            // Like kubectl: what $KUBECONFIG lists need not exist.
            Err(KubeconfigError::ReadConfig(cause, _))
                if cause.kind() == std::io::ErrorKind::NotFound =>
            {
                continue;
            }
            Err(cause) => return Err(broken(path, &cause)),
        };
        merged = Some(match merged {
            None => next,
            Some(merged) => merged.merge(next).map_err(|cause| broken(path, &cause))?,
        });
    }
    Ok(merged)
}

/// The configuration of a context, `None`: of the current one.
pub(super) async fn load(
    kubeconfig: Kubeconfig,
    context: Option<&str>,
    paths: &[PathBuf],
) -> Result<Loaded> {
    let names: Vec<String> = kubeconfig
        .contexts
        .iter()
        .map(|named| named.name.clone())
        .collect();
    let files = list(paths);
    let Some(context) = context
        .map(str::to_owned)
        .or_else(|| kubeconfig.current_context.clone())
        .filter(|name| !name.is_empty())
    else {
        return Err(Error::usage(format!("no context is set in {files}"))
            .reason("NoContext")
            .hint(match names.as_slice() {
                [] => "the file names no cluster: ask for a kubeconfig of yours, or start a local cluster".to_owned(),
                names => format!("name one with --context: {}", names.join(", ")),
            }));
    };
    if !names.contains(&context) {
        return Err(
            Error::usage(format!("there is no context \"{context}\" in {files}"))
                .reason("UnknownContext")
                .maybe_hint(did_you_mean(&context, names.iter().map(String::as_str)))
                .hint(match names.as_slice() {
                    [] => "the file names no context".to_owned(),
                    names => format!("contexts: {}", names.join(", ")),
                }),
        );
    }
    let options = KubeConfigOptions {
        context: Some(context.clone()),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|cause| incomplete(&context, &files, &cause))?;
    Ok(Loaded { config, context })
}

/// The error for a kubeconfig that is not there.
pub(super) fn missing(paths: &[PathBuf]) -> Error {
    let error = match paths {
        [] => Error::usage(
            "there is no kubeconfig: the home directory is unknown and KUBECONFIG is not set",
        ),
        paths => Error::usage(format!("there is no kubeconfig at {}", list(paths))),
    };
    error
        .reason("NoKubeconfig")
        .hint("set KUBECONFIG, or start a local cluster (kind, k3d, minikube)")
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    names.join(" or ")
}

fn broken(path: &Path, cause: &KubeconfigError) -> Error {
    match cause {
        KubeconfigError::ReadConfig(io, _) => {
            let what = if io.kind() == std::io::ErrorKind::InvalidData {
                "is no text"
            } else {
                "cannot be read"
            };
            Error::usage(format!("the kubeconfig {} {what}", path.display()))
                .reason("UnreadableKubeconfig")
                .caused_by(io)
                .hint("name another one in KUBECONFIG")
        }
        KubeconfigError::Parse(parse) => {
            let error = Error::usage("this is no kubeconfig")
                .reason("BrokenKubeconfig")
                .caused_by(parse)
                .hint(
                    "name another one in KUBECONFIG, or get it anew from who gave you the cluster",
                );
            error.at(match parse.location() {
                Some(location) => Place::at(
                    path,
                    usize::try_from(location.line()).unwrap_or_default(),
                    usize::try_from(location.column()).unwrap_or_default(),
                ),
                None => Place::file(path),
            })
        }
        other => Error::usage(format!("the kubeconfig {} cannot be used", path.display()))
            .reason("BrokenKubeconfig")
            .caused_by(other),
    }
}

fn incomplete(context: &str, files: &str, cause: &KubeconfigError) -> Error {
    let error = |what: String| {
        Error::usage(what)
            .reason("BrokenKubeconfig")
            .caused_by(cause)
    };
    match cause {
        KubeconfigError::LoadClusterOfContext(name) => error(format!(
            "the context \"{context}\" names the cluster \"{name}\", which is not in {files}"
        )),
        KubeconfigError::MissingClusterUrl => error(format!(
            "the cluster of the context \"{context}\" has no server address"
        )),
        KubeconfigError::LoadCertificateAuthority(_)
        | KubeconfigError::LoadClientCertificate(_)
        | KubeconfigError::LoadClientKey(_)
        | KubeconfigError::ParseCertificates(_) => error(format!(
            "a certificate of the context \"{context}\" cannot be loaded"
        )),
        KubeconfigError::CurrentContextNotSet
        | KubeconfigError::KindMismatch
        | KubeconfigError::ApiVersionMismatch
        | KubeconfigError::LoadContext(_)
        | KubeconfigError::FindPath
        | KubeconfigError::ReadConfig(..)
        | KubeconfigError::Parse(_)
        | KubeconfigError::ParseClusterUrl(_)
        | KubeconfigError::ParseProxyUrl(_)
        | KubeconfigError::ParseNoProxy(_) => {
            error(format!("the context \"{context}\" cannot be used"))
        }
    }
}

#[cfg(test)]
mod tests;

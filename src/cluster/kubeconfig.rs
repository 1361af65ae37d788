//! Reading kubeconfig files as kubectl does, with errors that say which file and what to do.

use std::path::{Path, PathBuf};

use futures::FutureExt as _;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::cluster::address;
use crate::error::{Error, Place, Result, did_you_mean};
use crate::manifest::yaml;

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
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            // Like kubectl: what $KUBECONFIG lists need not exist.
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => continue,
            Err(cause) => {
                return Err(unreadable(path, "cannot be read").caused_by(&cause));
            }
        };
        let text = decode(&bytes).ok_or_else(|| unreadable(path, "is no text"))?;
        let mut next = Kubeconfig::from_yaml(&text).map_err(|cause| broken(path, &cause))?;
        resolve(&mut next, path.parent().unwrap_or(Path::new("")));
        merged = Some(match merged {
            None => next,
            Some(merged) => merged.merge(next).map_err(|cause| broken(path, &cause))?,
        });
    }
    Ok(merged)
}

/// The text of a file: UTF-8, or UTF-16 as Windows writes it, which its first bytes tell. `None` where it is neither.
fn decode(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|two| unit(*two)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty())
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        bytes => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// Paths in a kubeconfig count from its directory.
fn resolve(kubeconfig: &mut Kubeconfig, dir: &Path) {
    let absolute = |path: &mut Option<String>| {
        if let Some(path) = path
            && !path.is_empty()
        {
            *path = dir.join(&*path).to_string_lossy().into_owned();
        }
    };
    let clusters = kubeconfig.clusters.iter_mut();
    for cluster in clusters.filter_map(|named| named.cluster.as_mut()) {
        absolute(&mut cluster.certificate_authority);
    }
    let users = kubeconfig.auth_infos.iter_mut();
    for user in users.filter_map(|named| named.auth_info.as_mut()) {
        absolute(&mut user.client_certificate);
        absolute(&mut user.client_key);
        absolute(&mut user.token_file);
        // A name without a slash is looked for in PATH.
        if let Some(exec) = &mut user.exec
            && exec.command.as_ref().is_some_and(|name| name.contains('/'))
        {
            absolute(&mut exec.command);
        }
    }
}

/// The configuration of a context, `None`: of the current one. Reads the files of certificates that it names.
pub(super) fn load(
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
    let own_proxy = has_proxy(&kubeconfig, &context);
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .now_or_never()
        .ok_or_else(|| Error::failed("the kubeconfig was not read at once"))?
        .map_err(|cause| incomplete(&context, &files, &cause))?;
    if !own_proxy {
        config.proxy_url = proxy_of_environment(&config)?;
    }
    Ok(Loaded { config, context })
}

/// Whether the cluster of a context names its own proxy.
fn has_proxy(kubeconfig: &Kubeconfig, context: &str) -> bool {
    let context = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context);
    let cluster = context
        .and_then(|named| named.context.as_ref())
        .map(|context| context.cluster.as_str());
    kubeconfig
        .clusters
        .iter()
        .filter(|named| Some(named.name.as_str()) == cluster)
        .filter_map(|named| named.cluster.as_ref())
        .any(|cluster| {
            cluster
                .proxy_url
                .as_ref()
                .is_some_and(|url| !url.is_empty())
        })
}

/// The library asks `NO_PROXY` about the proxy, not about the server.
fn proxy_of_environment(config: &Config) -> Result<Option<http::Uri>> {
    let Some(proxy) =
        address::environment_proxy(&config.cluster_url, |name| std::env::var(name).ok())
    else {
        return Ok(None);
    };
    // `proxy.example:3128` is what many write.
    let written = if proxy.contains("://") {
        proxy
    } else {
        format!("http://{proxy}")
    };
    written.parse().map(Some).map_err(|cause| {
        Error::usage("HTTPS_PROXY is no address of a proxy")
            .caused_by(&cause)
            .hint("write http://HOST:PORT")
    })
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

fn unreadable(path: &Path, what: &str) -> Error {
    Error::usage(format!("the kubeconfig {} {what}", path.display()))
        .reason("UnreadableKubeconfig")
        .hint("name another one in KUBECONFIG")
}

/// A kubeconfig holds tokens, so no error quotes it: not the line, and not the value.
fn broken(path: &Path, cause: &KubeconfigError) -> Error {
    match cause {
        KubeconfigError::Parse(parse) => {
            let fault = yaml::fault(parse);
            Error::usage("this is no kubeconfig")
                .reason("BrokenKubeconfig")
                .cause(fault.what)
                .at(match fault.place {
                    Some((line, column)) => Place::at(path, line, column),
                    None => Place::file(path),
                })
                .hint(
                    "name another one in KUBECONFIG, or get it anew from who gave you the cluster",
                )
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

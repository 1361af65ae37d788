//! PURE: what the API server, or the connection to it, says → an error that a person can act on, with a stable reason.

mod connection;
mod fields;
mod status;

use std::fmt;

use kube::config::ExecConfig;

use crate::error::Error;

pub use fields::{FieldProblem, keys, problems};
pub use status::{MissingRight, from_status, missing_right};

/// What went wrong with a request. `attempt` completes "cannot …".
pub fn explain(server: &str, attempt: impl fmt::Display, cause: &kube::Error) -> Error {
    match cause {
        kube::Error::Api(status) => from_status(&attempt.to_string(), status),
        kube::Error::HyperError(inner) => connection::explain(server, &attempt.to_string(), inner),
        kube::Error::Service(inner) => {
            connection::explain(server, &attempt.to_string(), inner.as_ref())
        }
        kube::Error::ReadEvents(inner) => connection::explain(server, &attempt.to_string(), inner),
        kube::Error::UpgradeConnection(inner) => Error::failed(format!("cannot {attempt}"))
            .reason("UpgradeRefused")
            .caused_by(inner)
            .hint("a proxy between here and the API server may not pass WebSockets on"),
        kube::Error::Auth(inner) => Error::cluster(format!("cannot {attempt}: no credentials"))
            .reason("NoCredentials")
            .caused_by(inner)
            .hint("log in again with the tool that your kubeconfig uses"),
        kube::Error::RustlsTls(inner) => Error::cluster(format!("cannot {attempt}"))
            .reason("TlsFailed")
            .caused_by(inner),
        kube::Error::SerdeError(inner) => Error::failed(format!(
            "cannot {attempt}: the answer is not what was expected"
        ))
        .reason("UnexpectedAnswer")
        .caused_by(inner)
        .hint("is this a Kubernetes API server, of version 1.28 or later?"),
        kube::Error::ProxyProtocolUnsupported { .. }
        | kube::Error::ProxyProtocolDisabled { .. }
        | kube::Error::FromUtf8(_)
        | kube::Error::LinesCodecMaxLineLengthExceeded
        | kube::Error::HttpError(_)
        | kube::Error::BuildRequest(_)
        | kube::Error::InferConfig(_)
        | kube::Error::Discovery(_)
        | kube::Error::TlsRequired
        | kube::Error::InferKubeconfig(_) => {
            Error::failed(format!("cannot {attempt}")).caused_by(cause)
        }
    }
}

/// Why no connection can be prepared: most often a credential plug-in.
pub(super) fn credentials(context: &str, exec: Option<&ExecConfig>, cause: &kube::Error) -> Error {
    use kube::client::AuthError;
    let command = exec
        .and_then(|exec| exec.command.as_deref())
        .unwrap_or("its credential plug-in");
    let install = exec.and_then(|exec| exec.install_hint.clone());
    match cause {
        kube::Error::Auth(AuthError::AuthExecStart(io)) if io.kind() == std::io::ErrorKind::NotFound => {
            Error::cluster(format!(
                "the context \"{context}\" needs the program \"{command}\" to log in, and it is not installed"
            ))
            .reason("CredentialPluginMissing")
            .maybe_hint(install)
            .hint(format!("install {command}, or choose another context with --context"))
        }
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => {
            let said = String::from_utf8_lossy(&out.stderr);
            let error = Error::cluster(format!("\"{command}\" could not log in to \"{context}\" ({})", out.status))
                .reason("CredentialPluginFailed");
            let error = said
                .lines()
                .rev()
                .find(|line| !line.trim().is_empty())
                .map_or_else(|| error.clone(), |line| error.clone().cause(line.trim()));
            error.hint(format!("run {command} by hand, or log in again"))
        }
        kube::Error::Auth(inner) => Error::cluster(format!("no credentials for the context \"{context}\""))
            .reason("NoCredentials")
            .caused_by(inner)
            .hint("log in again with the tool that made this kubeconfig"),
        kube::Error::RustlsTls(inner) => Error::usage(format!("a certificate or key of the context \"{context}\" is broken"))
            .reason("BrokenKubeconfig")
            .caused_by(inner),
        kube::Error::ProxyProtocolUnsupported { proxy_url } | kube::Error::ProxyProtocolDisabled { proxy_url, .. } => {
            Error::usage(format!("the context \"{context}\" names a proxy that cannot be used: {proxy_url}"))
                .reason("BrokenKubeconfig")
                .hint("http, https and socks5 proxies can be used")
        }
        kube::Error::Api(_)
        | kube::Error::HyperError(_)
        | kube::Error::Service(_)
        | kube::Error::FromUtf8(_)
        | kube::Error::LinesCodecMaxLineLengthExceeded
        | kube::Error::ReadEvents(_)
        | kube::Error::HttpError(_)
        | kube::Error::SerdeError(_)
        | kube::Error::BuildRequest(_)
        | kube::Error::InferConfig(_)
        | kube::Error::Discovery(_)
        | kube::Error::TlsRequired
        | kube::Error::UpgradeConnection(_)
        | kube::Error::InferKubeconfig(_) => {
            Error::cluster(format!("cannot connect with the context \"{context}\"")).caused_by(cause)
        }
    }
}

#[cfg(test)]
mod tests;

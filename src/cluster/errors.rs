//! PURE: what the API server, or the connection to it, says → an error that a person can act on, with a stable reason.

mod connection;
mod fields;
mod status;

use std::fmt;

use crate::error::Error;

use super::address;

pub use fields::{FieldProblem, keys, problems};
pub use status::{MissingRight, from_status, missing_right};

/// How requests get to the API server: the addresses, as they may be shown.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The API server.
    pub server: &'a str,
    /// The proxy in front of it, where it is known.
    pub proxy: Option<&'a str>,
}

/// What went wrong with a request. `attempt` completes "cannot …".
pub fn explain(route: Route<'_>, attempt: impl fmt::Display, cause: &kube::Error) -> Error {
    match cause {
        kube::Error::Api(status) => from_status(&attempt.to_string(), status),
        kube::Error::HyperError(inner) => connection::explain(route, &attempt.to_string(), inner),
        kube::Error::Service(inner) => match inner.downcast_ref::<Error>() {
            // A credential plug-in that failed says itself what is wrong.
            Some(told) => told.clone(),
            None => connection::explain(route, &attempt.to_string(), inner.as_ref()),
        },
        kube::Error::ReadEvents(inner) => connection::explain(route, &attempt.to_string(), inner),
        kube::Error::UpgradeConnection(inner) => Error::failed(format!("cannot {attempt}"))
            .reason("UpgradeRefused")
            .caused_by(inner)
            .hint("a proxy between here and the API server may not pass WebSockets on"),
        // Its text may hold what a program answered, which is secret.
        kube::Error::Auth(_) => Error::cluster(format!("cannot {attempt}: no credentials"))
            .reason("NoCredentials")
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

/// Why no connection can be prepared with the credentials of a context.
pub(super) fn credentials(context: &str, cause: &kube::Error) -> Error {
    match cause {
        kube::Error::Auth(_) => Error::cluster(format!("no credentials for the context \"{context}\""))
            .reason("NoCredentials")
            .hint("log in again with the tool that made this kubeconfig"),
        kube::Error::HttpError(_) => Error::usage(format!(
            "whom the context \"{context}\" acts as cannot be sent: a name holds a character that no header can have"
        ))
        .reason("BrokenKubeconfig")
        .hint("see `as`, `as-uid`, `as-groups` and `as-user-extra` of its user"),
        kube::Error::InferKubeconfig(inner) => Error::usage(format!("a certificate or key of the context \"{context}\" cannot be loaded"))
            .reason("BrokenKubeconfig")
            .caused_by(inner),
        kube::Error::RustlsTls(inner) => Error::usage(format!("a certificate or key of the context \"{context}\" is broken"))
            .reason("BrokenKubeconfig")
            .caused_by(inner),
        kube::Error::ProxyProtocolUnsupported { proxy_url } | kube::Error::ProxyProtocolDisabled { proxy_url, .. } => {
            let proxy_url = address::without_user(proxy_url);
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
        | kube::Error::SerdeError(_)
        | kube::Error::BuildRequest(_)
        | kube::Error::InferConfig(_)
        | kube::Error::Discovery(_)
        | kube::Error::TlsRequired
        | kube::Error::UpgradeConnection(_) => {
            Error::cluster(format!("cannot connect with the context \"{context}\"")).caused_by(cause)
        }
    }
}

#[cfg(test)]
mod tests;

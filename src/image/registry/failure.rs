//! What a registry's refusal means, for the person who reads it.

use oci_client::Reference;
use oci_client::errors::{OciDistributionError, OciErrorCode};

use crate::error::Error;

/// Whether this is the answer "no such image".
pub(super) fn is_missing(cause: &OciDistributionError) -> bool {
    match cause {
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| {
                matches!(
                    error.code,
                    OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::NotFound
                )
            })
        }
        OciDistributionError::ServerError { code: 404, .. }
        | OciDistributionError::ImageManifestNotFoundError(_) => true,
        _ => false,
    }
}

/// Whether this is a refusal for want of rights.
pub(super) fn is_refused(cause: &OciDistributionError) -> bool {
    match cause {
        OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::ServerError {
            code: 401 | 403, ..
        } => true,
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| {
                matches!(
                    error.code,
                    OciErrorCode::Unauthorized | OciErrorCode::Denied
                )
            })
        }
        OciDistributionError::RequestError(cause) => cause
            .status()
            .is_some_and(|status| matches!(status.as_u16(), 401 | 403)),
        _ => false,
    }
}

/// An error about a request. `credentials` says where those that were used came from.
pub(super) fn registry_error(
    verb: &str,
    reference: &Reference,
    cause: &OciDistributionError,
    credentials: Option<&str>,
) -> Error {
    let host = reference.registry();
    if is_refused(cause) {
        return Error::failed(format!(
            "registry {host} refused to let us {verb} {reference}"
        ))
        .reason("RegistryUnauthorized")
        .cause(match credentials {
            Some(origin) => format!("asked with {origin}"),
            None => "asked without credentials".to_owned(),
        })
        .caused_by(&Told(refusal(cause)))
        .hint(format!(
            "`docker login {host}` (or podman's, or buildah's) with an account that may"
        ));
    }
    if let OciDistributionError::RequestError(request) = cause
        && (request.is_connect() || request.is_timeout())
    {
        let error = Error::failed(format!("registry {host} cannot be reached"))
            .reason("RegistryUnreachable")
            .caused_by(request);
        return if speaks_plain(request) {
            error.hint(format!("if it has no TLS, write `registry: http://{host}`"))
        } else {
            error.hint("is it running, and is its name right?")
        };
    }
    Error::failed(format!("cannot {verb} {reference}"))
        .reason("RegistryFailed")
        .caused_by(cause)
}

/// The registry's own words: addresses and JSON around them say nothing more.
fn refusal(cause: &OciDistributionError) -> String {
    match cause {
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .map(|error| error.message.clone())
            .collect::<Vec<_>>()
            .join("; "),
        OciDistributionError::UnauthorizedError { .. } => "401 Unauthorized".to_owned(),
        OciDistributionError::ServerError { code, .. } => format!("HTTP status {code}"),
        other => other.to_string(),
    }
}

#[derive(Debug)]
struct Told(String);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}

/// Whether a TLS handshake was answered with something that is none.
fn speaks_plain(cause: &dyn std::error::Error) -> bool {
    let mut next = cause.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if text.contains("InvalidContentType") || text.contains("corrupt message") {
            return true;
        }
        next = cause.source();
    }
    false
}

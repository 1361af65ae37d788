//! Why an image cannot be had, read from what kubelet and container runtimes say.

use serde::Serialize;

use crate::cluster::health::{Reason, Trouble};
use crate::manifest::ObjectKey;

/// Why an image could not be pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullFailure {
    /// The registry answers, but has no such repository or tag.
    NotFound,
    /// The registry wants other credentials.
    Unauthorized,
    /// The registry does not answer, or not in the expected protocol.
    Unreachable,
    /// The registry refuses because of too many pulls.
    RateLimited,
    /// `imagePullPolicy: Never`, and the node does not have it.
    NeverPulled,
    /// The reference is not well-formed.
    InvalidName,
    /// The image is not made for the node's architecture.
    WrongPlatform,
    /// Something else; the message says what.
    Other,
}

/// Classifies by the waiting reason and message of a container (containerd, CRI-O, dockerd).
pub fn classify_pull(reason: &str, message: &str) -> PullFailure {
    match reason {
        "ErrImageNeverPull" => return PullFailure::NeverPulled,
        "InvalidImageName" => return PullFailure::InvalidName,
        _ => {}
    }
    let text = message.to_lowercase();
    let has = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    // Order matters: an unreachable registry's message may end in "not found" too.
    if has(&[
        "no such host",
        "name resolution",
        "connection refused",
        "i/o timeout",
        "no route to host",
        "network is unreachable",
        "tls handshake",
        "x509",
        "certificate",
        "server gave http response to https client",
        "context deadline exceeded",
        "connection reset",
        "server misbehaving",
        "502 bad gateway",
        "503 service unavailable",
        "504 gateway",
    ]) {
        PullFailure::Unreachable
    } else if has(&["toomanyrequests", "429 too many", "rate limit"]) {
        PullFailure::RateLimited
    } else if has(&[
        "unauthorized",
        "401",
        "403 forbidden",
        "authorization failed",
        "insufficient_scope",
        "pull access denied",
        "no basic auth credentials",
        "authentication required",
        "access denied",
        "permission denied",
    ]) {
        PullFailure::Unauthorized
    } else if has(&["no match for platform", "no matching manifest"]) {
        PullFailure::WrongPlatform
    } else if has(&[
        "not found",
        "manifest unknown",
        "name unknown",
        "name_unknown",
        "manifest_unknown",
    ]) {
        PullFailure::NotFound
    } else {
        PullFailure::Other
    }
}

/// Whether a waiting reason is about the image.
pub(super) fn is_image_reason(reason: &str) -> bool {
    matches!(
        reason,
        "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "InvalidImageName"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed"
    )
}

/// The trouble of a container that waits for its image. `event` is what the last `Failed` event said: `ImagePullBackOff`
/// alone says little before Kubernetes 1.31.
pub(super) fn trouble(
    pod: ObjectKey,
    container: &str,
    image: &str,
    reason: &str,
    message: &str,
    event: Option<&str>,
) -> Trouble {
    let said = [message, event.unwrap_or_default()];
    let why = said
        .iter()
        .map(|text| classify_pull(reason, text))
        .find(|why| *why != PullFailure::Other)
        .unwrap_or(PullFailure::Other);
    let registry = registry_of(image);
    let (text, hint) = match why {
        PullFailure::NotFound => (
            format!("the registry has no image {image}"),
            format!("check the name and tag; `dev up` pushes what dev.yaml builds, anything else must be in {registry}"),
        ),
        PullFailure::Unauthorized => (
            format!("the registry refuses to give out {image}: no right to pull it, or it does not exist"),
            format!("give the pod's service account an imagePullSecret for {registry}"),
        ),
        PullFailure::Unreachable => (
            format!("the node cannot reach the registry of {image}"),
            format!("{registry} must be reachable from the nodes under this very name, with a certificate they trust"),
        ),
        PullFailure::RateLimited => (
            format!("the registry refuses {image}: too many pulls"),
            format!("wait, or pull with credentials, or through a mirror of {registry}"),
        ),
        PullFailure::NeverPulled => (
            format!("the node does not have {image}, and imagePullPolicy is Never"),
            "load the image into every node, or drop `imagePullPolicy: Never`".to_owned(),
        ),
        PullFailure::InvalidName => (
            format!("\"{image}\" is no well-formed image reference"),
            "expected [REGISTRY/]NAME[:TAG], in lower case".to_owned(),
        ),
        PullFailure::WrongPlatform => (
            format!("{image} is not made for the node's architecture"),
            "build it for the architecture of the nodes (`kubectl get nodes -L kubernetes.io/arch`)".to_owned(),
        ),
        PullFailure::Other => (
            format!("the image {image} cannot be pulled"),
            "the cluster's own words are above".to_owned(),
        ),
    };
    let said = if classify_pull(reason, message) == PullFailure::Other {
        event.unwrap_or(message)
    } else {
        message
    };
    Trouble::new(Reason::ImagePull { why }, pod, text)
        .container(container)
        .detail(strip_back_off(said))
        .hint(hint)
}

/// The registry's host of a reference; Docker Hub where it names none.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// `Back-off pulling image "x": ErrImagePull: why` and `Failed to pull image "x": why` → `why`.
fn strip_back_off(message: &str) -> &str {
    let parts = if message.starts_with("Back-off pulling image") {
        message.split_once("ErrImagePull: ")
    } else if message.starts_with("Failed to pull image") {
        message.split_once("\": ")
    } else {
        None
    };
    parts.map_or(message, |(_, why)| why)
}

//! Why a controller cannot make pods: quota, Pod Security, limit ranges, webhooks, policies.

use crate::cluster::health::{Reason, Trouble};
use crate::manifest::ObjectKey;

/// Who refused a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A ResourceQuota is used up. Its name.
    Quota(String),
    /// A ResourceQuota counts something that the pod does not declare. Its name.
    QuotaWants(String),
    /// A LimitRange.
    LimitRange,
    /// Pod Security admission, with the level.
    PodSecurity(String),
    /// A webhook said no. Its name.
    Webhook(String),
    /// A webhook does not answer. Its name.
    WebhookDown(String),
    /// A ValidatingAdmissionPolicy. Its name.
    Policy(String),
    /// The pod's service account is missing. Its name.
    ServiceAccount(String),
    /// The pod's PriorityClass is missing.
    PriorityClass,
    /// The namespace is being deleted.
    Terminating,
    /// Something else.
    Other,
}

/// Reads the message of a `FailedCreate` event or `ReplicaFailure` condition.
pub fn classify_refusal(message: &str) -> Refusal {
    let after = |needle: &str, end: &[char]| {
        message.split_once(needle).map(|(_, rest)| {
            let end = rest.find(end).unwrap_or(rest.len());
            rest[..end].trim().to_owned()
        })
    };
    if let Some(quota) = after("exceeded quota: ", &[',']) {
        Refusal::Quota(quota)
    } else if let Some(quota) = after("failed quota: ", &[':', ',']) {
        Refusal::QuotaWants(quota)
    } else if let Some(level) = after("violates PodSecurity \"", &['"']) {
        Refusal::PodSecurity(level)
    } else if let Some(name) = after("failed calling webhook \"", &['"']) {
        Refusal::WebhookDown(name)
    } else if let Some(name) = after("admission webhook \"", &['"']) {
        Refusal::Webhook(name)
    } else if let Some(name) = after("ValidatingAdmissionPolicy '", &['\'']) {
        Refusal::Policy(name)
    } else if let Some(name) = after("serviceaccount \"", &['"']) {
        Refusal::ServiceAccount(name)
    } else if message.contains("no PriorityClass with name") {
        Refusal::PriorityClass
    } else if message.contains("usage per Container")
        || message.contains("usage per Pod")
        || message.contains("limit to request ratio")
    {
        Refusal::LimitRange
    } else if message.contains("because it is being terminated") {
        Refusal::Terminating
    } else {
        Refusal::Other
    }
}

/// The trouble of a controller that cannot make its pods.
pub(super) fn trouble(owner: ObjectKey, message: &str) -> Trouble {
    let refused = |by: &str| Reason::AdmissionRefused { by: by.to_owned() };
    let (reason, text, hint) = match classify_refusal(message) {
        Refusal::Quota(quota) => (
            Reason::QuotaExceeded,
            format!(
                "quota {quota} of the namespace is used up: {}",
                quota_figures(message)
            ),
            format!(
                "remove what is not used, lower resources.requests, or raise it (`kubectl describe quota {quota}`)"
            ),
        ),
        Refusal::QuotaWants(quota) => (
            Reason::QuotaExceeded,
            format!(
                "quota {quota} asks for values that the pod lacks: {}",
                tail(message, "failed quota: ")
            ),
            "set resources.requests and limits, or put a LimitRange with defaults beside the quota"
                .to_owned(),
        ),
        Refusal::LimitRange => (
            refused("LimitRange"),
            "a LimitRange of the namespace refuses the pod's resources".to_owned(),
            "see `kubectl describe limitrange`".to_owned(),
        ),
        Refusal::PodSecurity(level) => (
            refused("PodSecurity"),
            format!("Pod Security level {level} refuses the pod"),
            "set what the message names in the securityContext of the pod and its containers"
                .to_owned(),
        ),
        Refusal::Webhook(name) => (
            refused(&name),
            format!("the admission webhook {name} refuses the pod"),
            "its own words are above; ask those who run it".to_owned(),
        ),
        Refusal::WebhookDown(name) => (
            refused(&name),
            format!("the admission webhook {name} does not answer, so no pod can be made"),
            "nothing is wrong with the service: those who run the webhook must mend it".to_owned(),
        ),
        Refusal::Policy(name) => (
            refused(&name),
            format!("the admission policy {name} refuses the pod"),
            format!("see `kubectl get validatingadmissionpolicy {name} -o yaml`"),
        ),
        Refusal::ServiceAccount(name) => (
            Reason::PodCreation,
            format!("the service account {name} does not exist"),
            "add the ServiceAccount to the service's manifests".to_owned(),
        ),
        Refusal::PriorityClass => (
            Reason::PodCreation,
            "the pod's PriorityClass does not exist".to_owned(),
            "see `kubectl get priorityclass`".to_owned(),
        ),
        Refusal::Terminating => (
            Reason::PodCreation,
            "the namespace is being deleted".to_owned(),
            "wait until it is gone, then run the command again".to_owned(),
        ),
        Refusal::Other => (
            Reason::PodCreation,
            "its pods cannot be made".to_owned(),
            "the cluster's own words are above".to_owned(),
        ),
    };
    Trouble::new(reason, owner, text).detail(message).hint(hint)
}

/// `exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4` → `requested pods=1, used pods=4, limited pods=4`.
fn quota_figures(message: &str) -> String {
    match message.find("requested: ") {
        Some(at) => message[at..].replace(": ", " "),
        None => message.to_owned(),
    }
}

fn tail<'a>(message: &'a str, needle: &str) -> &'a str {
    let rest = message.split_once(needle).map_or(message, |(_, rest)| rest);
    rest.split_once(": ").map_or(rest, |(_, rest)| rest)
}

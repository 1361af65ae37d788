//! What a Status of the API server means.

use kube::core::Status;
use kube::core::response::StatusCause;

use crate::cluster::errors::fields;
use crate::error::{Error, Kind};

/// What the server refused, by code, reason and message. One arm for each case that a person can do something different about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Unauthenticated,
    MissingRight,
    RightsEscalation,
    Quota,
    Limits,
    PodSecurity,
    NamespaceTerminating,
    NamespaceMissing,
    Webhook,
    Policy,
    OtherForbidden,
    NotServed,
    NotFound,
    FieldConflict,
    Exists,
    Outdated,
    Immutable,
    Invalid,
    Malformed,
    TooLarge,
    Busy,
    WebhookDown,
    Internal,
    Other,
}

/// An error for people from a refusal of the API server.
pub fn from_status(attempt: &str, status: &Status) -> Error {
    let refusal = classify(status);
    let error = |kind: Kind, why: &str| Error::new(kind, format!("cannot {attempt}: {why}"));
    let message = status.message.trim();
    match refusal {
        Refusal::Unauthenticated => error(Kind::Cluster, "the cluster does not accept these credentials")
            .reason("Unauthenticated")
            .hint("they may have expired: log in again, then check with: kubectl auth whoami"),
        Refusal::MissingRight => refused_right(attempt, message),
        Refusal::RightsEscalation => error(Kind::Cluster, "it would give rights that you do not have yourself")
            .reason("RightsEscalation")
            .cause(message)
            .hint("ask an administrator of the cluster for these rights, or to apply it"),
        Refusal::Quota => error(Kind::Failed, "the quota of the namespace is used up")
            .reason("QuotaExceeded")
            .cause(message)
            .hint("remove what is not needed (dev down), ask for less (resources), or ask for a larger quota"),
        Refusal::Limits => error(Kind::Failed, "it is outside of the limits of the namespace")
            .reason("LimitExceeded")
            .cause(message)
            .hint("kubectl describe limitrange shows what is allowed"),
        Refusal::PodSecurity => error(Kind::Failed, "the Pod Security level of the namespace forbids it")
            .reason("PodSecurity")
            .cause(message)
            .hint("set in the pod's securityContext what is listed, or ask for another level"),
        Refusal::NamespaceTerminating => error(Kind::Failed, "the namespace is being deleted")
            .reason("NamespaceTerminating")
            .hint("run the command again: it waits for the end of the namespace"),
        Refusal::NamespaceMissing => error(Kind::Failed, "the namespace does not exist")
            .reason("NamespaceMissing")
            .cause(message)
            .hint("ask for the namespace, or for the right to create namespaces"),
        Refusal::Webhook => error(Kind::Failed, "an admission webhook of the cluster refuses it")
            .reason("AdmissionRefused")
            .cause(message),
        Refusal::Policy => error(Kind::Failed, "an admission policy of the cluster refuses it")
            .reason("AdmissionRefused")
            .cause(message),
        Refusal::OtherForbidden => error(Kind::Cluster, "the cluster forbids it")
            .reason("Forbidden")
            .cause(message),
        Refusal::NotServed => error(Kind::Failed, "this cluster does not serve that kind")
            .reason("UnknownKind")
            .hint("check apiVersion and kind; for a custom resource, install its CustomResourceDefinition first"),
        Refusal::NotFound => error(Kind::Failed, "it does not exist").reason("NotFound").cause(message),
        Refusal::FieldConflict => field_conflict(attempt, status),
        Refusal::Exists => error(Kind::Failed, "it exists already").reason("AlreadyExists").cause(message),
        Refusal::Outdated => error(Kind::Failed, "it was changed by somebody else at the same time")
            .reason("Conflict")
            .hint("run the command again"),
        Refusal::Immutable => with_fields(error(Kind::Failed, "a field cannot be changed on an object that exists"), status)
            .reason("ImmutableField")
            .hint("--recreate deletes it and makes it anew"),
        Refusal::Invalid => {
            with_fields(error(Kind::Failed, "the cluster finds it invalid"), status)
                .reason("Invalid")
                .hint("`dev render` prints it as it is applied")
        }
        Refusal::Malformed => with_fields(error(Kind::Failed, "the cluster cannot read it"), status)
            .reason("Malformed")
            .hint("a field has a wrong name or a value of a wrong type"),
        Refusal::TooLarge => error(Kind::Failed, "it is too large")
            .reason("TooLarge")
            .cause(message)
            .hint("an object may have some 1.5 MB, a ConfigMap or Secret 1 MiB"),
        Refusal::Busy => error(Kind::Cluster, "the API server has too much to do")
            .reason("ServerBusy")
            .cause(message)
            .hint("it was asked again for some seconds; run the command again later"),
        Refusal::WebhookDown => error(Kind::Failed, "an admission webhook of the cluster does not answer")
            .reason("WebhookUnavailable")
            .cause(message)
            .hint("that webhook's own pods are not ready: ask who runs it"),
        Refusal::Internal => error(Kind::Cluster, "the API server failed").reason("ServerError").cause(message),
        Refusal::Other => error(Kind::Failed, "the cluster refuses it").reason("Refused").cause(if message.is_empty() {
            format!("HTTP status {}", status.code)
        } else {
            message.to_owned()
        }),
    }
}

fn classify(status: &Status) -> Refusal {
    let message = status.message.as_str();
    let has = |text: &str| message.contains(text);
    let cause = |reason: &str| causes(status).iter().any(|cause| cause.reason == reason);
    // Admission refuses with whatever code it likes.
    if has("admission webhook") && has("denied the request") {
        return Refusal::Webhook;
    }
    if has("ValidatingAdmissionPolicy") && has("denied request") {
        return Refusal::Policy;
    }
    if has("failed calling webhook") || has("failed to call webhook") {
        return Refusal::WebhookDown;
    }
    match status.code {
        401 => Refusal::Unauthenticated,
        403 if cause("NamespaceTerminating") || has("because it is being terminated") => {
            Refusal::NamespaceTerminating
        }
        403 if has("exceeded quota") || has("failed quota") => Refusal::Quota,
        403 if has("violates PodSecurity") => Refusal::PodSecurity,
        403 if has("attempting to grant RBAC permissions not currently held") => {
            Refusal::RightsEscalation
        }
        403 if has(" cannot ") && has("User ") => Refusal::MissingRight,
        403 if has("usage per ") || has("Limit") => Refusal::Limits,
        403 => Refusal::OtherForbidden,
        404 if names_namespace(status) => Refusal::NamespaceMissing,
        404 if has("the server could not find the requested resource")
            || has("404 page not found") =>
        {
            Refusal::NotServed
        }
        404 => Refusal::NotFound,
        409 if cause("FieldManagerConflict") => Refusal::FieldConflict,
        409 if status.reason == "AlreadyExists" => Refusal::Exists,
        409 if cause("NamespaceTerminating") || has("because it is being terminated") => {
            Refusal::NamespaceTerminating
        }
        409 => Refusal::Outdated,
        422 if has("is immutable")
            || has("may not change")
            || has("updates to statefulset spec") =>
        {
            Refusal::Immutable
        }
        422 => Refusal::Invalid,
        400 | 415 => Refusal::Malformed,
        413 => Refusal::TooLarge,
        429 | 502..=504 => Refusal::Busy,
        // What does not fit the schema is no fault of the server, but it says so.
        500 if has("failed to create typed patch object")
            || has("unable to convert unstructured object") =>
        {
            Refusal::Malformed
        }
        500 if has("etcdserver: request is too large") => Refusal::TooLarge,
        500.. => Refusal::Internal,
        _ => Refusal::Other,
    }
}

fn causes(status: &Status) -> &[StatusCause] {
    status
        .details
        .as_ref()
        .map_or(&[], |details| &details.causes)
}

fn names_namespace(status: &Status) -> bool {
    status
        .details
        .as_ref()
        .is_some_and(|details| details.kind == "namespaces")
}

/// Adds what the server says about single fields.
fn with_fields(error: Error, status: &Status) -> Error {
    fields::problems(status)
        .into_iter()
        .fold(error, |error, one| {
            if one.path.is_empty() {
                error.cause(one.problem)
            } else {
                error.cause(format!("{}: {}", one.path, one.problem))
            }
        })
}

/// A right that somebody has not. Completes "cannot …: USER has not the right to …".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRight {
    /// The user, as the cluster names them.
    pub user: String,
    /// Such as `create`.
    pub verb: String,
    /// API group, empty for the core group.
    pub group: String,
    /// The plural name, with a subresource after a slash.
    pub resource: String,
    /// `None`: in the whole cluster.
    pub namespace: Option<String>,
    /// One object; `None`: any.
    pub name: Option<String>,
}

impl MissingRight {
    /// What the authorizer said: `pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "a"`.
    fn parse(message: &str) -> Option<Self> {
        let quoted = |after: &str| {
            let (_, rest) = message.split_once(after)?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        let (_, rest) = message.split_once("\" cannot ")?;
        let (verb, _) = rest.split_once(' ')?;
        Some(Self {
            user: quoted("User \"")?,
            verb: verb.to_owned(),
            resource: quoted(" resource \"")?,
            group: quoted("in API group \"").unwrap_or_default(),
            namespace: quoted("in the namespace \""),
            name: None,
        })
    }

    /// The resource as kubectl names it: `deployments.apps/scale`.
    fn resource(&self) -> String {
        if self.group.is_empty() {
            return self.resource.clone();
        }
        match self.resource.split_once('/') {
            Some((resource, subresource)) => format!("{resource}.{}/{subresource}", self.group),
            None => format!("{}.{}", self.resource, self.group),
        }
    }

    fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("in the namespace {namespace}"),
            None => "in the whole cluster".to_owned(),
        }
    }
}

impl std::fmt::Display for MissingRight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource())?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        write!(f, " {}", self.place())
    }
}

/// The error of a right that is missing, with who can give it. `attempt` completes "cannot …".
pub fn missing_right(attempt: &str, right: &MissingRight) -> Error {
    let (role, binding) = match &right.namespace {
        Some(namespace) => (format!("-n {namespace} create role"), "a RoleBinding"),
        None => ("create clusterrole".to_owned(), "a ClusterRoleBinding"),
    };
    let name = right
        .name
        .as_ref()
        .map_or(String::new(), |name| format!(" --resource-name={name}"));
    let MissingRight { user, verb, .. } = right;
    Error::cluster(format!("cannot {attempt}: {user} has not the right to {right}"))
        .reason("MissingRight")
        .hint(format!(
            "an administrator gives it with a role and {binding} for {user}: kubectl {role} NAME --verb={verb} --resource={}{name}",
            right.resource()
        ))
}

/// The same from the words of the authorizer.
fn refused_right(attempt: &str, message: &str) -> Error {
    match MissingRight::parse(message) {
        Some(right) => missing_right(attempt, &right),
        None => Error::cluster(format!("cannot {attempt}: a right is missing"))
            .reason("MissingRight")
            .cause(message),
    }
}

/// A field that another manager owns: `conflict with "kubectl-edit" using apps/v1: .spec.replicas`.
fn field_conflict(attempt: &str, status: &Status) -> Error {
    let mut managers: Vec<&str> = Vec::new();
    let mut fields: Vec<&str> = Vec::new();
    for cause in causes(status)
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
    {
        let manager = cause
            .message
            .split_once("conflict with \"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map_or(cause.message.as_str(), |(manager, _)| manager);
        if !managers.contains(&manager) {
            managers.push(manager);
        }
        fields.push(cause.field.trim_start_matches('.'));
    }
    let only_replicas = fields.iter().all(|field| *field == "spec.replicas");
    let error = Error::failed(format!(
        "cannot {attempt}: {} belongs to {}",
        fields.join(", "),
        managers.join(", ")
    ))
    .reason("FieldConflict");
    let error = causes(status)
        .iter()
        .fold(error, |error, cause| error.cause(cause.message.trim()));
    if only_replicas {
        error.hint("an autoscaler or kubectl scale set the number of replicas: leave spec.replicas out of the manifest")
    } else {
        error
            .hint("leave these fields out of the manifest, or give them the values that they have now")
            .hint("or take them over: delete the object and run the command again")
    }
}

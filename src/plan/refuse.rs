//! What is refused because it belongs to somebody else: objects, and namespaces of other environments.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::manifest::ObjectKey;
use crate::manifest::labels::{self, Stamp};
use crate::plan::{Holder, Live, holder};

/// Why an object that is there is not written to; `None` where it is the environment's. `recorded`: the inventory lists it.
pub fn refusal(key: &ObjectKey, live: &Live, stamp: &Stamp, recorded: bool) -> Option<Error> {
    if is_shared_by_kubernetes(key) {
        return None;
    }
    match holder(live, stamp, recorded) {
        Holder::Us => None,
        Holder::OtherEnvironment(other) => Some(
            Error::failed(format!("{key} belongs to the environment {other}"))
                .reason("OwnedByAnotherEnvironment")
                .hint("choose another name with --env, or another namespace with --namespace"),
        ),
        Holder::Foreign(who) => Some(foreign(key, who.as_deref(), &stamp.env)),
    }
}

/// Objects that Kubernetes makes in every namespace and that manifests may add to.
fn is_shared_by_kubernetes(key: &ObjectKey) -> bool {
    key.api_version == "v1" && key.kind == "ServiceAccount" && key.name == "default"
}

fn foreign(key: &ObjectKey, who: Option<&str>, env: &str) -> Error {
    let by = who.map_or(String::new(), |who| format!(" (managed by {who})"));
    Error::failed(format!("{key} exists and was not made by dev{by}"))
        .reason("NotMadeByDev")
        .hint(format!(
            "delete it, rename it in the manifests, or hand it over: kubectl label {} {} {}={} {}={env}{}",
            key.kind.to_ascii_lowercase(),
            key.name,
            labels::MANAGED_BY,
            labels::MANAGER,
            labels::ENV,
            key.namespace
                .as_deref()
                .map_or(String::new(), |namespace| format!(" -n {namespace}")),
        ))
}

/// Fails for a namespace with these labels that is another environment's. One that no environment has may be used.
pub fn check_namespace(name: &str, labels: &BTreeMap<String, String>, stamp: &Stamp) -> Result<()> {
    let get = |key: &str| labels.get(key).map(String::as_str);
    let (Some(labels::MANAGER), Some(env)) = (get(labels::MANAGED_BY), get(labels::ENV)) else {
        return Ok(());
    };
    let app = get(labels::APP).unwrap_or(&stamp.app);
    // A version beside the base's own ones, in the namespace that `dev deploy` made.
    let beside = env == labels::BASE_VERSION && stamp.base.as_deref() == Some(name);
    if (env == stamp.env || beside) && app == stamp.app {
        return Ok(());
    }
    Err(Error::usage(format!(
        "the namespace {name} belongs to the environment \"{env}\" of \"{app}\""
    ))
    .reason("NamespaceTaken")
    .hint("choose another name with --env, or another namespace with --namespace"))
}

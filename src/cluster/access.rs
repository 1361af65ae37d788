//! Which rights a command takes, asked for before its first write: a right that is missing is named then, and nothing is half done.
//!
//! One SelfSubjectRulesReview tells most of it. An authorizer need not list its rules, so what they do not show is asked one by one.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use http::Request;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::errors::{MissingRight, missing_right};
use crate::cluster::health::Watched;
use crate::cluster::request::Failure;
use crate::error::Result;
use crate::manifest::{ObjectKey, labels};
use crate::plan::{Action, NamespaceStep, Plan};

/// Requests in flight at once.
const PARALLEL: usize = 16;

/// The right to do something with objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Right {
    /// Such as `create`.
    pub verb: &'static str,
    /// API group, empty for the core group.
    pub group: String,
    /// The plural name, with a subresource after a slash: `services/proxy`.
    pub resource: String,
    /// `None`: in the whole cluster.
    pub namespace: Option<String>,
    /// One object; `None`: any.
    pub name: Option<String>,
}

impl Right {
    /// A right to objects of the core group in a namespace.
    pub fn core(verb: &'static str, resource: &str, namespace: &str) -> Self {
        Self {
            verb,
            group: String::new(),
            resource: resource.to_owned(),
            namespace: Some(namespace.to_owned()),
            name: None,
        }
    }

    /// The same for one object.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Whether a rule of a SelfSubjectRulesReview gives this right.
    fn is_in(&self, rule: &Value) -> bool {
        let any = |field: &str, wanted: &[&str]| {
            let listed = rule[field].as_array().into_iter().flatten();
            listed
                .filter_map(Value::as_str)
                .any(|one| one == "*" || wanted.contains(&one))
        };
        let subresource = self
            .resource
            .split_once('/')
            .map(|(_, sub)| format!("*/{sub}"));
        let mut resources = vec![self.resource.as_str()];
        resources.extend(subresource.as_deref());
        let names = rule["resourceNames"].as_array();
        let named = names.is_none_or(|names| {
            names.is_empty()
                || self
                    .name
                    .as_ref()
                    .is_some_and(|name| names.iter().any(|one| one == name))
        });
        named
            && any("verbs", &[self.verb])
            && any("apiGroups", &[self.group.as_str()])
            && any("resources", &resources)
    }

    /// The `resourceAttributes` of a SelfSubjectAccessReview.
    fn attributes(&self) -> Value {
        let (resource, subresource) = self
            .resource
            .split_once('/')
            .unwrap_or((&self.resource, ""));
        json!({
            "verb": self.verb, "group": self.group, "resource": resource, "subresource": subresource,
            "namespace": self.namespace.as_deref().unwrap_or_default(), "name": self.name.as_deref().unwrap_or_default(),
        })
    }
}

/// PURE: what carrying a plan out takes, and waiting until it is ready. `None` for the namespace where it is not made yet: what may be
/// done in it can be asked when it is there.
pub fn needed(plan: &Plan) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    if plan.is_empty() {
        return rights;
    }
    let during = &plan.inventory_during;
    if plan.recorded.is_none() {
        rights.insert(Right::core("create", "configmaps", &plan.namespace));
    }
    let grows = plan
        .recorded
        .as_ref()
        .is_some_and(|recorded| recorded != during);
    if grows || *during != plan.inventory_after {
        rights.insert(Right::core("update", "configmaps", &plan.namespace));
    }
    for change in &plan.changes {
        let verbs: &[&'static str] = match &change.action {
            Action::Create => &["create", "patch"],
            Action::Update(_) => &["patch"],
            Action::Recreate(_) if goes_at_once(&change.key) => &["delete", "create", "patch"],
            Action::Recreate(_) => &["delete", "list", "watch", "create", "patch"],
            Action::Delete if goes_at_once(&change.key) => &["delete"],
            Action::Delete => &["delete", "list", "watch"],
            Action::Unchanged | Action::Blocked(_) => &[],
        };
        let key = &change.key;
        let kind = (key.api_version.clone(), key.kind.clone());
        let Some(Some(served)) = plan.kinds.get(&kind) else {
            continue;
        };
        let watched =
            Watched::of(&key.api_version, &key.kind).map_or(&[][..], |_| &["list", "watch"]);
        for verb in verbs.iter().chain(watched) {
            rights.insert(Right {
                verb,
                group: key.group().to_owned(),
                resource: served.plural.clone(),
                namespace: key.namespace.clone().filter(|_| served.namespaced),
                name: None,
            });
        }
    }
    rights
}

/// Kinds that nothing is waited for when they are deleted.
fn goes_at_once(key: &ObjectKey) -> bool {
    key.group().is_empty() && matches!(key.kind.as_str(), "ConfigMap" | "Secret" | "ServiceAccount")
}

/// PURE: the rights that can be asked for before anything is written: in a namespace that is not there yet, none can be had.
pub fn needed_first(plan: &Plan) -> BTreeSet<Right> {
    match plan.namespace_step {
        NamespaceStep::Keep => needed(plan),
        NamespaceStep::Create | NamespaceStep::AwaitEndThenCreate => {
            let mut rights: BTreeSet<Right> = needed(plan)
                .into_iter()
                .filter(|right| right.namespace.is_none())
                .collect();
            rights.insert(Right {
                verb: "create",
                group: String::new(),
                resource: "namespaces".to_owned(),
                namespace: None,
                name: None,
            });
            rights
        }
    }
}

/// Fails where a right is missing, naming each. `attempt` completes "cannot …".
pub async fn require(cluster: &Cluster, attempt: &str, rights: &BTreeSet<Right>) -> Result<()> {
    let missing = missing(cluster, rights).await?;
    let Some((first, others)) = missing.split_first() else {
        return Ok(());
    };
    let user = whoami(cluster).await;
    let told = |right: &Right| MissingRight {
        user: user.clone(),
        verb: right.verb.to_owned(),
        group: right.group.clone(),
        resource: right.resource.clone(),
        namespace: right.namespace.clone(),
        name: right.name.clone(),
    };
    let error = missing_right(attempt, &told(first));
    Err(others
        .iter()
        .fold(error, |error, right| {
            error.cause(format!("also missing: {}", told(right)))
        })
        .hint("docs/rights.md has the whole Role of a developer"))
}

/// Whether a right is there. A cluster that does not answer such questions is taken to allow it: the request itself tells.
pub async fn allowed(cluster: &Cluster, right: &Right) -> Result<bool> {
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": right.attributes()}});
    match review(cluster, "selfsubjectaccessreviews", &body).await {
        Ok(answer) => Ok(answer["status"]["allowed"] == true),
        Err(failure) if is_unanswered(&failure) => Ok(true),
        Err(failure) => Err(cluster.explain_failure("ask what you may do", &failure)),
    }
}

/// The rights of these that are missing, in their order.
pub async fn missing(cluster: &Cluster, rights: &BTreeSet<Right>) -> Result<Vec<Right>> {
    let mut places: BTreeMap<Option<&str>, Vec<&Right>> = BTreeMap::new();
    for right in rights {
        places
            .entry(right.namespace.as_deref())
            .or_default()
            .push(right);
    }
    let asked = places.into_iter().map(async |(namespace, rights)| {
        let unknown = match namespace {
            // One question costs as much as the list.
            Some(namespace) if rights.len() > 1 => not_listed(cluster, namespace, rights).await?,
            Some(_) | None => rights,
        };
        let answers = futures::stream::iter(unknown)
            .map(async |right| Ok((right.clone(), allowed(cluster, right).await?)))
            .buffered(PARALLEL)
            .collect::<Vec<Result<_>>>()
            .await;
        answers.into_iter().collect::<Result<Vec<_>>>()
    });
    let answers = futures::future::try_join_all(asked).await?;
    let denied = answers
        .into_iter()
        .flatten()
        .filter(|(_, allowed)| !allowed);
    Ok(denied.map(|(right, _)| right).collect())
}

/// Those rights that the rules of a namespace do not show.
async fn not_listed<'a>(
    cluster: &Cluster,
    namespace: &str,
    rights: Vec<&'a Right>,
) -> Result<Vec<&'a Right>> {
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}});
    let answer = match review(cluster, "selfsubjectrulesreviews", &body).await {
        Ok(answer) => answer,
        Err(failure) if is_unanswered(&failure) => return Ok(rights),
        Err(failure) => return Err(cluster.explain_failure("ask what you may do", &failure)),
    };
    let rules = answer["status"]["resourceRules"].as_array();
    let shown = |right: &Right| rules.into_iter().flatten().any(|rule| right.is_in(rule));
    Ok(rights.into_iter().filter(|right| !shown(right)).collect())
}

/// Every user may ask, unless somebody took that away too.
fn is_unanswered(failure: &Failure) -> bool {
    failure.is_forbidden() || failure.is_not_found()
}

async fn review(cluster: &Cluster, plural: &str, body: &Value) -> Result<Value, Failure> {
    post(
        cluster,
        &format!("/apis/authorization.k8s.io/v1/{plural}"),
        body,
    )
    .await
}

async fn post(cluster: &Cluster, path: &str, body: &Value) -> Result<Value, Failure> {
    let request = Request::post(format!("{path}?fieldManager={}", labels::MANAGER))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes());
    cluster.try_send(request).await
}

/// The person's name for the cluster; `you` where it does not tell.
async fn whoami(cluster: &Cluster) -> String {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let name = match post(cluster, path, &body).await {
        Ok(answer) => answer["status"]["userInfo"]["username"]
            .as_str()
            .map(str::to_owned),
        Err(_) => None,
    };
    name.unwrap_or_else(|| "this user".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(verb: &'static str, group: &str, resource: &str, name: Option<&str>) -> Right {
        Right {
            verb,
            group: group.into(),
            resource: resource.into(),
            namespace: Some("shop-ann".into()),
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn rules_give_what_they_name_and_nothing_else() {
        let rule = json!({"verbs": ["create", "patch"], "apiGroups": ["apps"], "resources": ["deployments"]});
        assert!(right("patch", "apps", "deployments", None).is_in(&rule));
        assert!(right("patch", "apps", "deployments", Some("web")).is_in(&rule));
        assert!(!right("delete", "apps", "deployments", None).is_in(&rule));
        assert!(!right("patch", "", "deployments", None).is_in(&rule));
        assert!(!right("patch", "apps", "deployments/scale", None).is_in(&rule));
        let all = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
        assert!(right("get", "", "services/proxy", None).is_in(&all));
        let proxies = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["*/proxy"]});
        assert!(right("get", "", "services/proxy", None).is_in(&proxies));
        assert!(!right("get", "", "services", None).is_in(&proxies));
        let one = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db"]});
        assert!(right("get", "", "secrets", Some("db")).is_in(&one));
        assert!(!right("get", "", "secrets", Some("other")).is_in(&one));
        assert!(!right("get", "", "secrets", None).is_in(&one));
    }
}

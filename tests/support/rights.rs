//! A person with exactly the rights that a Role in `docs/rights.md` gives.

use std::path::PathBuf;

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::Api;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::project::Project;

/// One right: what a rule gives for one verb and one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Right {
    /// The verb.
    pub verb: String,
    /// Plural name, with a subresource after a slash.
    pub resource: String,
    group: String,
    name: Option<String>,
}

impl Right {
    /// The right to do this with any object of a kind, by group and plural name.
    pub fn new(verb: &str, group: &str, resource: &str) -> Self {
        Self {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            group: group.to_owned(),
            name: None,
        }
    }

    /// As errors name it: `list deployments.apps`.
    pub fn told(&self) -> String {
        let Self {
            verb,
            resource,
            group,
            ..
        } = self;
        match group.as_str() {
            "" => format!("{verb} {resource}"),
            group => format!("{verb} {resource}.{group}"),
        }
    }
}

/// The rights of a Role of this name in `docs/rights.md`.
pub fn documented(role: &str) -> Vec<Right> {
    let text = include_str!("../../docs/rights.md");
    let blocks = text.split("```yaml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    let roles = blocks
        .map(|block| dev::manifest::yaml::from_str::<Value>(block, "rights.md".as_ref()).unwrap());
    let found = roles
        .into_iter()
        .find(|found| found["metadata"]["name"] == role);
    let found = found.unwrap_or_else(|| panic!("docs/rights.md has no Role {role}"));
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        let list = rule[field].as_array().into_iter().flatten();
        list.map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = Vec::new();
    for rule in found["rules"].as_array().unwrap() {
        let names = texts(rule, "resourceNames");
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                rights.extend(texts(rule, "verbs").into_iter().map(|verb| Right {
                    verb,
                    resource: resource.clone(),
                    group: group.clone(),
                    name: names.first().cloned(),
                }));
            }
        }
    }
    rights
}

/// The right to read one object of the core group.
pub fn get(resource: &str, name: &str) -> Right {
    Right {
        verb: "get".to_owned(),
        resource: resource.to_owned(),
        group: String::new(),
        name: Some(name.to_owned()),
    }
}

impl Cluster {
    /// A kubeconfig for `user`, who has no right but those that are given.
    pub fn kubeconfig_of(&self, project: &Project, user: &str) -> PathBuf {
        let text = std::fs::read_to_string(&self.kubeconfig).unwrap();
        let mut config: Value = dev::manifest::yaml::from_str(&text, &self.kubeconfig).unwrap();
        for entry in config["users"].as_array_mut().unwrap() {
            entry["user"]["as"] = json!(user);
        }
        let path = project.root().join(format!("kubeconfig-{user}"));
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// Gives a user these rights in a namespace in place of those before, and returns when the authorizer knows. `without`: the one
    /// that was there before or is left out now.
    pub async fn give(
        &self,
        namespace: &str,
        user: &str,
        rights: &[Right],
        without: Option<&Right>,
    ) {
        let rules: Vec<Value> = rights
            .iter()
            .filter(|right| Some(*right) != without)
            .map(|right| {
                let mut rule = json!({"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]});
                if let Some(name) = &right.name {
                    rule["resourceNames"] = json!([name]);
                }
                rule
            })
            .collect();
        let api = "rbac.authorization.k8s.io";
        self.put(namespace, &[
            json!({"apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": {"name": user}, "rules": rules}),
            json!({"apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": {"name": user},
                "roleRef": {"apiGroup": api, "kind": "Role", "name": user},
                "subjects": [{"apiGroup": api, "kind": "User", "name": user}]}),
        ])
        .await;
        for right in rights {
            let wanted = Some(right) != without;
            // The authorizer follows the Role by a watch: it is asked until it knows.
            while self.may(namespace, user, right).await != wanted {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether a user has a right in a namespace.
    pub async fn may(&self, namespace: &str, user: &str, right: &Right) -> bool {
        let (resource, subresource) = right
            .resource
            .split_once('/')
            .unwrap_or((&right.resource, ""));
        let review = json!({"spec": {"user": user, "resourceAttributes": {"namespace": namespace, "verb": right.verb,
            "group": right.group, "resource": resource, "subresource": subresource, "name": right.name}}});
        let api = Api::<SubjectAccessReview>::all(self.client.clone());
        let review =
            serde_json::from_value(json!({"metadata": {}, "spec": review["spec"]})).unwrap();
        let answer = api.create(&Default::default(), &review).await.unwrap();
        answer.status.is_some_and(|status| status.allowed)
    }
}

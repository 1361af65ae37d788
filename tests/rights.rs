//! Who may not: tokens that are not accepted, and rights that are missing. Each is one error with exit code 3 that says
//! what is missing, and leaves nothing that an administrator's `dev down` does not remove.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::support::app::{two_services, unique};
use crate::support::cluster::{Cluster, Guard, cluster, long};
use crate::support::project::{Project, Run, run, told};

/// API group, resource, verbs: what `dev up` and `dev down` of the two services take in a namespace that is there. The
/// same table is in `docs/rights.md`.
const NEEDED: [(&str, &str, &[&str]); 5] = [
    (
        "apps",
        "deployments",
        &["list", "watch", "create", "patch", "delete"],
    ),
    (
        "",
        "services",
        &["list", "watch", "create", "patch", "delete"],
    ),
    (
        "",
        "serviceaccounts",
        &["list", "create", "patch", "delete"],
    ),
    ("", "configmaps", &["get", "create", "patch", "delete"]),
    ("", "secrets", &["get", "create", "patch", "delete"]),
];

/// What is used in place of another right, or only where an object is not gone as soon as it is deleted, or where objects
/// come or go in an environment that is there.
const SOMETIMES: [(&str, &str, &[&str]); 4] = [
    ("apps", "deployments", &["get"]),
    ("", "services", &["get"]),
    ("", "serviceaccounts", &["get", "watch"]),
    ("", "configmaps", &["update"]),
];

/// What `dev` takes beside it where it makes and removes the namespace itself.
const NAMESPACES: (&str, &str, &[&str]) = ("", "namespaces", &["get", "watch", "create", "delete"]);
/// It removes a namespace only where it sees that nothing of others is in it.
const EVERYTHING: (&str, &str, &[&str]) = ("*", "*", &["list"]);

/// The rules of a role, but for one verb of one resource.
fn rules(needed: &[(&str, &str, &[&str])], less: Option<(&str, &str)>) -> Value {
    let rules = needed.iter().map(|(group, resource, verbs)| {
        let left: Vec<&&str> = verbs
            .iter()
            .filter(|verb| less != Some((**verb, *resource)))
            .collect();
        json!({"apiGroups": [group], "resources": [resource], "verbs": left})
    });
    rules.collect()
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// Makes an account; its token.
async fn account(cluster: &Cluster, namespace: &str, name: &str) -> String {
    let accounts = Api::<ServiceAccount>::namespaced(cluster.client.clone(), namespace);
    let account = object(json!({"metadata": {"name": name}}));
    accounts
        .create(&Default::default(), &account)
        .await
        .unwrap();
    let hour = object(json!({"spec": {"audiences": [], "expirationSeconds": 3600}}));
    let token = accounts
        .create_token_request(name, &Default::default(), &hour)
        .await;
    token.unwrap().status.unwrap().token
}

#[test]
fn the_document_has_the_role_that_is_tested() {
    let document = include_str!("../docs/rights.md");
    let role = document.split("```yaml\n").nth(1).unwrap();
    let role = role.split("```").next().unwrap();
    let role: Value =
        dev::manifest::yaml::from_str(role, std::path::Path::new("rights.md")).unwrap();
    for (group, resource, verbs) in NEEDED {
        let more = SOMETIMES.iter().filter(|more| more.1 == resource);
        let mut all: Vec<&str> = verbs.to_vec();
        all.extend(more.flat_map(|more| more.2));
        all.sort_unstable();
        let rules = role["rules"].as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["resources"][0] == resource);
        let rule = rule.unwrap_or_else(|| panic!("no rule for {resource}"));
        let mut told: Vec<&str> = rule["verbs"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        told.sort_unstable();
        assert_eq!((rule["apiGroups"][0].as_str(), told), (Some(group), all));
    }
}

/// A person with few rights: an account in a namespace of its own, whose token is all that they have.
struct Person {
    token: String,
    namespace: String,
    _guard: Guard,
}

impl Person {
    async fn new(cluster: &Cluster, namespace: &str) -> Self {
        let guard = cluster.namespace(namespace).await;
        Self {
            token: account(cluster, namespace, "jane").await,
            namespace: namespace.to_owned(),
            _guard: guard,
        }
    }

    /// Gives them these rights in their namespace.
    async fn allow(&self, cluster: &Cluster, rules: Value) {
        let roles = Api::<Role>::namespaced(cluster.client.clone(), &self.namespace);
        let role = object(json!({"metadata": {"name": "jane"}, "rules": rules}));
        roles.create(&Default::default(), &role).await.unwrap();
        let bindings = Api::<RoleBinding>::namespaced(cluster.client.clone(), &self.namespace);
        let binding = object(json!({"metadata": {"name": "jane"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "jane"},
            "subjects": [{"kind": "ServiceAccount", "name": "jane", "namespace": self.namespace}]}));
        bindings
            .create(&Default::default(), &binding)
            .await
            .unwrap();
    }

    /// Runs `dev` in a project with their token.
    async fn dev(&self, cluster: &Cluster, project: &Project, args: &[&str]) -> Run {
        let kubeconfig = with_token(cluster, project, &self.token);
        let mut command = project.command();
        command.args(args).env("KUBECONFIG", kubeconfig);
        tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap()
    }

    /// Admits the cluster for writing. Somebody who may not read `kube-system` knows it by its certificate authority.
    async fn admit(&self, cluster: &Cluster, project: &Project) {
        let context = &kubeconfig(cluster)["current-context"];
        let args = ["admit", "--context", context.as_str().unwrap()];
        let run = self.dev(cluster, project, &args).await;
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
}

fn kubeconfig(cluster: &Cluster) -> Value {
    let text = std::fs::read_to_string(&cluster.kubeconfig).unwrap();
    dev::manifest::yaml::from_str(&text, std::path::Path::new("kubeconfig")).unwrap()
}

/// A kubeconfig like that of the cluster under test, with a token in place of its user's credentials.
fn with_token(cluster: &Cluster, project: &Project, token: &str) -> PathBuf {
    let mut value = kubeconfig(cluster);
    for user in value["users"].as_array_mut().unwrap() {
        user["user"] = json!({"token": token});
    }
    project.write("kubeconfig", value.to_string());
    project.root().join("kubeconfig")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_rights_writes_nothing_and_no_token_is_told() {
    let Some(cluster) = cluster("no rights").await else {
        return;
    };
    let name = unique("right");
    let project = two_services(&name);
    let jane = Person::new(&cluster, &format!("{name}-t")).await;
    jane.admit(&cluster, &project).await;
    let run = jane.dev(&cluster, &project, &["up", "-e", "t"]).await;
    told(&run, 3, &["MissingRight"]);
    assert!(!run.stderr.contains(&jane.token), "the token is told");
    let services = cluster.names::<Service>(&jane.namespace).await;
    assert_eq!(services, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_valid_no_more_are_told_as_such() {
    let Some(cluster) = cluster("tokens").await else {
        return;
    };
    let name = unique("token");
    let project = two_services(&name);
    let mut jane = Person::new(&cluster, &format!("{name}-t")).await;

    // The claims of an hour ago: as a token that has expired, but the signature is that of another text, as nobody can
    // wait for a real one (the API server gives none for less than 10 minutes).
    let parts: Vec<&str> = jane.token.split('.').collect();
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["exp"] = json!(claims["iat"].as_i64().unwrap() - 3600);
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let expired = format!("{}.{claims}.{}", parts[0], parts[2]);

    jane.admit(&cluster, &project).await;
    jane.token = expired;
    for args in [
        ["up", "-e", "t"],
        ["down", "-e", "t"],
        ["status", "-e", "t"],
    ] {
        let run = jane.dev(&cluster, &project, &args).await;
        told(&run, 3, &["Unauthenticated", "log in again"]);
        assert!(!run.stderr.contains(&jane.token), "the token is told");
    }

    // The token of an account that went, in the middle of an environment's life. It was never used before: the API server
    // remembers for some seconds that a token is good.
    let up = cluster.dev(&project, &["up", "-e", "t"]).await;
    assert_eq!(up.code, 0, "{}", up.stderr);
    jane.token = account(&cluster, &jane.namespace, "gone").await;
    let accounts = Api::<ServiceAccount>::namespaced(cluster.client.clone(), &jane.namespace);
    accounts
        .delete("gone", &DeleteParams::default())
        .await
        .unwrap();
    let down = jane.dev(&cluster, &project, &["down", "-e", "t"]).await;
    told(&down, 3, &["Unauthenticated"]);
    let down = cluster.dev(&project, &["down", "-e", "t"]).await;
    assert_eq!(down.code, 0, "{}", down.stderr);
    assert_eq!(
        cluster.objects_in(&jane.namespace).await,
        ["ServiceAccount jane"]
    );
}

/// The environment as a person with these rights makes and removes it, and as an administrator removes the rest.
async fn with_less(cluster: &Cluster, less: Option<(&str, &str)>) -> Result<(), String> {
    let name = unique("less");
    let project = two_services(&name);
    let jane = Person::new(cluster, &format!("{name}-t")).await;
    let needed = [&NEEDED[..], &SOMETIMES].concat();
    jane.allow(cluster, rules(&needed, less)).await;
    jane.admit(cluster, &project).await;
    let theirs = ["Role jane", "RoleBinding jane", "ServiceAccount jane"];
    attempt(
        cluster,
        &project,
        &jane,
        less,
        theirs.map(str::to_owned).to_vec(),
    )
    .await
}

/// `dev up` and `dev down` as this person; `less` is what one of them must name. `theirs` is what is in the namespace when
/// all is done.
async fn attempt(
    cluster: &Cluster,
    project: &Project,
    jane: &Person,
    less: Option<(&str, &str)>,
    theirs: Vec<String>,
) -> Result<(), String> {
    let mut last = jane.dev(cluster, project, &["up", "-e", "t"]).await;
    if last.code == 0 {
        last = jane.dev(cluster, project, &["down", "-e", "t"]).await;
    }
    let namespace = &jane.namespace;
    let problem = match less {
        None => (last.code != 0).then(|| format!("not enough: {}", last.stderr)),
        Some((verb, resource)) => {
            let error = last.stderr.split("Error:").nth(1).unwrap_or_default();
            let words = ["right", verb, resource, "MissingRight", "Hint:"];
            let named = words.iter().all(|word| error.contains(word));
            let one = last.stderr.matches("Error:").count() == 1;
            (last.code != 3 || !named || !one).then(|| {
                format!(
                    "{verb} {resource}: exit code {}: {}",
                    last.code, last.stderr
                )
            })
        }
    };
    let down = cluster.dev(project, &["down", "-e", "t"]).await;
    let left = cluster.objects_in(namespace).await;
    let clean = down.code == 0 && left == theirs;
    let dirt = (!clean).then(|| format!("{less:?}: {left:?} {}", down.stderr));
    problem.or(dirt).map_or(Ok(()), Err)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_that_is_missing_is_named_and_the_role_of_the_document_is_enough() {
    let Some(cluster) = cluster("each missing right").await else {
        return;
    };
    let all = NEEDED
        .iter()
        .flat_map(|(_, resource, verbs)| verbs.iter().map(move |verb| (*verb, *resource)));
    // One for each way in which it can be noticed; all of them in a long run.
    let few = [
        ("watch", "deployments"),
        ("create", "deployments"),
        ("list", "services"),
        ("delete", "services"),
        ("list", "serviceaccounts"),
        ("get", "configmaps"),
        ("create", "configmaps"),
        ("get", "secrets"),
    ];
    let chosen = all.filter(|right| long() || few.contains(right)).map(Some);
    let runs = std::iter::once(None).chain(chosen);
    let results: Vec<Result<(), String>> = futures::stream::iter(runs)
        .map(|less| with_less(&cluster, less))
        .buffer_unordered(3)
        .collect()
        .await;
    let failed: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A role for the whole cluster, which goes with it.
struct Everywhere {
    client: kube::Client,
    name: String,
}

impl Everywhere {
    async fn give(cluster: &Cluster, jane: &Person, rules: Value) -> Self {
        let name = jane.namespace.clone();
        let roles = Api::<ClusterRole>::all(cluster.client.clone());
        let role = object(json!({"metadata": {"name": name}, "rules": rules}));
        roles.create(&Default::default(), &role).await.unwrap();
        let bindings = Api::<ClusterRoleBinding>::all(cluster.client.clone());
        let binding = object(json!({"metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "jane", "namespace": name}]}));
        bindings
            .create(&Default::default(), &binding)
            .await
            .unwrap();
        Self {
            client: cluster.client.clone(),
            name,
        }
    }

    async fn take(self) {
        let roles = Api::<ClusterRole>::all(self.client.clone());
        roles
            .delete(&self.name, &DeleteParams::default())
            .await
            .unwrap();
        let bindings = Api::<ClusterRoleBinding>::all(self.client);
        bindings
            .delete(&self.name, &DeleteParams::default())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_to_make_and_remove_the_namespace_are_named_too() {
    let Some(cluster) = cluster("rights on namespaces").await else {
        return;
    };
    let verbs = NAMESPACES.2.iter().map(|verb| Some((*verb, "namespaces")));
    let mut failed = Vec::new();
    for less in std::iter::once(None).chain(verbs) {
        let name = unique("makes");
        let project = two_services(&name);
        // Their account is in another namespace than the environment.
        let jane = Person::new(&cluster, &format!("{name}-account")).await;
        let _guard = cluster.guard(&format!("{name}-t"));
        let needed = [&NEEDED[..], &SOMETIMES, &[NAMESPACES, EVERYTHING]].concat();
        let everywhere = Everywhere::give(&cluster, &jane, rules(&needed, less)).await;
        jane.admit(&cluster, &project).await;
        let theirs = vec!["ServiceAccount jane".to_owned()];
        let result = attempt(&cluster, &project, &jane, less, theirs).await;
        failed.extend(result.err());
        let left = cluster.left_over(&format!("{name}-t")).await;
        if !left.is_empty() {
            failed.push(format!("{less:?}: {left:?}"));
        }
        everywhere.take().await;
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

//! The Roles of `docs/rights.md` for overlays on a real cluster: they are enough, and each right is needed and named where it
//! is missing.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::app::unique;
use crate::support::base::{service, stream};
use crate::support::cluster::{Cluster, Guard, cluster, long};
use crate::support::project::{Project, Run, run};
use crate::support::rights::{Right, documented, get};

const USER: &str = "jane";

/// A person with few rights, and a project of theirs.
struct Person {
    cluster: Cluster,
    project: Project,
    kubeconfig: PathBuf,
    /// By what they know the cluster: they may not read `kube-system`.
    identity: String,
    namespace: String,
    rights: Vec<Right>,
    _guard: Guard,
}

impl Person {
    async fn new(cluster: Cluster, project: Project, namespace: String) -> Self {
        let kubeconfig = cluster.kubeconfig_of(&project, USER);
        let rights = documented("dev");
        let guard = cluster.namespace(&namespace).await;
        cluster.give(&namespace, USER, &rights, None).await;
        let mut person = Self {
            _guard: guard,
            cluster,
            project,
            kubeconfig,
            identity: String::new(),
            namespace,
            rights,
        };
        // What a person is told once, and an automation is configured with.
        let asked = person.dev(&["up"]).await;
        assert_eq!(asked.code, 3, "{}", asked.stderr);
        let (_, rest) = asked.stderr.split_once("DEV_CLUSTER_UID=").unwrap();
        person.identity = rest.split_whitespace().next().unwrap().to_owned();
        person
    }

    async fn dev(&self, args: &[&str]) -> Run {
        let mut command = self.project.command();
        command
            .args(["-e", "t"])
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig);
        if !self.identity.is_empty() {
            command.env("DEV_CLUSTER_UID", &self.identity);
        }
        tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap()
    }

    async fn good(&self, args: &[&str]) {
        let run = self.dev(args).await;
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
    }

    /// Everything that an environment goes through, until something fails.
    async fn live(&self, up: &[&str], change: &dyn Fn(&Project)) -> Option<Run> {
        let first = self.dev(up).await;
        if first.code != 0 {
            return Some(first);
        }
        change(&self.project);
        for args in [up, &["down"]] {
            let next = self.dev(args).await;
            if next.code != 0 {
                return Some(next);
            }
        }
        None
    }
}

/// Rights in the environment's own namespace: `tests/rights.rs` takes each away; here those that overlays use in ways of their own,
/// and in a long run all but those that stand in for others.
fn is_tried(right: &Right) -> bool {
    let (verb, resource) = (right.verb.as_str(), right.resource.as_str());
    let own = [
        ("get", "secrets"),
        ("create", "services"),
        ("patch", "configmaps"),
        ("update", "configmaps"),
    ];
    let stands_in = match resource {
        "configmaps" | "secrets" => false,
        "serviceaccounts" => matches!(verb, "get" | "watch"),
        _ => verb == "get",
    };
    own.contains(&(verb, resource)) || long() && !stands_in
}

/// One error, of the right kind, that names the right.
fn assert_named(failed: Option<Run>, right: &Right) {
    let told = right.told();
    let Some(run) = failed else {
        panic!("nothing failed without the right to {told}");
    };
    assert_eq!(run.code, 3, "without the right to {told}: {}", run.stderr);
    assert!(
        run.stderr
            .contains(&format!("{USER} has not the right to {told}")),
        "the right to {told} is not named: {}",
        run.stderr
    );
    assert_eq!(run.stderr.matches("Error:").count(), 1, "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_takes_the_documented_roles_and_each_right_of_them() {
    let Some(cluster) = cluster("rights: overlays").await else {
        return;
    };
    let name = unique("rights");
    let namespace = format!("{name}-t");
    let told = json!({"pod": "dev-router-0", "synced": true, "errors": [],
        "acked": {"web": {"ports": {"80": {"listener": 20000, "envs": {"t": 1}}}}}});
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"GREETING": "hello"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"PASSWORD": "not-a-secret"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dev-admission"}, "data": {
            "environments": json!([{"namespace": namespace, "env": "t"}]).to_string(), "secrets": "[\"db\"]"}}),
    ];
    objects.extend(service("web", "web of the base", json!({})));
    objects.extend(service("store", "store of the base", json!({})));
    // It says what routers say that have taken the copy over.
    let mut routers = service("dev-router", &json!([told]).to_string(), json!({}));
    routers[1]["spec"]["ports"] = json!([{"name": "status", "port": 15090, "targetPort": "http"}]);
    objects.extend(routers);
    let _base = cluster.base(&name, &objects).await;
    let before = cluster.versions(&name).await;

    let web = |text: &str| -> Vec<Value> {
        let mut objects = service("web", "web of t", json!({"serviceAccountName": "web"}));
        let container = &mut objects[0]["spec"]["template"]["spec"]["containers"][0];
        container["envFrom"] =
            json!([{"configMapRef": {"name": "shared"}}, {"secretRef": {"name": "db"}}]);
        container["env"] = json!([{"name": "TEXT", "value": text}]);
        objects
    };
    let project = Project::new(&[
        (
            "dev.yaml",
            &format!("app: {name}\nbase: {name}\nservices:\n  web: {{manifests: web.yaml}}\n"),
        ),
        ("web.yaml", ""),
    ]);
    let extra = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "extra"}});
    let original = stream(&[web("one"), vec![extra]].concat());
    let change = |project: &Project| project.write("web.yaml", stream(&web("two")));
    let mut in_base = documented("dev-borrower");
    in_base.push(get("secrets", "db"));
    let seeing: Vec<Right> = in_base
        .iter()
        .cloned()
        .chain(documented("dev-borrower-sees"))
        .collect();
    let person = Person::new(cluster, project, namespace).await;
    person.project.write("web.yaml", &original);
    let (cluster, namespace) = (&person.cluster, &person.namespace);
    cluster.give(&name, USER, &seeing, None).await;
    let up = ["up", "web", "--overlay"];
    let shown = person.dev(&up).await;
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(
        shown.stdout.contains("baggage: dev-env=t"),
        "{}",
        shown.stdout
    );
    assert!(!shown.stderr.contains("is not known"), "{}", shown.stderr);
    person.good(&["down"]).await;

    let unseen = documented("dev-borrower-sees").pop().unwrap();
    cluster.give(&name, USER, &seeing, Some(&unseen)).await;
    let shown = person.dev(&up).await;
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stderr.contains(&unseen.told()), "{}", shown.stderr);
    person.good(&["down"]).await;

    for (place, rights) in [(&name, &seeing), (namespace, &person.rights)] {
        let tried = |right: &&Right| **right != unseen && (place == &name || is_tried(right));
        for right in rights.iter().filter(tried) {
            person.project.write("web.yaml", &original);
            cluster.give(place, USER, rights, Some(right)).await;
            let failed = person.live(&up, &change).await;
            assert_named(failed, right);
            cluster.give(place, USER, rights, None).await;
            person.good(&["down"]).await;
            let left = cluster.objects_in(namespace).await;
            assert_eq!(
                left,
                [format!("Role {USER}"), format!("RoleBinding {USER}")],
                "without {}",
                right.told()
            );
        }
    }
    assert_eq!(
        cluster.versions(&name).await,
        before,
        "the base was written to"
    );
}

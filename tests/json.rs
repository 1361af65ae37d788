//! What commands print with `-o json` is what `docs/json.md` says.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::app::{two_services, unique};
use crate::support::cluster::cluster;
use crate::support::project::run;

/// Values below these keys are anybody's.
const FREE: [&str; 3] = [".items", ".from", ".to"];

/// The example under the heading that names a command.
fn example(command: &str) -> Value {
    let document = include_str!("../docs/json.md");
    let section = document
        .split("\n## ")
        .find(|section| {
            let heading = section.lines().next().unwrap_or_default();
            heading
                .split(", ")
                .any(|name| name == format!("`{command}`"))
        })
        .unwrap_or_else(|| panic!("docs/json.md has no heading with {command}"));
    let (_, block) = section.split_once("```json\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    serde_json::from_str(block).unwrap_or_else(|error| panic!("{command}: {error}: {block}"))
}

/// Every path of a value with the kind of what is there; the elements of a list count as one.
fn shape(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    found.insert(format!("{path}: {kind}"));
    if FREE.iter().any(|free| path.ends_with(free)) {
        return;
    }
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| shape(item, &format!("{path}[]"), found)),
        Value::Object(map) => map
            .iter()
            .for_each(|(key, child)| shape(child, &format!("{path}.{key}"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Nothing is printed that the example does not have, and what the example has at its top (or in the elements of a list) is printed.
fn as_documented(command: &str, printed: &str) {
    let printed: Value = serde_json::from_str(printed)
        .unwrap_or_else(|error| panic!("{command}: {error}: {printed}"));
    let (mut told, mut found) = (BTreeSet::new(), BTreeSet::new());
    shape(&example(command), "", &mut told);
    shape(&printed, "", &mut found);
    let more: Vec<_> = found.difference(&told).collect();
    assert!(more.is_empty(), "{command} prints more: {more:?}");
    // What is in lists and deeper may be empty.
    let top = |path: &&String| {
        let key = path.rsplit_once(": ").map_or("", |(key, _)| key);
        let key = key.strip_prefix("[]").unwrap_or(key);
        key.matches('.').count() == 1 && !key.ends_with("[]")
    };
    let less: Vec<_> = told.difference(&found).filter(top).collect();
    assert!(less.is_empty(), "{command} prints less: {less:?}");
    let camel = |path: &String| path.contains('_') || path.contains('-');
    assert!(!found.iter().any(camel), "{command}: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_prints_what_the_document_says() {
    let Some(cluster) = cluster("JSON as documented").await else {
        return;
    };
    let name = unique("json");
    let project = two_services(&name);
    let namespace = format!("{name}-t");
    let _guard = cluster.guard(&namespace);
    let dev = async |args: &[&str]| {
        let args = [args, &["-e", "t", "-o", "json"]].concat();
        let run = cluster.dev(&project, &args).await;
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        run.stdout
    };
    as_documented("dev validate", &dev(&["validate"]).await);
    as_documented("dev render", &dev(&["render"]).await);
    as_documented("dev up", &dev(&["up"]).await);
    as_documented("dev status", &dev(&["status"]).await);
    as_documented("dev status --all", &dev(&["status", "--all"]).await);
    as_documented("dev url", &dev(&["url"]).await);
    as_documented("dev url", &dev(&["url", "web"]).await);
    let lines = dev(&["logs", "web", "--tail", "1"]).await;
    as_documented("dev logs", lines.lines().next().unwrap());
    let changed = ["--set", "text=other"];
    as_documented("dev diff", &dev(&["diff", changed[0], changed[1]]).await);
    let preview = dev(&["up", "--dry-run", changed[0], changed[1]]).await;
    as_documented("dev up --dry-run", &preview);

    let maps = kube::Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(
        cluster.client.clone(),
        &namespace,
    );
    let notes = serde_json::from_value(serde_json::json!({"metadata": {"name": "notes"}}));
    maps.create(&Default::default(), &notes.unwrap())
        .await
        .unwrap();
    as_documented("dev down", &dev(&["down", "--dry-run"]).await);
    as_documented("dev down", &dev(&["down"]).await);
    let all = dev(&["down", "--all-mine"]).await;
    // The namespace that was kept is still one of theirs.
    for one in serde_json::from_str::<Vec<Value>>(&all).unwrap() {
        as_documented("dev down", &one.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_is_printed_as_the_document_says() {
    let Some(cluster) = cluster("admit -o json").await else {
        return;
    };
    let project = two_services("shop");
    // Beside the bundled cluster's own kubeconfig it would be known as local.
    let kubeconfig = project.root().join("elsewhere");
    std::fs::copy(&cluster.kubeconfig, &kubeconfig).unwrap();
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let context = text
        .lines()
        .find_map(|line| line.strip_prefix("current-context:"));
    let context = context.unwrap().trim().trim_matches('"').to_owned();
    let dev = |args: &[&str]| {
        let mut command = project.command();
        let command = command
            .args(args)
            .args(["--context", &context, "-o", "json"]);
        let run = run(command.env("KUBECONFIG", &kubeconfig));
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        run.stdout
    };
    as_documented("dev admit", &dev(&["admit"]));
    let forgotten: Value = serde_json::from_str(&dev(&["admit", "--forget"])).unwrap();
    let one = serde_json::json!({"admitted": forgotten["forgotten"][0]});
    as_documented("dev admit", &one.to_string());
}

#[test]
fn what_comes_without_a_cluster_is_as_documented() {
    let project = two_services("shop");
    as_documented(
        "dev validate",
        &project.dev(&["validate", "-o", "json"]).stdout,
    );
    // Every example is valid JSON, camelCase throughout.
    for command in ["dev deploy", "dev deploy --remove", "dev image"] {
        let mut told = BTreeSet::new();
        shape(&example(command), "", &mut told);
        assert!(told.len() > 1, "{command}: {told:?}");
    }
}

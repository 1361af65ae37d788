//! `dev render` and `dev validate`, which need no cluster.

use crate::support::app::two_services;
use crate::support::project::Project;

#[test]
fn objects_are_rendered_for_the_environment() {
    let project = two_services("shop");
    let run = project.dev(&["render", "-e", "ann", "--set", "text=yes", "-o", "json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let list: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 7);
    for item in items {
        assert_eq!(item["metadata"]["namespace"], "shop-ann");
        assert_eq!(item["metadata"]["labels"]["dev/env"], "ann");
    }
    // What looks like a boolean stays text, in YAML too.
    let yaml = project
        .dev(&["render", "web", "-e", "ann", "--set", "text=yes"])
        .stdout;
    assert!(yaml.contains("\"yes\"") || yaml.contains("'yes'"), "{yaml}");
}

#[test]
fn one_service_comes_with_what_it_needs() {
    let project = two_services("shop");
    assert!(
        project
            .dev(&["render", "web"])
            .stdout
            .contains("name: store")
    );
    assert!(
        !project
            .dev(&["render", "store"])
            .stdout
            .contains("name: web")
    );
}

#[test]
fn an_undefined_variable_is_told_with_place_and_nearest_name() {
    let project = two_services("shop");
    project.write(
        "store.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: '{{ vars.txt }}'}\n",
    );
    let run = project.dev(&["validate"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("store.yaml:4:"), "{}", run.stderr);
    assert!(run.stderr.contains("text"), "{}", run.stderr);
}

#[test]
fn manifests_that_cannot_be_are_refused_at_their_place() {
    let cases: [(&str, &[&str]); 7] = [
        ("a: [", &["m.yaml:1:"]),
        (
            "kind: ConfigMap\nmetadata: {name: x}\n",
            &["m.yaml:1:", "apiVersion"],
        ),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", &["name"]),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_Legal}\n",
            &["m.yaml:3:", "Not_Legal"],
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
            &[
                "Error: m.yaml:7:18: ConfigMap x",
                "m.yaml:1:1",
                "m.yaml:5:1",
            ],
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, name: y}\n",
            &["m.yaml:3:", "name"],
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}\n",
            &["64 characters"],
        ),
    ];
    for (text, words) in cases {
        let project = Project::new(&[
            ("dev.yaml", "app: a\nservices: {x: {manifests: m.yaml}}\n"),
            ("m.yaml", text),
        ]);
        let run = project.dev(&["render"]);
        assert_eq!(run.code, 2, "{text}: {}", run.stderr);
        for word in words {
            assert!(
                run.stderr.contains(word),
                "\"{word}\" is not in: {}",
                run.stderr
            );
        }
    }
}

#[test]
fn a_copy_that_would_take_another_objects_name_is_told_at_its_name() {
    let service = |name: &str| {
        format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec: {{}}\n")
    };
    let project = Project::new(&[
        (
            "dev.yaml",
            "app: a\nbase: b\nservices: {x: {manifests: m.yaml}}\n",
        ),
        ("m.yaml", &(service("x") + "---\n" + &service("x-e"))),
    ]);
    let run = project.dev(&["render", "-n", "b", "-e", "e"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    for word in ["Error: m.yaml:4:9: ", "x-e", "4 |   name: x", "Hint:"] {
        assert!(
            run.stderr.contains(word),
            "\"{word}\" is not in: {}",
            run.stderr
        );
    }
}

#[test]
fn a_missing_file_is_told_with_its_name() {
    let project = Project::new(&[
        ("dev.yaml", "app: a\nservices: {x: {manifests: k9s.yaml}}\n"),
        ("k8s.yaml", ""),
    ]);
    let run = project.dev(&["render"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(
        run.stderr.contains("k9s.yaml") && run.stderr.contains("k8s.yaml"),
        "{}",
        run.stderr
    );
}

use serde_json::json;

use super::*;
use crate::manifest::{Context, Origin};

fn object(kind: &str, name: &str, hook: Option<&str>) -> Manifest {
    let mut manifest = Manifest {
        value: json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}),
        origin: Origin::default(),
    };
    if let Some(hook) = hook {
        manifest.set_annotation(HOOK, hook);
        manifest.set_annotation("helm.sh/hook-delete-policy", "hook-succeeded");
    }
    manifest
}

fn chart() -> Vec<Manifest> {
    vec![
        object("CustomResourceDefinition", "things.shop.io", None),
        object("Job", "migrate", Some("pre-install, pre-upgrade")),
        object("Job", "clean", Some("post-delete")),
        object("Pod", "check", Some("test")),
        object("Service", "web", None),
    ]
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.manifests.iter().map(Manifest::name).collect()
}

#[test]
fn hooks_are_treated_as_asked_and_tests_left_out() {
    let skip = select(chart(), HelmHooks::Skip, "web").unwrap();
    assert_eq!(names(&skip), ["things.shop.io", "web"]);
    let notes: Vec<String> = skip.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "web: CustomResourceDefinition things.shop.io: the chart brings this definition for the whole cluster",
            "web: Job migrate: Helm hook (pre-install,pre-upgrade) left out; hooks: run in dev.yaml applies it",
            "web: Job clean: Helm hook (post-delete) left out; hooks: run in dev.yaml applies it",
            "web: Pod check: Helm test left out",
        ]
    );
    let run = select(chart(), HelmHooks::Run, "web").unwrap();
    assert_eq!(names(&run), ["things.shop.io", "migrate", "web"]);
    assert_eq!(run.manifests[1].value["metadata"]["annotations"], json!({}));
    let refused = select(chart(), HelmHooks::Refuse, "web").unwrap_err();
    assert!(
        refused.message().contains("has the hook Job migrate"),
        "{refused:?}"
    );
}

#[test]
fn the_source_comment_names_the_template() {
    let output = "---\n# Source: shop/templates/a.yaml\nkind: A\n---\n# Source: shop/charts/redis/templates/b.yaml\nkind: B\n---\nkind: C\n";
    let make = |line| {
        let mut manifest = object("A", "a", None);
        manifest.origin.place = Some(Place::at("chart", line, 1));
        manifest
    };
    let mut manifests = vec![make(3), make(6)];
    name_sources(&mut manifests, output, Path::new("./chart"), true);
    let places: Vec<String> = manifests
        .iter()
        .map(|m| m.origin.place.as_ref().unwrap().to_string())
        .collect();
    assert_eq!(
        places,
        [
            "./chart/templates/a.yaml",
            "./chart/charts/redis/templates/b.yaml"
        ]
    );
}

#[tokio::test]
async fn a_chart_that_is_not_there_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let helm = Helm {
        chart: "./nope".into(),
        version: None,
        values: Vec::new(),
        set: std::collections::BTreeMap::new(),
        release: None,
        hooks: HelmHooks::Skip,
    };
    let renderer = Renderer::new(&Context::default()).unwrap();
    let error = load(
        &helm,
        dir.path(),
        "web",
        "shop-try",
        &renderer,
        &Ui::silent(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.message(), "helm: there is no chart at ./nope");
}

#[test]
#[cfg(unix)]
fn values_are_readable_by_this_user_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.yaml");
    write_private(&path, "password: x\n").unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

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

fn write_chart(root: &Path) {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "chart/Chart.yaml",
        "apiVersion: v2\nname: shop\nversion: 0.1.0\n",
    );
    write("chart/values.yaml", "image: none\nreplicas: 1\n");
    write(
        "chart/templates/web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n  namespace: {{ .Release.Namespace }}\nspec:\n  replicas: {{ .Values.replicas }}\n  template: {spec: {containers: [{name: a, image: {{ .Values.image | quote }}}]}}\n",
    );
    write(
        "chart/templates/hook.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations: {helm.sh/hook: pre-install}\nspec: {}\n",
    );
    write(
        "chart/templates/tests/check.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: check\n  annotations: {helm.sh/hook: test}\n",
    );
    write(
        "chart/crds/thing.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.shop.io}\n",
    );
    write("values.yaml", "image: {{ image | quote }}\n");
}

#[tokio::test]
async fn a_chart_is_rendered_by_the_real_program() {
    if std::process::Command::new("helm")
        .arg("version")
        .output()
        .is_err()
    {
        crate::left_out::left_out("helm: it is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    write_chart(dir.path());
    let mut helm = Helm {
        chart: "./chart".into(),
        version: None,
        values: vec!["values.yaml".into()],
        set: serde_json::from_value(json!({"replicas": "{{ vars.n }}"})).unwrap(),
        release: None,
        hooks: HelmHooks::Skip,
    };
    let context = Context {
        image: Some("localhost:5000/web:1".into()),
        vars: [("n".to_owned(), json!(3))].into(),
        ..Context::default()
    };
    let renderer = Renderer::new(&context).unwrap();
    let ui = Ui::silent();
    let loaded = super::load(&helm, dir.path(), "web", "shop-try", &renderer, &ui)
        .await
        .unwrap();
    assert_eq!(names(&loaded), ["things.shop.io", "web"]);
    let web = &loaded.manifests[1];
    assert_eq!(web.value["spec"]["replicas"], 3);
    assert_eq!(web.meta("namespace"), Some("shop-try"));
    let image = &web.value["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "localhost:5000/web:1");
    let place = web.origin.place.as_ref().unwrap().to_string();
    assert_eq!(place, "./chart/templates/web.yaml");
    assert_eq!(loaded.notes.len(), 3, "{:?}", loaded.notes);

    std::fs::write(
        dir.path().join("chart/templates/bad.yaml"),
        "{{ .Values.a.b.c }}",
    )
    .unwrap();
    helm.values.clear();
    let error = super::load(&helm, dir.path(), "web", "shop-try", &renderer, &ui)
        .await
        .unwrap_err();
    assert!(
        error.message().starts_with("helm template failed"),
        "{error:?}"
    );
    assert!(
        error.causes().iter().any(|line| line.contains("bad.yaml")),
        "{error:?}"
    );
}

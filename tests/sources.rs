//! Services that come from a Helm chart, a kustomization, and from what runs in the base: brought up, compared, removed.

use serde_json::{Value, json};

use crate::support::app::{two_services, unique, workload};
use crate::support::cluster::{cluster, left_out};
use crate::support::project::Project;
use crate::support::proxy::Proxy;

/// `copied` from the base, `chart` by helm, `kust` by kustomize.
fn project(app: &str, base: &str) -> Project {
    let plain = |name: &str, text: &str| workload(name, "").replace("{{ vars.text }}", text);
    let config = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: chart}\ndata: {text: {{ .Values.text | quote }}}\n";
    Project::new(&[
        (
            "dev.yaml",
            &format!(
                "app: {app}\nbase: {base}\nservices:\n  store: {{live: true}}\n  chart:\n    needs: [store]\n    helm:\n      chart: ./chart\n      values: [values.yaml]\n      set: {{text: '{{{{ env }}}}'}}\n  kust: {{kustomize: overlay/}}\n"
            ),
        ),
        (
            "chart/Chart.yaml",
            "apiVersion: v2\nname: chart\nversion: 1.0.0\n",
        ),
        ("chart/values.yaml", "text: unset\nreplicas: 3\n"),
        (
            "chart/templates/all.yaml",
            &(plain("chart", "{{ .Values.text }}").replace(
                "spec:\n  selector",
                "spec:\n  replicas: {{ .Values.replicas }}\n  selector",
            ) + config),
        ),
        ("values.yaml", "replicas: 1\n"),
        ("kust/kustomization.yaml", "resources: [all.yaml]\n"),
        ("kust/all.yaml", &plain("kust", "from kustomize")),
        (
            "overlay/kustomization.yaml",
            "resources: [../kust]\nconfigMapGenerator: [{name: made, literals: [a=b]}]\n",
        ),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_kustomizations_and_copies_of_what_runs_come_up_and_go() {
    let Some(cluster) = cluster("sources").await else {
        return;
    };
    if dev::local::which("helm").is_none() || dev::local::which("kubectl").is_none() {
        return left_out(
            "sources: helm and kubectl are needed (`tests/cluster/cluster env` has both)",
        );
    }
    let base = unique("base");
    let original = two_services(&base);
    let _base_guard = cluster.guard(&base);
    let deployed = cluster
        .dev(&original, &["deploy", "store", "--base", &base])
        .await;
    assert_eq!(deployed.code, 0, "{}", deployed.stderr);
    let untouched = cluster.objects_in(&base).await;

    let name = unique("sources");
    let namespace = format!("{name}-t");
    let project = project(&name, &base);
    let _guard = cluster.guard(&namespace);
    let proxy = Proxy::start(cluster.client.clone()).await;
    let counted = proxy.kubeconfig(&project.root());
    let up = ["up", "-e", "t", "-o", "json"];
    let first = cluster.dev_as(&project, &counted, &up).await;
    assert_eq!(first.code, 0, "{}", first.stderr);
    let report: Value = serde_json::from_str(&first.stdout).unwrap();
    for service in report["services"].as_array().unwrap() {
        assert_eq!(service["state"], "ready", "{service}");
    }
    let there = cluster.objects_in(&namespace).await;
    for object in [
        "Deployment chart",
        "Deployment kust",
        "Deployment store",
        "Service store",
        "ConfigMap chart",
    ] {
        assert!(there.contains(&object.to_owned()), "{object}: {there:?}");
    }
    let maps = kube::Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(
        cluster.client.clone(),
        &namespace,
    );
    let data = maps.get("chart").await.unwrap().data.unwrap();
    assert_eq!(json!(data), json!({"text": "t"}), "`set:` is a template");

    proxy.arm(None);
    let second = cluster.dev_as(&project, &counted, &up).await;
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert_eq!(proxy.writes(), Vec::<String>::new());
    let diff = cluster
        .dev(&project, &["diff", "-e", "t", "--exit-code"])
        .await;
    assert_eq!(
        (diff.code, diff.stdout.as_str()),
        (0, ""),
        "{}",
        diff.stderr
    );

    let down = cluster.dev(&project, &["down", "-e", "t"]).await;
    assert_eq!(down.code, 0, "{}", down.stderr);
    assert_eq!(cluster.left_over(&namespace).await, Vec::<String>::new());
    assert_eq!(cluster.objects_in(&base).await, untouched);
}

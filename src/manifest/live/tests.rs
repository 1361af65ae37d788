use serde_json::{Value, json};

use super::*;

fn namespace() -> Vec<Value> {
    let object = |api: &str, kind: &str, name: &str, rest: Value| {
        let mut value = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop", "uid": "u"}});
        if let (Some(map), Value::Object(rest)) = (value.as_object_mut(), rest) {
            map.extend(rest);
        }
        value
    };
    let pods = |app: &str, spec: Value| {
        json!({"spec": {
            "selector": {"matchLabels": {"app": app}},
            "template": {"metadata": {"labels": {"app": app}}, "spec": spec},
        }})
    };
    let service = |app: &str| json!({"spec": {"selector": {"app": app}, "clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30001}]}});
    vec![
        object("v1", "Service", "web", service("web")),
        object("v1", "Service", "web-metrics", service("web")),
        object("v1", "Service", "api", service("api")),
        object(
            "apps/v1",
            "Deployment",
            "web",
            pods(
                "web",
                json!({
                    "serviceAccountName": "web",
                    "containers": [{"envFrom": [{"configMapRef": {"name": "web"}}, {"secretRef": {"name": "shared"}}]}],
                    "volumes": [{"persistentVolumeClaim": {"claimName": "data"}}, {"projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}],
                }),
            ),
        ),
        object(
            "apps/v1",
            "Deployment",
            "api",
            pods(
                "api",
                json!({"containers": [{"envFrom": [{"configMapRef": {"name": "api"}}]}]}),
            ),
        ),
        object("v1", "ConfigMap", "web", json!({})),
        object("v1", "ConfigMap", "api", json!({})),
        object("v1", "ConfigMap", "kube-root-ca.crt", json!({})),
        object("v1", "Secret", "shared", json!({})),
        object(
            "v1",
            "Secret",
            "web-token",
            json!({"type": "kubernetes.io/service-account-token"}),
        ),
        object(
            "v1",
            "PersistentVolumeClaim",
            "data",
            json!({"spec": {"volumeName": "pv-1"}}),
        ),
        object(
            "v1",
            "ServiceAccount",
            "web",
            json!({"secrets": [{"name": "web-token"}], "imagePullSecrets": [{"name": "pull"}]}),
        ),
        object("v1", "Secret", "pull", json!({})),
        object(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "web",
            json!({
                "roleRef": {"kind": "Role", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", "name": "web"}, {"kind": "ServiceAccount", "name": "api"}],
            }),
        ),
        object("rbac.authorization.k8s.io/v1", "Role", "reader", json!({})),
        object("v1", "ServiceAccount", "api", json!({})),
        object(
            "networking.k8s.io/v1",
            "Ingress",
            "edge",
            json!({"spec": {
                "tls": [{"secretName": "cert"}],
                "rules": [{"http": {"paths": [
                    {"backend": {"service": {"name": "web"}}}, {"backend": {"service": {"name": "api"}}},
                ]}}],
            }}),
        ),
        object("v1", "Secret", "cert", json!({})),
        object(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "web",
            json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}}),
        ),
        object(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "api",
            json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"}}}),
        ),
        object(
            "policy/v1",
            "PodDisruptionBudget",
            "web",
            json!({"spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}}}),
        ),
        object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "deny",
            json!({"spec": {"podSelector": {}}}),
        ),
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web-1", "ownerReferences": [{"name": "web"}]},
            "spec": {"template": {"metadata": {"labels": {"app": "web"}}}}}),
    ]
}

#[test]
fn a_service_takes_along_what_it_needs_and_nothing_of_others() {
    let found = closure("web", &namespace()).unwrap();
    let names: Vec<String> = found.iter().map(|m| m.key().to_string()).collect();
    assert_eq!(
        names,
        [
            "Service web",
            "Service web-metrics",
            "Deployment web",
            "ConfigMap web",
            "Secret shared",
            "PersistentVolumeClaim data",
            "ServiceAccount web",
            "Secret pull",
            "RoleBinding web",
            "Role reader",
            "Ingress edge",
            "Secret cert",
            "HorizontalPodAutoscaler web",
            "PodDisruptionBudget web",
        ]
    );
    assert_eq!(
        found[0].value["spec"],
        json!({"selector": {"app": "web"}, "ports": [{"port": 80}]})
    );
    assert_eq!(found[0].value["metadata"], json!({"name": "web"}));
    assert_eq!(found[0].origin.service, "web");
}

#[test]
fn a_service_that_is_not_there_or_selects_nothing_is_refused() {
    let error = closure("wbe", &namespace()).unwrap_err();
    assert_eq!(error.hints(), ["did you mean \"web\"?"]);
    let lonely = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"selector": {"a": "b"}}});
    assert!(
        closure("x", &[lonely])
            .unwrap_err()
            .message()
            .contains("selects no Deployment")
    );
    let external = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"type": "ExternalName"}});
    assert_eq!(closure("x", &[external]).unwrap().len(), 1);
}

#[test]
fn what_two_services_share_is_copied_once() {
    let mut all = closure("web", &namespace()).unwrap();
    all.extend(closure("api", &namespace()).unwrap());
    let edges =
        |all: &[crate::manifest::Manifest]| all.iter().filter(|m| m.name() == "edge").count();
    assert_eq!(edges(&all), 2);
    let all = without_repeats(all);
    assert_eq!(edges(&all), 1);
    assert!(crate::manifest::validate::check_unique(&all).is_ok());
}

#[test]
fn what_the_cluster_wrote_is_removed() {
    let mut headless = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "db", "namespace": "shop", "uid": "1", "resourceVersion": "2", "managedFields": [],
            "labels": {"app": "db", "app.kubernetes.io/managed-by": "Helm", "dev/env": "base"},
            "annotations": {"meta.helm.sh/release-name": "db", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "finalizers": ["x"],
        },
        "spec": {"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4"], "selector": {"app": "db", "dev/version": "base"}},
        "status": {"loadBalancer": {}},
    });
    clean(&mut headless);
    assert_eq!(
        headless,
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "db", "labels": {"app": "db"}},
            "spec": {"clusterIP": "None", "selector": {"app": "db"}},
        })
    );
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "labels": {"controller-uid": "1"}},
        "spec": {
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "1"}},
            "template": {"metadata": {"creationTimestamp": null, "labels": {"a": "b", "controller-uid": "1", "job-name": "j", "batch.kubernetes.io/job-name": "j"}}, "spec": {}},
        },
    });
    clean(&mut job);
    assert_eq!(
        job,
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
            "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {}}},
        })
    );
}

proptest::proptest! {
    #[test]
    fn odd_shapes_are_taken(kind in "Service|Job|Deployment|X", spec in "[a-z]{0,3}", n in 0..4u8) {
        let odd = [json!(spec), json!([spec]), json!({"selector": spec}), json!(null)];
        let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": odd[usize::from(n)], "spec": odd[3 - usize::from(n)]});
        clean(&mut value);
        let _ = closure("x", &[value]);
    }
}

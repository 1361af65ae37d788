//! Judged from objects that a real cluster showed (`tests/recorded`, made by `tests/record.py`).

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::manifest::ObjectKey;

mod changed;
mod messages;

/// The recorded objects of a scenario.
fn recorded(scenario: &str) -> Vec<Value> {
    let path = format!(
        "{}/src/cluster/health/tests/recorded/{scenario}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).expect("a list of objects")
}

fn world(objects: &[Value]) -> World {
    let mut world = World::default();
    for kind in [
        Watched::Deployments,
        Watched::StatefulSets,
        Watched::DaemonSets,
        Watched::ReplicaSets,
        Watched::Jobs,
        Watched::Pods,
        Watched::Claims,
        Watched::Events,
        Watched::ClaimEvents,
    ] {
        world.synced.insert(kind);
    }
    for object in objects {
        let name = object["metadata"]["name"]
            .as_str()
            .expect("a name")
            .to_owned();
        macro_rules! put {
            ($place:ident) => {{
                let typed = serde_json::from_value(object.clone()).expect("a typed object");
                world.$place.insert(name, typed);
            }};
        }
        match object["kind"].as_str().expect("a kind") {
            "Deployment" => put!(deployments),
            "StatefulSet" => put!(stateful_sets),
            "DaemonSet" => put!(daemon_sets),
            "ReplicaSet" => put!(replica_sets),
            "Job" => put!(jobs),
            "Pod" => put!(pods),
            "PersistentVolumeClaim" => put!(claims),
            "Event" => put!(events),
            other => panic!("{other} is not read"),
        }
    }
    world
}

/// The service of the scenario's first object, which is its workload.
fn service(objects: &[Value]) -> ServiceObjects {
    let text = |field: &Value| field.as_str().expect("a string").to_owned();
    let first = &objects[0];
    let name = text(&first["metadata"]["name"]);
    let key = ObjectKey {
        api_version: text(&first["apiVersion"]),
        kind: text(&first["kind"]),
        namespace: Some(text(&first["metadata"]["namespace"])),
        name: name.clone(),
    };
    ServiceObjects {
        service: name,
        workloads: vec![Target::new(key)],
    }
}

/// Long after the recording, so that everything that runs has run for long.
const LATER: &str = "2100-01-01T00:00:00Z";

fn moment(now: &str, waited: u64) -> Moment {
    Moment {
        now: now.parse::<Timestamp>().expect("a time"),
        waited: Duration::from_secs(waited),
    }
}

fn judged_at(objects: &[Value], moment: Moment) -> Judgement {
    let world = world(objects);
    judge(&service(objects), &Index::new(&world), moment)
}

fn judged(objects: &[Value]) -> Judgement {
    judged_at(objects, moment(LATER, 60))
}

#[test]
fn recorded_services_that_are_well_are_ready() {
    for (scenario, replicas) in [("good", 2), ("set", 2), ("daemons", 2), ("job-done", 1)] {
        let health = judged(&recorded(scenario)).health;
        assert_eq!(health.state, State::Ready, "{scenario}: {health:?}");
        assert_eq!(
            (health.ready, health.wanted),
            (replicas, replicas),
            "{scenario}"
        );
    }
}

/// Scenario, reason, container, a part of the message, a part of the hint.
const TROUBLES: [(&str, &str, Option<&str>, &str, &str); 29] = [
    (
        "crash",
        "CrashLoop",
        Some("app"),
        "it ended with exit code 1, restarted",
        "dev logs crash -c app --previous",
    ),
    (
        "ended",
        "CrashLoop",
        Some("app"),
        "it ended without an error, restarted",
        "belongs in a Job",
    ),
    (
        "out-of-memory",
        "OutOfMemory",
        Some("app"),
        "more than its memory limit of 20Mi",
        "limits.memory",
    ),
    (
        "no-image",
        "ImagePull",
        Some("app"),
        "the registry has no image",
        "check the name and tag",
    ),
    (
        "no-registry",
        "ImagePull",
        Some("app"),
        "cannot reach the registry of localhost:5999/x/y:1",
        "localhost:5999 must be reachable",
    ),
    (
        "never-pull",
        "ImagePull",
        Some("app"),
        "imagePullPolicy is Never",
        "load the image into every node",
    ),
    (
        "bad-name",
        "ImagePull",
        Some("app"),
        "\"UPPER/Case:::1\" is no well-formed",
        "in lower case",
    ),
    (
        "no-configmap",
        "ContainerConfig",
        Some("app"),
        "ConfigMap missing does not exist",
        "service's manifests",
    ),
    (
        "no-key",
        "ContainerConfig",
        Some("app"),
        "Secret some has no key k",
        "add the key",
    ),
    (
        "root",
        "ContainerConfig",
        Some("app"),
        "it would run as root",
        "runAsUser",
    ),
    (
        "no-secret-volume",
        "VolumeMount",
        None,
        "secret \"absent\" not found",
        "service's manifests",
    ),
    (
        "too-big",
        "Unschedulable",
        None,
        "not enough cpu on 2 nodes (it asks for 64); not enough memory on 2 nodes (it asks for 4Ti)",
        "requests of cpu",
    ),
    (
        "no-node",
        "Unschedulable",
        None,
        "nodeSelector or node affinity does not match 2 nodes",
        "--show-labels",
    ),
    (
        "gated",
        "Unschedulable",
        None,
        "scheduling gate example.com/hold",
        "lift",
    ),
    (
        "unbound-claim",
        "PvcPending",
        None,
        "it names no storage class, and the cluster has no default one",
        "storageClassName",
    ),
    (
        "not-ready",
        "ProbeFailing",
        Some("app"),
        "its readiness probe fails: HTTP probe failed with statuscode: 503",
        "dev logs not-ready",
    ),
    (
        "wrong-port",
        "ProbeFailing",
        Some("app"),
        "connection refused",
        "port and path",
    ),
    (
        "liveness",
        "ProbeFailing",
        Some("app"),
        "its liveness probe fails",
        "--previous",
    ),
    (
        "startup",
        "ProbeFailing",
        Some("app"),
        "its startup probe fails",
        "--previous",
    ),
    (
        "init-fails",
        "InitContainer",
        Some("migrate"),
        "the init container ended with exit code 1",
        "-c migrate --previous",
    ),
    (
        "bad-command",
        "ContainerStart",
        Some("app"),
        "its command is not in the image",
        "`command` and `args`",
    ),
    (
        "no-account",
        "PodCreation",
        None,
        "the service account ghost does not exist",
        "ServiceAccount",
    ),
    (
        "paused",
        "Paused",
        None,
        "its rollout is paused",
        "kubectl rollout resume deployment/paused",
    ),
    (
        "set-crash",
        "CrashLoop",
        Some("app"),
        "it ended with exit code 1",
        "dev logs set-crash",
    ),
    (
        "quota",
        "QuotaExceeded",
        None,
        "quota small of the namespace is used up: requested pods=1, used pods=1, limited pods=1",
        "kubectl describe quota small",
    ),
    (
        "quota-set",
        "QuotaExceeded",
        None,
        "quota small of the namespace is used up",
        "kubectl describe quota small",
    ),
    (
        "quota-wants",
        "QuotaExceeded",
        None,
        "quota small asks for values that the pod lacks: must specify requests.cpu for: app",
        "LimitRange",
    ),
    (
        "restricted",
        "AdmissionRefused",
        None,
        "Pod Security level restricted:latest refuses the pod",
        "securityContext",
    ),
    (
        "restricted-set",
        "AdmissionRefused",
        None,
        "Pod Security level restricted:latest",
        "securityContext",
    ),
];

#[test]
fn recorded_troubles_are_told_with_reason_and_hint() {
    for (scenario, code, container, message, hint) in TROUBLES {
        let health = judged(&recorded(scenario)).health;
        let State::Troubled { troubles } = &health.state else {
            panic!("{scenario}: {health:#?}");
        };
        let first = &troubles[0];
        assert_eq!(first.reason.code(), code, "{scenario}: {first:#?}");
        assert_eq!(
            first.container.as_deref(),
            container,
            "{scenario}: {first:#?}"
        );
        assert!(first.message.contains(message), "{scenario}: {first:#?}");
        let told = first.hint.as_deref().unwrap_or_default();
        assert!(told.contains(hint), "{scenario}: {first:#?}");
        assert_eq!(health.text, first.message, "{scenario}");
    }
}

#[test]
fn a_deadline_that_passed_comes_after_its_cause() {
    let health = judged(&recorded("deadline")).health;
    let codes: Vec<_> = health
        .troubles()
        .iter()
        .map(|one| one.reason.code())
        .collect();
    assert_eq!(codes, ["ImagePull", "ProgressDeadlineExceeded"]);
}

#[test]
fn pods_of_one_owner_with_the_same_trouble_are_told_once() {
    let health = judged(&recorded("set-crash")).health;
    assert_eq!(health.troubles().len(), 1);
    assert_eq!(health.troubles()[0].others, 1);
    assert!(
        health.troubles()[0]
            .to_string()
            .starts_with("Pod set-crash-0 (and 1 more), container app: ")
    );
}

#[test]
fn only_what_is_not_tried_again_has_failed() {
    let cases = [
        (
            "job-failed",
            "JobFailed",
            "it failed too often (backoffLimit): it ended with exit code 1",
        ),
        ("job-late", "JobFailed", "activeDeadlineSeconds"),
        (
            "pod-failed",
            "PodFailed",
            "the pod failed: it ended with exit code 1",
        ),
    ];
    for (scenario, code, message) in cases {
        let health = judged(&recorded(scenario)).health;
        let State::Failed { trouble } = &health.state else {
            panic!("{scenario}: {health:#?}");
        };
        assert_eq!(trouble.reason.code(), code, "{scenario}");
        assert!(
            trouble.message.contains(message),
            "{scenario}: {trouble:#?}"
        );
    }
}

#[test]
fn the_lines_of_the_run_that_failed_are_asked_for_and_told() {
    let objects = recorded("crash");
    let asked = judged(&objects).logs;
    assert_eq!(asked.len(), 1, "{asked:?}");
    let mut world = world(&objects);
    let line = "testbox: no DATABASE_URL".to_owned();
    world.logs.insert(asked[0].key.clone(), vec![line.clone()]);
    let judged = judge(&service(&objects), &Index::new(&world), moment(LATER, 60));
    assert_eq!(judged.logs, []);
    assert_eq!(
        judged.health.troubles()[0].lines,
        std::slice::from_ref(&line)
    );
    // Until those of a later run were read, those of the earlier one stand.
    let earlier = LogKey {
        run: asked[0].key.run - 1,
        ..asked[0].key.clone()
    };
    world.logs.clear();
    world.logs.insert(earlier, vec![line.clone()]);
    let judged = judge(&service(&objects), &Index::new(&world), moment(LATER, 60));
    assert_eq!(judged.logs, asked);
    assert_eq!(judged.health.troubles()[0].lines, [line]);
}

#[test]
fn troubles_have_a_form_for_programs() {
    let health = judged(&recorded("out-of-memory")).health;
    let value = serde_json::to_value(&health).expect("JSON");
    assert_eq!(value["state"], "troubled");
    assert_eq!(value["troubles"][0]["reason"]["code"], "OutOfMemory");
    let object = value["troubles"][0]["object"].as_str().expect("a string");
    assert!(object.starts_with("Pod/out-of-memory-"), "{object}");
    assert_eq!(value["troubles"][0]["container"], json!("app"));
}

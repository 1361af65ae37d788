//! Recorded objects with one thing changed: what is judged must follow.

use super::*;

fn change(objects: &mut [Value], kind: &str, path: &str, value: Value) {
    let object = objects
        .iter_mut()
        .find(|one| one["kind"] == kind)
        .expect("an object of the kind");
    *object
        .pointer_mut(path)
        .unwrap_or_else(|| panic!("{kind} has no {path}")) = value;
}

#[test]
fn an_older_state_is_not_taken_for_the_new_generation() {
    let mut objects = recorded("good");
    change(&mut objects, "Deployment", "/metadata/generation", json!(2));
    let health = judged(&objects).health;
    assert_eq!(
        health.state,
        State::Progressing,
        "its controller has not seen it"
    );

    let objects = recorded("good");
    let mut applied = service(&objects);
    applied.workloads[0].generation = Some(2);
    let world = world(&objects);
    let health = judge(&applied, &Index::new(&world), moment(LATER, 60)).health;
    assert_eq!(
        health.state,
        State::Progressing,
        "the watch has not shown it"
    );

    applied.workloads[0].generation = Some(1);
    applied.workloads[0].uid = Some("of another object".to_owned());
    let health = judge(&applied, &Index::new(&world), moment(LATER, 60)).health;
    assert_eq!(health.state, State::Progressing, "it is another object");
}

#[test]
fn a_rollout_with_old_pods_left_is_not_complete() {
    let mut objects = recorded("good");
    change(&mut objects, "Deployment", "/status/replicas", json!(3));
    let health = judged(&objects).health;
    assert_eq!(health.state, State::Progressing);
    assert_eq!(health.text, "1 old pods are ending");
}

#[test]
fn old_pods_that_are_available_do_not_count_for_the_new_version() {
    let mut objects = recorded("good");
    change(
        &mut objects,
        "Deployment",
        "/status/updatedReplicas",
        json!(1),
    );
    change(
        &mut objects,
        "ReplicaSet",
        "/status/availableReplicas",
        json!(1),
    );
    let health = judged(&objects).health;
    assert_eq!((health.ready, health.wanted), (1, 2));
    assert_eq!(health.text, "1/2 ready");
}

#[test]
fn an_object_that_is_not_seen_is_waited_for_before_it_is_missed() {
    let objects = recorded("good");
    let empty = world(&[]);
    let index = Index::new(&empty);
    let early = judge(&service(&objects), &index, moment(LATER, 1));
    assert_eq!(early.health.state, State::Progressing);
    assert_eq!(early.again, Some(Duration::from_secs(4)));
    let late = judge(&service(&objects), &index, moment(LATER, 6)).health;
    assert_eq!(late.troubles()[0].reason, Reason::Missing);
}

#[test]
fn a_job_that_was_removed_after_it_was_done_is_ready() {
    let objects = recorded("job-done");
    let mut gone = world(&[]);
    let mut target = service(&objects);
    target.workloads[0].uid = Some("u".to_owned());
    gone.finished_jobs.insert("u".to_owned());
    let health = judge(&target, &Index::new(&gone), moment(LATER, 60)).health;
    assert_eq!(health.state, State::Ready);
}

/// `good` with each pod's container restarted once, the last time at `started`.
fn restarted(started: &str) -> Vec<Value> {
    let mut objects = recorded("good");
    for pod in objects.iter_mut().filter(|one| one["kind"] == "Pod") {
        let status = &mut pod["status"]["containerStatuses"][0];
        status["restartCount"] = json!(1);
        status["state"] = json!({"running": {"startedAt": started}});
        status["lastState"] =
            json!({"terminated": {"exitCode": 2, "startedAt": started, "finishedAt": started}});
    }
    objects
}

#[test]
fn a_container_that_crashed_is_believed_after_it_ran_for_a_while() {
    let objects = restarted("2026-01-01T00:00:00Z");
    let soon = judged_at(&objects, moment("2026-01-01T00:00:03Z", 60));
    assert_eq!(soon.health.troubles()[0].reason.code(), "CrashLoop");
    assert_eq!(soon.again, Some(Duration::from_secs(7)));
    let later = judged_at(&objects, moment("2026-01-01T00:00:10Z", 60));
    assert_eq!((later.health.state, later.again), (State::Ready, None));
}

#[test]
fn a_wrong_clock_does_not_put_it_off_for_ever() {
    // By this machine's clock the container starts in an hour; but it was first seen 10 s ago.
    let objects = restarted("2026-01-01T01:00:00Z");
    let now = moment("2026-01-01T00:00:10Z", 60);
    let mut world = world(&objects);
    let unsure = judge(&service(&objects), &Index::new(&world), now);
    assert!(!unsure.health.is_ready());
    for pod in world.pods.clone().values() {
        world.note_running(pod, "2026-01-01T00:00:00Z".parse().expect("a time"));
    }
    let sure = judge(&service(&objects), &Index::new(&world), now);
    assert_eq!(sure.health.state, State::Ready);
}

#[test]
fn a_container_without_a_readiness_probe_must_run_for_a_while() {
    let mut objects = recorded("daemons");
    for pod in objects.iter_mut().filter(|one| one["kind"] == "Pod") {
        pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] =
            json!("2026-01-01T00:00:00Z");
    }
    let soon = judged_at(&objects, moment("2026-01-01T00:00:00Z", 60));
    assert_eq!(soon.health.state, State::Progressing);
    assert_eq!(soon.again, Some(Duration::from_secs(3)));
    let later = judged_at(&objects, moment("2026-01-01T00:00:03Z", 60));
    assert_eq!(later.health.state, State::Ready);
}

#[test]
fn a_probe_that_failed_before_the_container_was_restarted_says_nothing() {
    let mut objects = recorded("not-ready");
    for pod in objects.iter_mut().filter(|one| one["kind"] == "Pod") {
        pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] =
            json!("2099-01-01T00:00:00Z");
    }
    let health = judged(&objects).health;
    let mut codes = health.troubles().iter().map(|one| one.reason.code());
    assert!(codes.all(|code| code != "ProbeFailing"), "{health:#?}");
}

#[test]
fn a_refusal_of_an_older_specification_says_nothing() {
    let mut objects = recorded("quota-set");
    let entry = json!([{"manager": "dev", "operation": "Apply", "time": "2099-01-01T00:00:00Z"}]);
    objects[0]["metadata"]["managedFields"] = entry;
    let health = judged(&objects).health;
    assert_eq!(health.state, State::Progressing, "{health:#?}");
}

#[test]
fn pods_that_are_being_removed_have_no_troubles() {
    let mut objects = recorded("crash");
    for pod in objects.iter_mut().filter(|one| one["kind"] == "Pod") {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    assert_eq!(judged(&objects).health.state, State::Progressing);
}

#[test]
fn an_evicted_pod_and_a_lost_node_are_told() {
    for (reason, code) in [
        ("Evicted", "Evicted"),
        ("NodeLost", "NodeLost"),
        ("OutOfcpu", "Evicted"),
    ] {
        let mut objects = recorded("crash");
        let status = json!({"phase": "Failed", "reason": reason, "message": "The node was low on resource: memory."});
        change(&mut objects, "Pod", "/status", status);
        let health = judged(&objects).health;
        assert_eq!(health.troubles()[0].reason.code(), code, "{reason}");
        assert_eq!(
            health.troubles()[0].detail,
            ["The node was low on resource: memory."]
        );
    }
}

#[test]
fn a_set_that_waits_for_a_pod_of_the_old_version_names_the_pod() {
    let mut objects = recorded("set-crash");
    change(
        &mut objects,
        "StatefulSet",
        "/status/updateRevision",
        json!("set-crash-new"),
    );
    change(
        &mut objects,
        "StatefulSet",
        "/status/updatedReplicas",
        json!(0),
    );
    let health = judged(&objects).health;
    let told: Vec<_> = health
        .troubles()
        .iter()
        .filter_map(|one| one.hint.as_deref())
        .collect();
    assert!(told.contains(&"kubectl delete pod set-crash-0"), "{told:?}");
}

#[test]
fn a_suspended_job_and_a_scaled_down_deployment_are_ready() {
    let mut objects = recorded("job-late");
    objects[0]["spec"]["suspend"] = json!(true);
    assert_eq!(judged(&objects).health.state, State::Ready);

    let mut objects = recorded("good");
    change(&mut objects, "Deployment", "/spec/replicas", json!(0));
    change(
        &mut objects,
        "Deployment",
        "/status",
        json!({"observedGeneration": 1}),
    );
    let health = judged(&objects[..1]).health;
    assert_eq!((health.state, health.wanted), (State::Ready, 0));
}

#[test]
fn kinds_that_have_nothing_to_wait_for_are_ready() {
    let key = ObjectKey {
        api_version: "batch/v1".to_owned(),
        kind: "CronJob".to_owned(),
        namespace: None,
        name: "nightly".to_owned(),
    };
    let service = ServiceObjects {
        service: "nightly".to_owned(),
        workloads: vec![Target::new(key)],
    };
    let empty = world(&[]);
    let health = judge(&service, &Index::new(&empty), moment(LATER, 60)).health;
    assert_eq!(
        (health.state, health.text.as_str()),
        (State::Ready, "ready")
    );
}

#[test]
fn what_is_known_to_be_deleted_has_failed_and_what_may_come_is_waited_for() {
    let objects = recorded("good");
    let mut applied = service(&objects);
    applied.workloads = applied.workloads.into_iter().map(Target::applied).collect();
    let kind = Watched::of("apps/v1", &applied.workloads[0].key.kind).unwrap();
    let judged = |applied: &ServiceObjects, world: &World| {
        let health = judge(applied, &Index::new(world), moment(LATER, 1)).health;
        health.troubles().first().map(|one| one.reason.code())
    };
    let mut empty = world(&[]);
    applied.workloads[0].uid = Some("of it".to_owned());
    assert_eq!(judged(&applied, &empty), None);
    empty.seen.insert("of it".to_owned());
    assert_eq!(judged(&applied, &empty), Some("Deleted"));

    let mut other = world(&objects);
    assert_eq!(judged(&applied, &other), None, "an older one may be shown");
    other.seen.insert("of it".to_owned());
    assert_eq!(judged(&applied, &other), Some("Deleted"));

    applied.workloads[0].uid = None;
    let lists = Lists { begun: 1, read: 1 };
    let listed = World {
        lists: [(kind, lists)].into(),
        ..world(&[])
    };
    assert_eq!(judged(&applied, &listed), Some("Deleted"));
    applied.workloads[0].known = Known::There { lists: 1 };
    assert_eq!(judged(&applied, &listed), None, "it was applied later");
    applied.workloads[0].known = Known::Gone;
    assert_eq!(judged(&applied, &listed), Some("Deleted"));
}

#[test]
fn an_object_that_waits_for_its_pods_to_go_is_being_deleted() {
    let mut objects = recorded("good");
    let deployment = objects.iter_mut().find(|one| one["kind"] == "Deployment");
    deployment.unwrap()["metadata"]["deletionTimestamp"] = json!(LATER);
    let mut target = service(&objects);
    let read = world(&objects);
    let uid = read
        .deployments
        .values()
        .next()
        .unwrap()
        .metadata
        .uid
        .clone();
    target.workloads[0].uid = uid;
    let before = judge(&target, &Index::new(&read), moment(LATER, 60)).health;
    assert!(!before.is_failed(), "nobody said that it was applied");
    target.workloads[0].known = Known::There { lists: 0 };
    let health = judge(&target, &Index::new(&read), moment(LATER, 60)).health;
    assert_eq!(health.troubles()[0].reason, Reason::Deleted);
}

#[test]
fn a_job_has_to_be_seen_to_be_deleted() {
    let objects = recorded("job-done");
    let mut target = service(&objects);
    target.workloads[0].uid = Some("u".to_owned());
    target.workloads[0].known = Known::There { lists: 0 };
    let mut gone = world(&[]);
    gone.seen.insert("u".to_owned());
    let state = |world: &World| {
        judge(&target, &Index::new(world), moment(LATER, 1))
            .health
            .state
    };
    assert_eq!(state(&gone), State::Progressing);
    gone.deleted_jobs.insert("u".to_owned());
    assert!(matches!(state(&gone), State::Failed { .. }));
    gone.finished_jobs.insert("u".to_owned());
    assert_eq!(state(&gone), State::Ready);
}

use serde_json::json;

use super::*;
use crate::plan::Action;

fn change(api_version: &str, kind: &str, name: &str, service: &str, action: Action) -> Change {
    Change {
        key: ObjectKey {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: Some("shop-a".into()),
            name: name.into(),
        },
        service: service.into(),
        place: None,
        action,
        desired: Some(json!({})),
        live: None,
    }
}

fn needs(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    pairs
        .iter()
        .map(|(service, needed)| {
            let needed = needed.iter().map(|name| (*name).to_owned()).collect();
            ((*service).to_owned(), needed)
        })
        .collect()
}

#[test]
fn what_pods_refer_to_comes_before_them_and_entries_after() {
    let changes = [
        change(
            "networking.k8s.io/v1",
            "Ingress",
            "web",
            "web",
            Action::Create,
        ),
        change("apps/v1", "Deployment", "web", "web", Action::Create),
        change("v1", "ConfigMap", "web", "web", Action::Create),
        change("apps/v1", "Deployment", "db", "db", Action::Create),
        change("v1", "ServiceAccount", "web", "web", Action::Create),
        change("v1", "Secret", "db", "db", Action::Create),
    ];
    let schedule = schedule(&changes, &needs(&[("web", &["db"]), ("db", &[])])).unwrap();
    assert_eq!(schedule.foundation, [vec![4], vec![2, 5]]);
    let web = ServiceSteps {
        service: "web".into(),
        needs: vec!["db".into()],
        stages: vec![vec![1], vec![0]],
        takeover: vec![],
    };
    let db = ServiceSteps {
        service: "db".into(),
        needs: vec![],
        stages: vec![vec![3]],
        takeover: vec![],
    };
    assert_eq!(schedule.services, [db, web]);
}

#[test]
fn an_alias_leads_to_the_base_until_the_copy_is_ready() {
    let alias =
        json!({"metadata": {"labels": {"dev/alias": "true"}}, "spec": {"type": "ExternalName"}});
    let switched = |desired: serde_json::Value, live: &serde_json::Value| {
        let mut change = change("v1", "Service", "web", "web", Action::Update(vec![]));
        change.desired = Some(desired);
        change.live = Some(crate::plan::Live {
            value: live.clone(),
            ..Default::default()
        });
        let deployment =
            super::tests::change("apps/v1", "Deployment", "web", "web", Action::Create);
        schedule(&[change, deployment], &needs(&[("web", &[])])).unwrap()
    };
    let own = json!({"spec": {"selector": {"app": "web"}}});
    let later = switched(own.clone(), &alias);
    assert_eq!(later.services[0].takeover, [0]);
    assert!(later.foundation.is_empty());
    // Back at once: the base is ready.
    let back = switched(alias.clone(), &own);
    assert_eq!(back.foundation, [vec![0]]);
    // Pods of a StatefulSet find each other by its Service before they are ready.
    let headless = switched(json!({"spec": {"clusterIP": "None"}}), &alias);
    assert_eq!(headless.foundation, [vec![0]]);
    // Pods wait for the Secret that their Service wishes for.
    let mut wishing = own;
    wishing["metadata"] = json!({"annotations": {"dev/secrets": "db"}});
    assert_eq!(switched(wishing, &alias).foundation, [vec![0]]);
}

#[test]
fn deletions_come_last_and_in_reverse() {
    let changes = [
        change("v1", "ConfigMap", "old", "web", Action::Delete),
        change("apps/v1", "Deployment", "old", "web", Action::Delete),
        change("v1", "ConfigMap", "same", "web", Action::Unchanged),
    ];
    let schedule = schedule(&changes, &needs(&[("web", &[])])).unwrap();
    assert_eq!(schedule.prune, [vec![1], vec![0]]);
    assert!(schedule.foundation.is_empty() && schedule.services.is_empty());
}

#[test]
fn definitions_come_before_the_objects_of_their_kind() {
    let changes = [
        change("example.org/v1", "Shelf", "a", "web", Action::Create),
        change(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            "shelves.example.org",
            "web",
            Action::Create,
        ),
    ];
    let schedule = schedule(&changes, &needs(&[("web", &[])])).unwrap();
    assert_eq!(schedule.foundation, [vec![1]]);
    assert_eq!(schedule.services[0].stages, [vec![0]]);
}

#[test]
fn a_circle_of_needs_is_named() {
    let error = check_needs(&needs(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])])).unwrap_err();
    assert_eq!(error.reason_code(), Some("CyclicNeeds"));
    assert!(error.message().ends_with("b → c → b"), "{error}");
    let error = check_needs(&needs(&[("a", &["a"])])).unwrap_err();
    assert!(error.message().ends_with("a → a"), "{error}");
}

#[test]
fn a_need_that_is_no_service_is_told_with_the_nearest_name() {
    let error = check_needs(&needs(&[("web", &["reveiws"]), ("reviews", &[])])).unwrap_err();
    assert_eq!(error.reason_code(), Some("UnknownService"));
    assert_eq!(error.hints(), ["did you mean \"reviews\"?"]);
}

#[test]
fn many_services_that_share_needs_are_no_circle() {
    // Without memory of what was looked at, this would take 2^40 steps.
    let mut all = BTreeMap::new();
    for i in 0..40 {
        let next = if i < 39 {
            vec![format!("s{}", i + 1), format!("s{}", i + 1)]
        } else {
            vec![]
        };
        all.insert(format!("s{i}"), next);
    }
    check_needs(&all).unwrap();
}

//! What is said while something is waited for, and what ends a route. The model has the rest.

use std::sync::Arc;

use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::control::ROUTER;
use crate::manifest::labels;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn service(name: &str, selector: &Value) -> Arc<Service> {
    let object = json!({
        "metadata": {"name": name, "uid": "u", "resourceVersion": "1", "managedFields": []},
        "spec": {"clusterIP": "10.0.0.1", "selector": selector, "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]},
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

/// One Service that is wanted, two routers that know nothing of it.
fn observed() -> Observed {
    let labels = BTreeMap::from([("app".to_owned(), ROUTER.to_owned())]);
    let router = |pod: &str| Router {
        pod: pod.to_owned(),
        labels: labels.clone(),
        ready: true,
        acked: BTreeMap::new(),
    };
    Observed {
        services: BTreeMap::from([("a".to_owned(), service("a", &json!({"app": "a"})))]),
        wanted: BTreeSet::from(["a".to_owned()]),
        admitted: true,
        routers: vec![router("r1"), router("r2")],
        template: Some(Template {
            labels: labels.clone(),
            replicas: 2,
        }),
        ..Observed::default()
    }
}

fn next(observed: &Observed) -> Decision {
    decide(observed, &Periods::default(), now())
}

/// Carries the step for the shadow out.
fn with_shadow(mut observed: Observed) -> Observed {
    let decision = next(&observed);
    let Some(Step::CreateShadow(shadow) | Step::UpdateShadow(shadow)) =
        decision.acts.first().map(|act| act.step.clone())
    else {
        panic!("{decision:?}");
    };
    let object = serde_json::from_value(shadow.object()).unwrap();
    observed
        .shadows
        .insert(shadow.service.clone(), Arc::new(object));
    observed
}

fn reason(observed: &Observed) -> String {
    match &next(observed).states["a"] {
        State::Waiting { reason } | State::Refused { reason } => reason.clone(),
        other => format!("{other:?}"),
    }
}

fn acknowledged(observed: &mut Observed, router: usize, base: Option<usize>) {
    let port = AckedPort {
        listener: 20_000,
        base,
    };
    let acked = Acked {
        ports: BTreeMap::from([(80, port)]),
    };
    observed.routers[router].acked.insert("a".to_owned(), acked);
}

fn pods(observed: &mut Observed, name: &str, addresses: &[&str]) {
    let ready: BTreeSet<_> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let backends = Backends {
        all: ready.clone(),
        ready,
    };
    observed.backends.insert(name.to_owned(), backends);
}

#[test]
fn every_thing_that_is_waited_for_is_told() {
    let mut world = with_shadow(observed());
    world.template = None;
    assert_eq!(reason(&world), "the base has no routers");

    world.template = observed().template;
    pods(&mut world, "a", &["10.1.0.1"]);
    assert_eq!(
        reason(&world),
        "its shadow does not have the base's pods yet"
    );

    pods(&mut world, "a-dev-base", &["10.1.0.1"]);
    world.routers[0].ready = false;
    assert_eq!(reason(&world), "1 of 2 routers are ready");

    world.routers[0].ready = true;
    acknowledged(&mut world, 0, Some(1));
    assert_eq!(reason(&world), "router r2 has not acknowledged it yet");
    assert_eq!(next(&world).awaited, BTreeSet::from(["a".to_owned()]));

    acknowledged(&mut world, 1, Some(0));
    assert_eq!(reason(&world), "router r2 has not acknowledged it yet");

    acknowledged(&mut world, 1, None);
    world.routers[1].labels.clear();
    assert_eq!(
        reason(&world),
        "router r2 has no label to be selected by yet"
    );

    world.routers[1].labels = world.routers[0].labels.clone();
    // What is about to happen is recorded first, with the answers kept.
    assert_eq!(next(&world).awaited, BTreeSet::from(["a".to_owned()]));
    let decision = next(&with_shadow(world));
    assert!(
        matches!(decision.acts[0].step, Step::Patch(Change::Switch, _)),
        "{decision:?}"
    );
}

#[test]
fn nothing_is_made_for_what_is_refused_not_wanted_or_not_there() {
    let mut world = observed();
    world
        .refusals
        .insert("a".to_owned(), "it is headless".to_owned());
    assert_eq!(
        (reason(&world).as_str(), next(&world).acts.len()),
        ("it is headless", 0)
    );

    let mut world = observed();
    world.wanted.clear();
    assert_eq!(next(&world), Decision::default());

    let mut world = observed();
    world.services.clear();
    assert_eq!(reason(&world), "the base has no such Service");

    let mut world = observed();
    world.admitted = false;
    assert_eq!(next(&world), Decision::default());

    let mut world = observed();
    world.services.insert(
        "a-dev-base".to_owned(),
        service("a-dev-base", &json!({"b": "c"})),
    );
    assert_eq!(
        reason(&world),
        "the name of its shadow, a-dev-base, is taken"
    );
}

#[test]
fn several_services_get_listeners_of_their_own_and_one_roll_of_the_routers() {
    let mut world = observed();
    for name in ["b", "c"] {
        world.services.insert(
            name.to_owned(),
            service(name, &json!({"tier": name, "part": "x"})),
        );
        world.wanted.insert(name.to_owned());
    }
    world
        .services
        .insert("other".to_owned(), service("other", &json!({"zone": "z"})));
    let decision = next(&world);
    let listeners: Vec<u16> = decision
        .acts
        .iter()
        .filter_map(|act| match &act.step {
            Step::CreateShadow(shadow) => shadow.listeners.values().next().copied(),
            _ => None,
        })
        .collect();
    assert_eq!(listeners, [20_000, 20_001, 20_002]);
    for act in decision.acts {
        let Step::CreateShadow(shadow) = act.step else {
            panic!();
        };
        let object = serde_json::from_value(shadow.object()).unwrap();
        world.shadows.insert(act.service, Arc::new(object));
    }
    let rolls: Vec<Step> = next(&world)
        .acts
        .into_iter()
        .map(|act| act.step)
        .filter(|step| matches!(step, Step::LabelRouters(_)))
        .collect();
    let keys = ["part", "tier", "zone"].map(|key| (key.to_owned(), ROUTER.to_owned()));
    assert_eq!(rolls, [Step::LabelRouters(BTreeMap::from(keys))]);
}

#[test]
fn a_shadow_goes_when_it_is_not_needed_any_more_and_drained() {
    let mut world = with_shadow(observed());
    world.wanted.clear();
    let mut world = with_shadow(world);
    let later = now() + Periods::default().drain;
    assert_eq!(next(&world).again, Some(later));
    assert_eq!(next(&world).acts, []);
    let decision = decide(&world, &Periods::default(), later);
    assert_eq!(decision.acts[0].step, Step::DeleteShadow);
    // Unless the Service does not have the same pods yet.
    pods(&mut world, "a", &["10.1.0.9"]);
    assert_eq!(decide(&world, &Periods::default(), later).acts, []);
}

#[test]
fn a_service_that_is_gone_takes_its_shadow_along() {
    let mut world = with_shadow(observed());
    world.services.clear();
    assert_eq!(next(&world).acts[0].step, Step::DeleteShadow);
    // One that was routed may come back in a moment: then it was its owner who made it anew.
    let shadow = Arc::make_mut(world.shadows.get_mut("a").unwrap());
    let annotations = shadow.metadata.annotations.as_mut().unwrap();
    annotations.insert(
        labels::PROGRESS.to_owned(),
        r#"{"uid": "u", "routed": true}"#.to_owned(),
    );
    let world = with_shadow(world);
    assert_eq!(next(&world).acts, []);
    assert_eq!(
        next(&world).again,
        Some(now() + SignedDuration::from_mins(1))
    );
    let decision = decide(
        &world,
        &Periods::default(),
        now() + SignedDuration::from_mins(1),
    );
    assert_eq!(decision.acts[0].step, Step::DeleteShadow);
}

#[test]
fn a_service_without_its_shadow_is_restored_by_its_own_annotation() {
    let mut world = observed();
    let before = service("a", &json!({"app": "a"}));
    let routed = Routing::of(&before).routed(&BTreeMap::from([("80/TCP".to_owned(), 20_000)]));
    let patch = patches::switch(&before, &routed);
    let restore = patch
        .iter()
        .find_map(|operation| operation["value"].get(labels::RESTORE))
        .unwrap();
    let mut service = (*before).clone();
    service.metadata.annotations = Some(BTreeMap::from([(
        labels::RESTORE.to_owned(),
        restore.as_str().unwrap().to_owned(),
    )]));
    let spec = service.spec.as_mut().unwrap();
    spec.selector = Some(routed.selector.clone());
    spec.ports = Some(routed.ports.clone());
    assert_eq!(patches::read_restore(&service), Some(Routing::of(&before)));
    world
        .services
        .insert("a".to_owned(), Arc::new(service.clone()));
    let restore = |world: &Observed| match &next(world).acts[0].step {
        Step::Patch(Change::Restore, patch) => patch.clone(),
        other => panic!("{other:?}"),
    };
    let sets = |patch: &[Value], path: &str| {
        let found = patch
            .iter()
            .find(|one| one["op"] == "replace" && one["path"] == path);
        found.map(|one| one["value"].clone())
    };
    let patch = restore(&world);
    assert_eq!(sets(&patch, "/spec/selector"), Some(json!({"app": "a"})));
    assert_eq!(sets(&patch, "/spec/ports/0/targetPort"), Some(json!(8080)));

    // What its owner has written since stands.
    service.spec.as_mut().unwrap().selector =
        Some(BTreeMap::from([("app".to_owned(), "new".to_owned())]));
    world
        .services
        .insert("a".to_owned(), Arc::new(service.clone()));
    let patch = restore(&world);
    assert_eq!(sets(&patch, "/spec/selector"), None);
    assert_eq!(sets(&patch, "/spec/ports/0/targetPort"), Some(json!(8080)));

    let annotations = service.metadata.annotations.as_mut().unwrap();
    annotations.insert(labels::RESTORE.to_owned(), "[]".to_owned());
    world.services.insert("a".to_owned(), Arc::new(service));
    assert!(matches!(next(&world).states["a"], State::Broken { .. }));

    // Nothing at all is left that tells what it was.
    let mut lost = (*before).clone();
    let spec = lost.spec.as_mut().unwrap();
    spec.selector = Some(routed.selector);
    spec.ports = Some(routed.ports);
    world.services.insert("a".to_owned(), Arc::new(lost));
    assert!(matches!(next(&world).states["a"], State::Broken { .. }));
    assert_eq!(next(&world).acts, []);
}

/// A second Service `b` beside `a`, and the shadows of both with the same listener: two processes that both thought they lead.
fn with_one_listener_for_two() -> Observed {
    let mut world = with_shadow(observed());
    world
        .services
        .insert("b".to_owned(), service("b", &json!({"app": "b"})));
    world.wanted.insert("b".to_owned());
    let mut shadow = Shadow::read(&world.shadows["a"]).unwrap();
    shadow.service = "b".to_owned();
    shadow.original = Routing::of(&world.services["b"]);
    let object = serde_json::from_value(shadow.object()).unwrap();
    world.shadows.insert("b".to_owned(), Arc::new(object));
    world
}

/// The listeners that steps give to Services.
fn given(decision: &Decision) -> BTreeMap<&str, u16> {
    let steps = decision.acts.iter().filter_map(|act| match &act.step {
        Step::CreateShadow(shadow) | Step::UpdateShadow(shadow) => {
            Some((act.service.as_str(), shadow.listeners["80/TCP"]))
        }
        Step::DeleteShadow | Step::Patch(..) | Step::LabelRouters(_) => None,
    });
    steps.collect()
}

#[test]
fn a_listener_that_two_have_is_left_to_the_one_that_is_further() {
    let mut world = with_one_listener_for_two();
    assert_eq!(given(&next(&world)), BTreeMap::from([("b", 20_001)]));

    // Once requests may be on their way to it, it stays where it is.
    let mut shadow = Shadow::read(&world.shadows["b"]).unwrap();
    shadow.progress.switching = true;
    let object = serde_json::from_value(shadow.object()).unwrap();
    world.shadows.insert("b".to_owned(), Arc::new(object));
    assert_eq!(given(&next(&world)).get("a"), Some(&20_001));
}

#[test]
fn a_listener_that_is_being_given_is_not_given_again() {
    let mut world = observed();
    world.reserved.insert(20_000);
    assert_eq!(given(&next(&world)), BTreeMap::from([("a", 20_001)]));
}

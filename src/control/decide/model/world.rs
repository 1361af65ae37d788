//! The cluster as far as it matters: one Service, its shadow, two routers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Event;
use super::owner::{self, Manifest, Write};
use super::server::{apply, written};
use crate::control::decide::{
    Acked, AckedPort, Backends, Observed, Periods, Router, State, Step, Template, decide,
};
use crate::control::patches::{Patch, restore_annotation};
use crate::control::routing::Routing;
use crate::control::shadow::{self, Shadow};
use crate::control::{CONTROL, ROUTER};
use crate::manifest::labels;

const NAME: &str = "reviews";

pub(super) struct World {
    service: Option<Service>,
    shadow: Option<Service>,
    /// What the process has seen of both.
    seen: (Option<Service>, Option<Service>),
    version: u64,
    now: Timestamp,
    last: Manifest,
    /// What the owner means.
    meant: Routing,
    routers: [Router; 2],
    template: BTreeMap<String, String>,
    wanted: bool,
    admitted: bool,
    refused: bool,
}

impl World {
    /// A Service that an environment overrides, and two routers that are ready.
    pub(super) fn new() -> Self {
        let last = Manifest::first();
        let template = BTreeMap::from([("app".to_owned(), ROUTER.to_owned())]);
        let router = |pod: &str| Router {
            pod: pod.to_owned(),
            labels: template.clone(),
            ready: true,
            acked: BTreeMap::new(),
        };
        let mut world = Self {
            service: None,
            shadow: None,
            seen: (None, None),
            version: 0,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            meant: last.routing(),
            routers: [router("a"), router("b")],
            template,
            last: last.clone(),
            wanted: true,
            admitted: true,
            refused: false,
        };
        world.create(&last.routing());
        world
    }

    pub(super) fn service(&self) -> Service {
        self.service.clone().unwrap()
    }

    pub(super) fn is_routed(&self) -> bool {
        self.state() == Some(State::Routed) && self.serves()
    }

    pub(super) fn state(&self) -> Option<State> {
        let decision = decide(&self.observed(), &Periods::default(), self.now);
        decision.states.get(NAME).cloned()
    }

    pub(super) fn happen(&mut self, event: &Event) {
        match event {
            Event::Step => {
                self.see();
                self.step();
            }
            Event::Blind => {
                self.step();
            }
            Event::Crash => self.see(),
            Event::Ready(router, ready) => self.routers[*router].ready = *ready,
            Event::Ack(router) => self.ack(*router),
            Event::Roll(router) => self.roll(*router),
            Event::Wanted(wanted) => self.wanted = *wanted,
            Event::Admitted(admitted) => self.admitted = *admitted,
            Event::Refused(refused) => self.refused = *refused,
            Event::Minutes(minutes) => self.now += SignedDuration::from_mins(*minutes),
            // Who removes the annotation too leaves nothing that tells what the Service was.
            Event::ShadowDeleted | Event::ShadowStripped if self.is_unmarked() => {}
            Event::Owner(Write::Unmark) if self.is_shadow_lost() => {}
            Event::Owner(write) => self.owner(write),
            Event::ShadowDeleted => self.shadow = None,
            Event::ShadowStripped => {
                if let Some(shadow) = &mut self.shadow {
                    let annotations = shadow.metadata.annotations.as_mut().unwrap();
                    annotations.remove(labels::ORIGINAL);
                    self.version += 1;
                    shadow.metadata.resource_version = Some(self.version.to_string());
                }
            }
            Event::StandDownCleared => self.clear_stand_down(),
        }
    }

    /// Everything works from now on, and time goes on until nothing is left to do.
    pub(super) fn settle(&mut self) {
        for _ in 0..120 {
            for router in 0..2 {
                if self.template != self.routers[router].labels {
                    self.roll(router);
                }
                self.routers[router].ready = true;
                self.ack(router);
            }
            self.see();
            if !self.step() {
                let decision = decide(&self.observed(), &Periods::default(), self.now);
                match decision.again {
                    // What lasts a day would only begin again.
                    Some(again)
                        if again.duration_since(self.now) < SignedDuration::from_hours(1) =>
                    {
                        self.now = again.max(self.now);
                    }
                    _ => return,
                }
            }
        }
        panic!(
            "it does not come to rest: {:?} {}",
            self.state(),
            self.told()
        );
    }

    pub(super) fn check_settled(&self) {
        let Some(service) = &self.service else {
            return;
        };
        assert!(self.serves(), "{:?} {}", self.state(), self.told());
        let managers = service.metadata.managed_fields.as_ref().unwrap();
        assert!(
            managers
                .iter()
                .all(|entry| entry.manager.as_deref() != Some(CONTROL))
        );
        let routed = service
            .metadata
            .annotations
            .as_ref()
            .is_some_and(|all| all.contains_key(labels::RESTORE));
        if routed {
            assert!(self.admitted && !self.refused, "{:?}", self.state());
            assert_eq!(self.state(), Some(State::Routed));
        } else {
            assert_eq!(
                Routing::of(service),
                self.meant,
                "{:?} {}",
                self.state(),
                self.told()
            );
        }
        if self.wanted && self.admitted && !self.refused && !routed {
            assert!(
                matches!(self.state(), Some(State::StoodDown { .. })),
                "{:?}",
                self.state()
            );
        }
    }

    /// Everything is taken away.
    pub(super) fn uninstall(&mut self) {
        self.admitted = false;
        self.settle();
        self.check_settled();
        assert_eq!(self.shadow, None);
    }

    /// Both objects and the routers, for people.
    fn told(&self) -> String {
        let told = |object: &Option<Service>| {
            let object = object.as_ref()?;
            Some(
                json!({"annotations": object.metadata.annotations, "routing": Routing::of(object), "meant": self.meant}),
            )
        };
        format!(
            "{}\n{}\n{:?}",
            json!(told(&self.service)),
            json!(told(&self.shadow)),
            self.routers
        )
    }

    fn see(&mut self) {
        self.seen = (self.service.clone(), self.shadow.clone());
    }

    /// Decides by what was seen, and writes. `false`: there was nothing to write.
    fn step(&mut self) -> bool {
        let decision = decide(&self.observed(), &Periods::default(), self.now);
        let Some(act) = decision.acts.into_iter().next() else {
            return false;
        };
        let served = self.serves();
        let step = format!("{:?}", act.step);
        self.write(act.step);
        // Nothing that this process does takes away what works.
        assert!(!served || self.serves(), "{step} {}", self.told());
        true
    }

    fn observed(&self) -> Observed {
        let some = |object: &Option<Service>| -> BTreeMap<String, Arc<Service>> {
            object
                .iter()
                .map(|object| (NAME.to_owned(), Arc::new(object.clone())))
                .collect()
        };
        let backends = |object: &Option<Service>| {
            let pods = object.iter().any(|object| self.selects_pods(object));
            let address = |yes: bool, text: &str| yes.then(|| text.parse().unwrap());
            let ready: BTreeSet<_> = address(pods, "10.0.0.1").into_iter().collect();
            let routers = object
                .iter()
                .any(|object| self.reached(object).next().is_some());
            let all = ready
                .iter()
                .copied()
                .chain(address(routers, "10.0.0.9"))
                .collect();
            Backends { ready, all }
        };
        Observed {
            services: some(&self.seen.0),
            shadows: some(&self.seen.1),
            backends: BTreeMap::from([
                (NAME.to_owned(), backends(&self.service)),
                (shadow::name(NAME), backends(&self.shadow)),
            ]),
            wanted: self.wanted.then(|| NAME.to_owned()).into_iter().collect(),
            admitted: self.admitted,
            refusals: self
                .refused
                .then(|| (NAME.to_owned(), "for the test".to_owned()))
                .into_iter()
                .collect(),
            routers: self.routers.to_vec(),
            template: Some(Template {
                labels: self.template.clone(),
                replicas: 2,
            }),
            reserved: BTreeSet::new(),
        }
    }

    /// Whether every connection to the Service is answered.
    fn serves(&self) -> bool {
        let Some(service) = &self.service else {
            return true;
        };
        let routing = Routing::of(service);
        if self.selects_pods(service) {
            return routing
                .ports
                .iter()
                .all(|port| is_pods(port.target_port.as_ref()));
        }
        let Some(shadow) = &self.shadow else {
            return false;
        };
        let behind = self.selects_pods(shadow)
            && Routing::of(shadow)
                .ports
                .iter()
                .all(|port| is_pods(port.target_port.as_ref()));
        // The API server was told of the routers' readiness before this process was.
        self.reached(service).next().is_some()
            && self.reached(service).all(|router| {
                routing.ports.iter().all(|port| {
                    let number = u16::try_from(port.port).unwrap();
                    let listener = router
                        .acked
                        .get(NAME)
                        .and_then(|acked| acked.ports.get(&number));
                    port.target_port
                        == listener.map(|acked| IntOrString::Int(i32::from(acked.listener)))
                })
            })
            && behind
    }

    fn reached<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Router> {
        let selector = Routing::of(service).selector;
        self.routers
            .iter()
            .filter(move |router| router.ready && router.has(&selector))
    }

    /// Pods of both versions are there.
    fn selects_pods(&self, service: &Service) -> bool {
        let selector = Routing::of(service).selector;
        ["v1", "v2"].iter().any(|version| {
            let labels = BTreeMap::from([
                ("app".to_owned(), NAME.to_owned()),
                ("version".to_owned(), (*version).to_owned()),
            ]);
            selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
        })
    }

    /// A router takes over what the shadow says. It keeps what it has while it cannot read it.
    fn ack(&mut self, router: usize) {
        let listeners = match &self.shadow {
            None => BTreeMap::new(),
            Some(shadow) => match Shadow::read(shadow) {
                Ok(shadow) => shadow.listeners,
                Err(_) => return,
            },
        };
        let ports = listeners.iter().map(|(key, listener)| {
            let acked = AckedPort {
                listener: *listener,
                base: Some(1),
            };
            (key.split('/').next().unwrap().parse().unwrap(), acked)
        });
        let acked = Acked {
            ports: ports.collect(),
        };
        self.routers[router].acked = BTreeMap::from([(NAME.to_owned(), acked)]);
    }

    /// A new pod: it is not ready before it has the configuration.
    fn roll(&mut self, router: usize) {
        self.routers[router] = Router {
            pod: format!("new-{}", self.version),
            labels: self.template.clone(),
            ready: false,
            acked: BTreeMap::new(),
        };
        self.ack(router);
    }

    /// Some of it is the routers', and its annotation does not say so.
    fn is_unmarked(&self) -> bool {
        let service = self.service();
        let routing = Routing::of(&service);
        let at_routers = |port: &ServicePort| !is_pods(port.target_port.as_ref());
        let some = routing.selects_some_router(&Routing::default())
            || routing.ports.iter().any(at_routers);
        some && restore_annotation(&service).is_none()
    }

    fn is_shadow_lost(&self) -> bool {
        let shadow = self.shadow.as_ref();
        shadow.is_none_or(|shadow| Shadow::read(shadow).is_err())
    }

    fn clear_stand_down(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            let annotations = shadow.metadata.annotations.as_mut().unwrap();
            if annotations.remove(labels::STAND_DOWN).is_some() {
                self.version += 1;
                shadow.metadata.resource_version = Some(self.version.to_string());
            }
        }
    }

    fn write(&mut self, step: Step) {
        match step {
            Step::CreateShadow(wanted) if self.shadow.is_none() => self.put_shadow(&wanted),
            Step::UpdateShadow(wanted) => {
                let version = |object: &Option<Service>| {
                    object
                        .as_ref()
                        .and_then(|one| one.metadata.resource_version.clone())
                };
                if version(&self.shadow).is_some() && version(&self.shadow) == version(&self.seen.1)
                {
                    self.put_shadow(&wanted);
                }
            }
            Step::CreateShadow(_) => {}
            Step::DeleteShadow => {
                self.shadow = None;
                self.seen.1 = None;
            }
            Step::LabelRouters(labels) => self.template.extend(labels),
            Step::Patch(_, patch) => {
                if self.patch(&patch) {
                    self.seen.0 = self.service.clone();
                }
            }
        }
    }

    fn put_shadow(&mut self, wanted: &Shadow) {
        self.version += 1;
        let mut object: Service = serde_json::from_value(wanted.object()).unwrap();
        object.metadata.resource_version = Some(self.version.to_string());
        self.shadow = Some(object);
        self.seen.1 = self.shadow.clone();
    }

    fn patch(&mut self, patch: &Patch) -> bool {
        let Some(service) = &self.service else {
            return false;
        };
        let mut value = json!(service);
        if !patch.iter().all(|operation| apply(&mut value, operation)) {
            return false;
        }
        let after: Service = serde_json::from_value(value).unwrap();
        self.store(after, CONTROL, false);
        true
    }

    fn create(&mut self, routing: &Routing) {
        self.version += 1;
        let mut service = Service::default();
        service.metadata.name = Some(NAME.to_owned());
        service.metadata.uid = Some(format!("uid-{}", self.version));
        service.metadata.managed_fields = Some(Vec::new());
        service.spec = Some(ServiceSpec {
            cluster_ip: Some("10.1.0.1".to_owned()),
            ..ServiceSpec::default()
        });
        self.service = Some(service.clone());
        self.store(with(service, routing), "owner", true);
    }

    fn owner(&mut self, write: &Write) {
        let service = self.service();
        let live = Routing::of(&service);
        let (routing, all) = match write {
            Write::ThreeWay(new) => (owner::merge(&live, &self.last, new), false),
            Write::ServerSide(new) => (owner::server_side(&live, &self.last, new), true),
            Write::Replace(new) => {
                let mut service = service;
                service.metadata.annotations = None;
                self.store(with(service, &new.routing()), "owner", false);
                (new.routing(), false)
            }
            Write::Recreate(new) => {
                self.create(&new.routing());
                (new.routing(), true)
            }
            Write::OneLabel(version) => {
                let mut routing = live;
                routing
                    .selector
                    .insert("version".to_owned(), (*version).to_owned());
                self.store(with(service, &routing), "owner", false);
                self.meant
                    .selector
                    .insert("version".to_owned(), (*version).to_owned());
                self.last.version = Some(version);
                return;
            }
            Write::Unmark => {
                let mut service = service;
                if let Some(annotations) = &mut service.metadata.annotations {
                    annotations.remove(labels::RESTORE);
                }
                self.store(service, "owner", false);
                return;
            }
            Write::ByHand => {
                let annotations = service.metadata.annotations.clone().unwrap_or_default();
                let patch = annotations
                    .get(labels::RESTORE)
                    .map_or("[]", String::as_str);
                let patch: Patch = serde_json::from_str(patch).unwrap();
                let mut value = json!(service);
                if !patch.is_empty() && patch.iter().all(|operation| apply(&mut value, operation)) {
                    let after: Service = serde_json::from_value(value).unwrap();
                    self.meant = Routing::of(&after);
                    self.last = self.last.as_in(&self.meant);
                    self.store(after, "owner", false);
                }
                return;
            }
            Write::Unrelated => {
                let mut service = service;
                let labels = service.metadata.labels.get_or_insert_default();
                labels.insert("n".to_owned(), self.version.to_string());
                self.store(service, "other", false);
                return;
            }
        };
        if let Write::ThreeWay(new)
        | Write::ServerSide(new)
        | Write::Replace(new)
        | Write::Recreate(new) = write
        {
            self.last = new.clone();
            self.meant = new.routing();
        }
        self.store(with(self.service(), &routing), "owner", all);
    }

    fn store(&mut self, after: Service, manager: &str, all: bool) {
        if let Some(mut after) = written(&self.service(), after, manager, all, self.now) {
            self.version += 1;
            after.metadata.resource_version = Some(self.version.to_string());
            self.service = Some(after);
        }
    }
}

fn with(mut service: Service, routing: &Routing) -> Service {
    let spec = service.spec.get_or_insert_default();
    spec.selector = Some(routing.selector.clone());
    spec.ports = Some(routing.ports.clone());
    service
}

fn is_pods(target: Option<&IntOrString>) -> bool {
    match target {
        Some(IntOrString::Int(number)) => owner::PODS.contains(number),
        Some(IntOrString::String(name)) => name == owner::NAME,
        None => false,
    }
}

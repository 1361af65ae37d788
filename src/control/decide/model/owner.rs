//! What the owner of a Service does to it, by the tools that people use.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::prelude::*;

use crate::control::routing::Routing;

/// A manifest. `None` as a target port: left out.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Manifest {
    pub(super) version: Option<&'static str>,
    pub(super) targets: [Option<Target>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Target {
    Named,
    Number,
}

/// A write.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Write {
    /// `kubectl apply`, `helm upgrade`.
    ThreeWay(Manifest),
    /// `kubectl apply --server-side`.
    ServerSide(Manifest),
    /// `kubectl replace`.
    Replace(Manifest),
    /// `kubectl replace --force`.
    Recreate(Manifest),
    /// `kubectl patch` of one label of the selector.
    OneLabel(&'static str),
    /// The annotation goes.
    Unmark,
    /// `kubectl patch` with the annotation's content.
    ByHand,
    /// A label of the Service itself.
    Unrelated,
}

/// The ports that the base's pods listen on, and their first one's name.
pub(super) const PODS: [i32; 2] = [8080, 9090];
pub(super) const NAME: &str = "http";

impl Manifest {
    pub(super) fn first() -> Self {
        Self {
            version: Some("v1"),
            targets: [Some(Target::Named), None],
        }
    }

    pub(super) fn selector(&self) -> BTreeMap<String, String> {
        let mut selector = BTreeMap::from([("app".to_owned(), "reviews".to_owned())]);
        if let Some(version) = self.version {
            selector.insert("version".to_owned(), version.to_owned());
        }
        selector
    }

    /// Port number, target port where it is written.
    pub(super) fn ports(&self) -> Vec<(i32, Option<IntOrString>)> {
        let target = |index: usize| {
            self.targets[index].map(|target| match (target, index) {
                (Target::Named, 0) => IntOrString::String(NAME.to_owned()),
                (Target::Named | Target::Number, _) => IntOrString::Int(PODS[index]),
            })
        };
        PODS.iter()
            .enumerate()
            .map(|(index, port)| (*port, target(index)))
            .collect()
    }

    /// The manifest that means this, as close to this one as it can be.
    pub(super) fn as_in(&self, meant: &Routing) -> Self {
        let version = meant.selector.get("version").map(String::as_str);
        let known = self.routing();
        let target = |index: usize| match &meant.ports[index].target_port {
            same if *same == known.ports[index].target_port => self.targets[index],
            Some(IntOrString::String(_)) => Some(Target::Named),
            Some(IntOrString::Int(_)) | None => Some(Target::Number),
        };
        Self {
            version: version.map(|version| if version == "v1" { "v1" } else { "v2" }),
            targets: [target(0), target(1)],
        }
    }

    /// What it means.
    pub(super) fn routing(&self) -> Routing {
        let ports = self
            .ports()
            .into_iter()
            .enumerate()
            .map(|(index, (port, target))| ServicePort {
                name: Some(["http", "db"][index].to_owned()),
                port,
                protocol: Some("TCP".to_owned()),
                target_port: target.or(Some(IntOrString::Int(port))),
                ..ServicePort::default()
            });
        Routing {
            selector: self.selector(),
            ports: ports.collect(),
        }
    }
}

/// A three-way merge of a manifest into what is there.
pub(super) fn merge(live: &Routing, last: &Manifest, new: &Manifest) -> Routing {
    let mut merged = live.clone();
    for key in last.selector().keys() {
        merged.selector.remove(key);
    }
    merged.selector.extend(new.selector());
    set_targets(&mut merged, last, new);
    merged
}

/// A server-side apply: the selector is one value, ports are merged by their key.
pub(super) fn server_side(live: &Routing, last: &Manifest, new: &Manifest) -> Routing {
    let mut applied = live.clone();
    applied.selector = new.selector();
    set_targets(&mut applied, last, new);
    applied
}

fn set_targets(routing: &mut Routing, last: &Manifest, new: &Manifest) {
    let both = last.ports().into_iter().zip(new.ports());
    for (port, ((number, before), (_, target))) in routing.ports.iter_mut().zip(both) {
        match (before, target) {
            (_, Some(target)) => port.target_port = Some(target),
            // Taken out of the manifest: the default.
            (Some(_), None) => port.target_port = Some(IntOrString::Int(number)),
            (None, None) => {}
        }
    }
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let target = || {
        prop_oneof![
            Just(None),
            Just(Some(Target::Named)),
            Just(Some(Target::Number))
        ]
    };
    let version = prop_oneof![Just(None), Just(Some("v1")), Just(Some("v2"))];
    (version, target(), target()).prop_map(|(version, one, two)| Manifest {
        version,
        targets: [one, two],
    })
}

pub(super) fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => manifest().prop_map(Write::ThreeWay),
        2 => Just(Write::ThreeWay(Manifest::first())),
        3 => manifest().prop_map(Write::ServerSide),
        3 => manifest().prop_map(Write::Replace),
        2 => manifest().prop_map(Write::Recreate),
        2 => prop_oneof![Just("v1"), Just("v2")].prop_map(Write::OneLabel),
        1 => Just(Write::Unmark),
        1 => Just(Write::ByHand),
        3 => Just(Write::Unrelated),
    ]
}

pub(super) fn all() -> Vec<Write> {
    let other = Manifest {
        version: Some("v2"),
        targets: [None, Some(Target::Number)],
    };
    let mut writes = vec![
        Write::OneLabel("v2"),
        Write::Unmark,
        Write::ByHand,
        Write::Unrelated,
    ];
    for manifest in [Manifest::first(), other] {
        writes.extend([
            Write::ThreeWay(manifest.clone()),
            Write::ServerSide(manifest.clone()),
            Write::Replace(manifest.clone()),
            Write::Recreate(manifest),
        ]);
    }
    writes
}

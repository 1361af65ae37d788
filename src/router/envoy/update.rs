//! From a table to a snapshot, whole or only what differs from the table before.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::routes::Leads;
use super::snapshot::{Options, Resource, Resources, Snapshot};
use super::{clusters, edge, listeners, names, routes, tracing};
use crate::router::model::{Env, Override, Protocol, Table};

/// The versions of a port of a Service, for those inside and for the entry from outside.
#[derive(Clone, Copy, PartialEq)]
struct Part<'a> {
    /// The listener inside, if there is one.
    listener: Option<(u16, Protocol)>,
    base: &'a BTreeSet<SocketAddr>,
    overrides: &'a BTreeMap<Env, Override>,
}

type Key<'a> = (&'a str, u16);

/// The resources of a table, made with these options.
pub fn snapshot_with(options: &Options, table: &Table) -> Snapshot {
    let mut snapshot = Snapshot {
        options: options.clone(),
        ..Snapshot::default()
    };
    if let Some(collector) = &options.collector {
        tracing::add(&mut snapshot, &table.base, collector);
    }
    update(&mut snapshot, &Table::default(), table);
    snapshot
}

/// The resources of a table, with listeners on IPv4 and nothing else that is optional.
pub fn snapshot(table: &Table) -> Snapshot {
    snapshot_with(&Options::default(), table)
}

/// Makes the snapshot of the table `from` that of the table `to`. Only what differs is made anew. An empty snapshot is that
/// of an empty table.
pub fn update(snapshot: &mut Snapshot, from: &Table, to: &Table) {
    let (old, new) = (parts(from), parts(to));
    for (key, part) in &old {
        if !new.contains_key(key) {
            change(snapshot, *key, Some(part), None);
        }
    }
    for (key, part) in &new {
        let before = old.get(key);
        if before != Some(part) {
            change(snapshot, *key, before, Some(part));
        }
    }
    change_edge(snapshot, from, to);
}

fn parts(table: &Table) -> BTreeMap<Key<'_>, Part<'_>> {
    let mut parts = BTreeMap::new();
    for (service, routed) in &table.services {
        for (port, routed) in &routed.ports {
            let part = Part {
                listener: Some((routed.listener, routed.protocol)),
                base: &routed.base,
                overrides: &routed.overrides,
            };
            parts.insert((service.as_str(), *port), part);
        }
    }
    if let Some(entry) = &table.edge {
        // A routed port has the same versions, unless it is TCP inside, where none can be told apart.
        let part = parts
            .entry((entry.edge.service.as_str(), entry.edge.port))
            .or_insert(Part {
                listener: None,
                base: &entry.base,
                overrides: &entry.overrides,
            });
        part.overrides = &entry.overrides;
    }
    parts
}

fn change(snapshot: &mut Snapshot, key: Key<'_>, old: Option<&Part<'_>>, new: Option<&Part<'_>>) {
    let (service, port) = key;
    let name = names::service(service, port);
    let families = snapshot.options.families;
    let leads = Leads {
        service,
        port,
        traced: snapshot.options.collector.is_some(),
    };

    let listener = |part: &Part<'_>| part.listener;
    replace(
        &mut snapshot.listeners,
        &name,
        old.and_then(listener),
        new.and_then(listener),
        |(number, protocol)| {
            Resource::pack(&listeners::of_service(
                service, port, *number, *protocol, families,
            ))
        },
    );
    replace(
        &mut snapshot.routes,
        &name,
        old.and_then(Routes::of),
        new.and_then(Routes::of),
        |routes| routes::of_service(leads, routes.0),
    );

    let base = names::base(service, port);
    change_cluster(
        snapshot,
        &base,
        old.map(|part| part.base),
        new.map(|part| part.base),
    );
    let envs: BTreeSet<&Env> = [old, new]
        .into_iter()
        .flatten()
        .flat_map(|part| part.overrides.keys())
        .collect();
    for env in envs {
        let name = names::environment(env, service, port);
        change_cluster(snapshot, &name, endpoints(old, env), endpoints(new, env));
    }
}

fn endpoints<'a>(part: Option<&Part<'a>>, env: &Env) -> Option<&'a BTreeSet<SocketAddr>> {
    part?.overrides.get(env).map(|version| &version.endpoints)
}

fn change_cluster(
    snapshot: &mut Snapshot,
    name: &str,
    old: Option<&BTreeSet<SocketAddr>>,
    new: Option<&BTreeSet<SocketAddr>>,
) {
    let there = |endpoints: Option<&BTreeSet<SocketAddr>>| endpoints.map(|_| ());
    replace(&mut snapshot.clusters, name, there(old), there(new), |()| {
        Resource::pack(&clusters::cluster(name))
    });
    replace(&mut snapshot.endpoints, name, old, new, |endpoints| {
        Resource::pack(&clusters::endpoints(name, endpoints))
    });
}

fn change_edge(snapshot: &mut Snapshot, from: &Table, to: &Table) {
    let edge = |table: &Table| table.edge.as_ref().map(|entry| entry.edge.clone());
    let outside = |table: &'_ Table| {
        let entry = table.edge.as_ref()?;
        Some((entry.edge.clone(), entry.base.is_empty()))
    };
    let families = snapshot.options.families;
    let traced = snapshot.options.collector.is_some();
    replace(
        &mut snapshot.listeners,
        names::EDGE,
        edge(from),
        edge(to),
        |edge| Resource::pack(&listeners::of_edge(edge, families)),
    );
    let same_routes = outside(from) == outside(to)
        && from.base == to.base
        && from.environments == to.environments
        && from.edge.as_ref().map(|entry| Routes(&entry.overrides))
            == to.edge.as_ref().map(|entry| Routes(&entry.overrides));
    match &to.edge {
        Some(entry) if !same_routes => {
            let routes = edge::routes(entry, to, traced);
            snapshot
                .routes
                .insert(names::EDGE.to_owned(), Arc::new(routes));
        }
        Some(_) => {}
        None => {
            snapshot.routes.remove(names::EDGE);
        }
    }
}

/// Overrides as routes see them: equal while no version comes or goes and none gets its first or loses its last endpoint.
struct Routes<'a>(&'a BTreeMap<Env, Override>);

impl<'a> Routes<'a> {
    /// Those of a part that has routes inside.
    fn of(part: &Part<'a>) -> Option<Self> {
        match part.listener? {
            (_, Protocol::Http) => Some(Self(part.overrides)),
            (_, Protocol::Tcp) => None,
        }
    }
}

impl PartialEq for Routes<'_> {
    fn eq(&self, other: &Self) -> bool {
        let seen = |(env, version): (&'_ Env, &'_ Override)| {
            (
                env.clone(),
                version.namespace.clone(),
                version.endpoints.is_empty(),
                version.fallback,
            )
        };
        self.0.len() == other.0.len() && self.0.iter().map(seen).eq(other.0.iter().map(seen))
    }
}

/// Makes a resource anew if what it is made of has changed; removes it if there is nothing to make it of.
fn replace<T: PartialEq>(
    resources: &mut Resources,
    name: &str,
    old: Option<T>,
    new: Option<T>,
    make: impl FnOnce(&T) -> Resource,
) {
    match &new {
        None => {
            resources.remove(name);
        }
        Some(_) if old == new => {}
        Some(new) => {
            resources.insert(name.to_owned(), Arc::new(make(new)));
        }
    }
}

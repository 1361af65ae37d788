//! The phases of an update, and random updates against an Envoy in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::google::rpc::Status;
use proptest::prelude::*;

use super::*;

fn resource(kind: Kind, version: &str, refers: &[&str]) -> Resource {
    Resource {
        version: version.to_owned(),
        body: Any {
            type_url: kind.type_url(),
            value: refers.join(" ").into_bytes(),
        },
    }
}

/// `c:a=1` is a cluster with endpoints, `e:a=1` endpoints, `l:x=1` a listener with routes of its name, `t:x=1` one
/// without, `r:x=1,a,b` routes to these clusters.
fn snapshot(text: &str) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for word in text.split_whitespace() {
        let (kind, rest) = word.split_once(':').unwrap();
        let (name, rest) = rest.split_once('=').unwrap();
        let mut parts = rest.split(',');
        let version = parts.next().unwrap();
        let refers: Vec<_> = parts.collect();
        let (kind, map, refers) = match kind {
            "c" => (Kind::Clusters, &mut snapshot.clusters, vec![name]),
            "e" => (Kind::Endpoints, &mut snapshot.endpoints, vec![]),
            "l" => (Kind::Listeners, &mut snapshot.listeners, vec![name]),
            "t" => (Kind::Listeners, &mut snapshot.listeners, vec![]),
            "r" => (Kind::Routes, &mut snapshot.routes, refers),
            other => panic!("{other}"),
        };
        map.insert(name.to_owned(), Arc::new(resource(kind, version, &refers)));
    }
    Arc::new(snapshot)
}

fn letter(kind: Kind) -> &'static str {
    match kind {
        Kind::Clusters => "c",
        Kind::Endpoints => "e",
        Kind::Listeners => "l",
        Kind::Routes => "r",
    }
}

/// `c1 a=1 -b`: type, nonce, resources and removals.
fn text(responses: &[DeltaDiscoveryResponse]) -> Vec<String> {
    let one = |response: &DeltaDiscoveryResponse| {
        let kind = Kind::from_type_url(&response.type_url).unwrap();
        let mut text = format!("{}{}", letter(kind), response.nonce);
        for resource in &response.resources {
            text.push_str(&format!(" {}={}", resource.name, resource.version));
        }
        for name in &response.removed_resources {
            text.push_str(&format!(" -{name}"));
        }
        text
    };
    responses.iter().map(one).collect()
}

/// `c !1` or `e +a +b`, in the shorthand of the tests of one type.
fn request(words: &str) -> DeltaDiscoveryRequest {
    let mut request = DeltaDiscoveryRequest::default();
    for (index, word) in words.split_whitespace().enumerate() {
        if index == 0 {
            let kind = Kind::ALL.into_iter().find(|kind| letter(*kind) == word);
            request.type_url = kind.unwrap().type_url();
        } else if let Some(nonce) = word.strip_prefix('!') {
            request.response_nonce = nonce.to_owned();
        } else if let Some(nonce) = word.strip_prefix('?') {
            request.response_nonce = nonce.to_owned();
            request.error_detail = Some(Status {
                message: "no".to_owned(),
                ..Status::default()
            });
        } else if let Some(name) = word.strip_prefix('+') {
            request.resource_names_subscribe.push(name.to_owned());
        } else if let Some(name) = word.strip_prefix('-') {
            request.resource_names_unsubscribe.push(name.to_owned());
        } else {
            let (name, version) = word.split_once('=').unwrap();
            let versions = &mut request.initial_resource_versions;
            versions.insert(name.to_owned(), version.to_owned());
        }
    }
    request
}

struct Test(Session);

impl Test {
    /// A session of an Envoy that has this snapshot already.
    fn connected(has: &str) -> Self {
        let mut test = Self(Session::new());
        let known = snapshot(has);
        for kind in Kind::ALL {
            let mut words = letter(kind).to_owned();
            if kind.is_asked_for_as_a_whole() {
                words.push_str(" +*");
            }
            for (name, resource) in kind.of(&known) {
                words.push_str(&format!(" {name}={}", resource.version));
                if !kind.is_asked_for_as_a_whole() {
                    words.push_str(&format!(" +{name}"));
                }
            }
            if kind.is_asked_for_as_a_whole() || !kind.of(&known).is_empty() {
                assert!(test.hear(&words).is_empty());
            }
        }
        test
    }

    fn offer(&mut self, wanted: &str) -> Vec<String> {
        text(&self.0.offer(snapshot(wanted)))
    }

    fn hear(&mut self, words: &str) -> Vec<String> {
        text(&self.0.hear(&request(words)))
    }
}

const NOTHING: [&str; 0] = [];
const BASE: &str = "c:a=1 e:a=1 l:x=1 r:x=1,a";

#[test]
fn a_new_envoy_gets_clusters_endpoints_listeners_routes() {
    let mut test = Test(Session::new());
    assert_eq!(test.hear("c"), NOTHING, "before there is a snapshot");
    assert_eq!(test.offer(BASE), ["c1 a=1"]);
    assert_eq!(test.hear("e +a"), ["e2 a=1"]);
    assert_eq!(test.hear("c !1"), NOTHING);
    assert_eq!(test.hear("l"), NOTHING, "the cluster is not warm");
    assert_eq!(test.hear("e !2"), ["l3 x=1"]);
    assert_eq!(test.hear("r +x"), ["r4 x=1"]);
    assert_eq!(test.hear("l !3"), NOTHING);
    assert_eq!(test.0.phase(), Phase::Routing);
    assert_eq!(test.hear("r !4"), NOTHING);
    assert_eq!(test.0.phase(), Phase::Settled);
    let mut acked = Acked::connected();
    assert!(test.0.publish(&mut acked));
    assert!(acked.is(&snapshot(BASE)));
    assert!(!test.0.publish(&mut acked));
}

#[test]
fn an_envoy_without_anything_is_answered_so_that_it_gets_ready() {
    let mut test = Test(Session::new());
    assert_eq!(test.offer(""), NOTHING);
    assert_eq!(test.hear("c"), ["c1"]);
    assert_eq!(test.hear("c !1"), NOTHING);
    assert_eq!(test.hear("l"), ["l2"]);
    assert_eq!(test.hear("l !2"), NOTHING);
    assert_eq!(test.0.phase(), Phase::Settled);
}

#[test]
fn an_envoy_that_has_everything_is_sent_nothing() {
    let mut test = Test::connected(BASE);
    assert_eq!(test.offer(BASE), NOTHING);
    assert_eq!(test.0.phase(), Phase::Settled);
}

#[test]
fn a_route_follows_its_cluster_and_a_cluster_outlives_its_route() {
    let mut test = Test::connected(BASE);
    test.offer(BASE);
    let with = "c:a=1 e:a=1 c:b=1 e:b=1 l:x=1 r:x=2,a,b";
    assert_eq!(test.offer(with), ["c1 b=1"]);
    assert_eq!(test.hear("c !1"), NOTHING);
    assert_eq!(test.hear("e +b"), ["e2 b=1"]);
    assert_eq!(test.hear("e !2"), ["r3 x=2"]);
    assert_eq!(test.hear("r !3"), NOTHING);
    assert_eq!(test.offer(BASE), ["r4 x=1"]);
    assert_eq!(test.hear("r !4"), ["c5 -b"]);
    assert_eq!(test.hear("e -b"), NOTHING);
    assert_eq!(test.hear("c !5"), NOTHING);
    assert_eq!(test.0.phase(), Phase::Settled);
}

#[test]
fn endpoints_are_sent_at_once_in_every_phase() {
    let mut test = Test::connected(BASE);
    test.offer(BASE);
    assert_eq!(test.offer("c:a=1 e:a=2 l:x=1 r:x=1,a"), ["e1 a=2"]);
    // An update is under way…
    assert_eq!(
        test.offer("c:a=1 e:a=2 c:b=1 e:b=1 l:x=1 r:x=2,a,b"),
        ["c2 b=1"]
    );
    assert_eq!(test.hear("e !1"), NOTHING);
    // … and endpoints of a later one do not wait for it.
    assert_eq!(
        test.offer("c:a=1 e:a=3 c:b=1 e:b=1 l:x=1 r:x=3,a,b"),
        ["e3 a=3"]
    );
}

#[test]
fn updates_that_come_while_one_is_under_way_are_one() {
    let mut test = Test::connected(BASE);
    test.offer(BASE);
    assert_eq!(
        test.offer("c:a=1 e:a=1 c:b=1 e:b=1 l:x=1 r:x=2,a,b"),
        ["c1 b=1"]
    );
    for number in 3..9 {
        let next = format!("c:a=1 e:a=1 c:b=1 e:b=1 c:c=1 e:c=1 l:x=1 r:x={number},a,c");
        assert_eq!(test.offer(&next), NOTHING);
    }
    test.hear("c !1");
    assert_eq!(test.hear("e +b"), ["e2 b=1"]);
    assert_eq!(test.hear("e !2"), ["r3 x=2"], "the first is finished");
    assert_eq!(test.hear("r !3"), ["c4 c=1"], "then comes the latest");
    test.hear("c !4");
    test.hear("e +c");
    assert_eq!(test.hear("e !5"), ["r6 x=8"]);
}

#[test]
fn a_changed_cluster_is_given_its_endpoints_once_more() {
    let mut test = Test::connected(BASE);
    test.offer(BASE);
    assert_eq!(
        test.offer("c:a=2 e:a=1 l:x=1 r:x=2,a"),
        ["c1 a=2", "e2 a=1"]
    );
    assert_eq!(test.hear("c !1"), NOTHING);
    assert_eq!(test.hear("e !2"), ["r3 x=2"]);
}

#[test]
fn a_cluster_that_changed_before_envoy_said_what_it_has_is_given_its_endpoints_too() {
    let mut test = Test(Session::new());
    test.offer("c:a=2 e:a=1 l:x=1 r:x=1,a");
    assert_eq!(test.hear("c +* a=1"), ["c1 a=2"]);
    assert_eq!(test.hear("e +a a=1"), ["e2 a=1"]);
    assert!(test.0.is_warming());
}

#[test]
fn endpoints_under_way_do_not_count_for_a_cluster_that_changed_after_them() {
    let mut test = Test::connected(BASE);
    test.offer(BASE);
    assert_eq!(test.offer("c:a=1 e:a=2 l:x=1 r:x=1,a"), ["e1 a=2"]);
    assert_eq!(test.offer("c:a=2 e:a=2 l:x=1 r:x=2,a"), ["c2 a=2"]);
    assert_eq!(test.hear("c !2"), NOTHING);
    assert_eq!(test.hear("e !1"), ["e3 a=2"]);
    assert_eq!(test.hear("e !3"), ["r4 x=2"]);
}

#[test]
fn a_refused_cluster_does_not_hold_up_the_rest() {
    let mut test = Test::connected(BASE);
    test.offer(BASE);
    assert_eq!(
        test.offer("c:a=1 e:a=1 c:b=1 e:b=1 l:x=1 r:x=2,a"),
        ["c1 b=1"]
    );
    assert_eq!(test.hear("c ?1"), ["r2 x=2"]);
    let mut acked = Acked::default();
    test.0.publish(&mut acked);
    assert_eq!(
        acked.rejections,
        [Rejection {
            kind: Kind::Clusters,
            name: "b".to_owned(),
            message: "no".to_owned()
        }]
    );
    assert_eq!(test.hear("r !2"), NOTHING);
    assert_eq!(test.offer(BASE), ["r3 x=1"], "Envoy has no b");
    test.hear("r !3");
    assert!(test.0.publish(&mut acked));
    assert!(acked.rejections.is_empty());
}

#[test]
fn while_envoy_keeps_refused_routes_their_clusters_stay() {
    let mut test = Test::connected("c:a=1 e:a=1 c:b=1 e:b=1 l:x=1 r:x=1,a,b");
    assert_eq!(test.offer("c:a=1 e:a=1 l:x=1 r:x=2,a"), ["r1 x=2"]);
    assert_eq!(test.hear("r ?1"), NOTHING, "x=1 still leads to b");
    assert_eq!(test.offer("c:a=1 e:a=1 l:x=1 r:x=3,a"), ["r2 x=3"]);
    assert_eq!(test.hear("r !2"), ["c3 -b"]);
}

#[test]
fn while_a_removed_listener_drains_its_clusters_stay_and_updates_go_on() {
    let both = "c:a=1 e:a=1 c:b=1 e:b=1 l:x=1 r:x=1,a l:y=1 r:y=1,b";
    let mut test = Test::connected(both);
    test.offer(both);
    assert_eq!(test.offer(BASE), ["l1 -y"]);
    assert_eq!(
        test.hear("l !1"),
        NOTHING,
        "Envoy still asks for y's routes"
    );
    assert_eq!(test.offer("c:a=1 e:a=1 l:x=1 r:x=2,a"), ["r2 x=2"]);
    assert_eq!(test.hear("r !2"), NOTHING);
    assert_eq!(test.hear("r -y"), ["c3 -b"]);
}

#[test]
fn a_cluster_that_comes_back_before_its_removal_stays() {
    let both = "c:a=1 e:a=1 c:b=1 e:b=1 l:x=1 r:x=2,a,b";
    let mut test = Test::connected(both);
    test.offer(both);
    assert_eq!(test.offer(BASE), ["r1 x=1"]);
    assert_eq!(test.offer(both), NOTHING);
    assert_eq!(test.hear("r !1"), ["r2 x=2"]);
}

#[test]
fn before_envoy_has_asked_for_its_routes_nothing_is_removed() {
    let mut test = Test(Session::new());
    test.offer(BASE);
    assert_eq!(test.hear("c +* a=1 b=1"), NOTHING);
    assert_eq!(test.hear("e +a +b a=1 b=1"), NOTHING);
    assert_eq!(test.hear("l +* x=1"), NOTHING);
    assert_eq!(test.hear("r +x x=2"), ["r1 x=1"]);
    assert_eq!(test.hear("r !1"), ["c2 -b"]);
}

#[test]
fn listeners_without_routes_settle_without_them() {
    let mut test = Test::connected("");
    assert_eq!(test.offer("c:a=1 e:a=1 t:x=1"), ["c1 a=1"]);
    test.hear("c !1");
    assert_eq!(test.hear("e +a"), ["e2 a=1"]);
    assert_eq!(test.hear("e !2"), ["l3 x=1"]);
    assert_eq!(test.hear("l !3"), NOTHING);
    assert_eq!(test.0.phase(), Phase::Settled);
}

#[test]
fn endpoints_that_never_come_to_be_accepted_hold_up_the_rest_for_a_while_only() {
    let mut test = Test::connected(BASE);
    test.offer(BASE);
    test.offer("c:a=1 e:a=1 c:b=1 e:b=1 l:x=1 r:x=2,a");
    assert_eq!(test.hear("c !1"), NOTHING);
    assert!(test.0.is_warming());
    assert_eq!(text(&test.0.stop_warming()), ["r2 x=2"]);
    assert!(!test.0.is_warming());
}

#[test]
fn other_types_are_passed_over() {
    let mut test = Test::connected(BASE);
    let request = DeltaDiscoveryRequest {
        type_url: "type.googleapis.com/envoy.config.core.v3.Other".to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    assert!(test.0.hear(&request).is_empty());
}

/// What Envoy does with these messages, without its traffic.
#[derive(Default)]
struct Envoy {
    has: [BTreeMap<String, (String, String)>; 4],
    names: [BTreeSet<String>; 4],
    requests: VecDeque<DeltaDiscoveryRequest>,
    /// Resources received since the start of the stream.
    received: usize,
    /// Clusters that wait for endpoints.
    cold: BTreeSet<String>,
}

impl Envoy {
    fn connect(&mut self) {
        self.received = 0;
        self.requests.clear();
        // A change of a cluster whose endpoints were lost with the stream goes on after `initial_fetch_timeout`.
        let endpoints = &self.has[Kind::Endpoints.index()];
        self.cold.retain(|name| !endpoints.contains_key(name));
        for kind in Kind::ALL {
            let mut request = DeltaDiscoveryRequest {
                type_url: kind.type_url(),
                ..DeltaDiscoveryRequest::default()
            };
            for (name, (version, _)) in &self.has[kind.index()] {
                request
                    .initial_resource_versions
                    .insert(name.clone(), version.clone());
            }
            if kind.is_asked_for_as_a_whole() {
                request.resource_names_subscribe.push("*".to_owned());
            } else {
                request.resource_names_subscribe =
                    self.names[kind.index()].iter().cloned().collect();
            }
            if !request.resource_names_subscribe.is_empty() {
                self.requests.push_back(request);
            }
        }
    }

    fn take(&mut self, response: &DeltaDiscoveryResponse) {
        let kind = Kind::from_type_url(&response.type_url).unwrap();
        for resource in &response.resources {
            self.received += 1;
            let asked = self.names[kind.index()].contains(&resource.name);
            if !asked && !kind.is_asked_for_as_a_whole() {
                continue;
            }
            let body = String::from_utf8(resource.resource.clone().unwrap().value).unwrap();
            let value = (resource.version.clone(), body);
            self.has[kind.index()].insert(resource.name.clone(), value);
            match kind {
                Kind::Clusters => self.cold.insert(resource.name.clone()),
                Kind::Endpoints => self.cold.remove(&resource.name),
                Kind::Listeners | Kind::Routes => false,
            };
        }
        for name in &response.removed_resources {
            self.has[kind.index()].remove(name);
            if kind == Kind::Clusters {
                self.cold.remove(name);
            }
        }
        self.requests.push_back(DeltaDiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        });
        self.subscribe(Kind::Clusters, Kind::Endpoints);
        self.subscribe(Kind::Listeners, Kind::Routes);
        self.check();
    }

    /// Asks for what the parents refer to, and no longer for the rest.
    fn subscribe(&mut self, parents: Kind, children: Kind) {
        let refers = self.has[parents.index()].values();
        let wanted: BTreeSet<String> = refers
            .flat_map(|(_, body)| body.split_whitespace().map(str::to_owned))
            .collect();
        let names = &mut self.names[children.index()];
        let request = DeltaDiscoveryRequest {
            type_url: children.type_url(),
            resource_names_subscribe: wanted.difference(names).cloned().collect(),
            resource_names_unsubscribe: names.difference(&wanted).cloned().collect(),
            ..DeltaDiscoveryRequest::default()
        };
        if wanted != *names {
            self.has[children.index()].retain(|name, _| wanted.contains(name));
            *names = wanted;
            self.requests.push_back(request);
        }
    }

    /// No route leads to a cluster that is not there.
    fn check(&self) {
        for (name, (_, body)) in &self.has[Kind::Routes.index()] {
            for cluster in body.split_whitespace() {
                assert!(
                    self.has[Kind::Clusters.index()].contains_key(cluster),
                    "{name} leads to {cluster}, which is not there"
                );
            }
        }
    }
}

/// A snapshot of up to 3 services with up to 3 environments each.
fn arbitrary_snapshot() -> impl Strategy<Value = String> {
    let service = (
        any::<bool>(),
        0..3_u8,
        prop::collection::vec((any::<bool>(), 0..2_u8, 0..3_u8), 3),
    );
    prop::collection::vec(service, 3).prop_map(|services| {
        let mut text = String::new();
        for (number, (routed, version, environments)) in services.into_iter().enumerate() {
            if !routed {
                continue;
            }
            let mut routes = String::new();
            for (env, (exists, cluster, endpoints)) in environments.into_iter().enumerate() {
                if exists || env == 0 {
                    let name = format!("s{number}e{env}");
                    text.push_str(&format!("c:{name}={cluster} e:{name}={endpoints} "));
                    routes.push_str(&format!(",{name}"));
                }
            }
            // The version of routes is their content.
            let hash = routes.len() * 10 + usize::from(routes.contains("e1"));
            text.push_str(&format!(
                "l:s{number}={version} r:s{number}={hash}{routes} "
            ));
        }
        text
    })
}

#[derive(Clone, Debug)]
enum Step {
    Offer(String),
    Deliver,
    Reconnect,
}

fn arbitrary_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => arbitrary_snapshot().prop_map(Step::Offer),
        6 => Just(Step::Deliver),
        1 => Just(Step::Reconnect),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn whatever_happens_no_route_leads_nowhere_and_envoy_gets_the_last(steps in arbitrary_steps()) {
        let mut envoy = Envoy::default();
        let mut session = Session::new();
        let mut last = snapshot("");
        envoy.connect();
        // Messages to Envoy that are under way.
        let mut wire = VecDeque::from(session.offer(Arc::clone(&last)));
        let deliver = |envoy: &mut Envoy, session: &mut Session, wire: &mut VecDeque<DeltaDiscoveryResponse>| {
            if let Some(response) = wire.pop_front() {
                envoy.take(&response);
                true
            } else if let Some(request) = envoy.requests.pop_front() {
                wire.extend(session.hear(&request));
                true
            } else {
                false
            }
        };
        for step in steps {
            match step {
                Step::Offer(text) => {
                    last = snapshot(&text);
                    wire.extend(session.offer(Arc::clone(&last)));
                }
                Step::Deliver => {
                    deliver(&mut envoy, &mut session, &mut wire);
                }
                Step::Reconnect => {
                    wire.clear();
                    session = Session::new();
                    envoy.connect();
                    wire.extend(session.offer(Arc::clone(&last)));
                }
            }
        }
        let mut messages = 0;
        while deliver(&mut envoy, &mut session, &mut wire) {
            messages += 1;
            prop_assert!(messages < 1000, "it never ends");
        }
        prop_assert_eq!(session.phase(), Phase::Settled);
        prop_assert!(envoy.cold.is_empty(), "{:?} wait for endpoints", envoy.cold);
        for kind in Kind::ALL {
            let has: Vec<_> = envoy.has[kind.index()].iter().map(|(name, (version, _))| (name, version)).collect();
            let wanted: Vec<_> = kind.of(&last).iter().map(|(name, resource)| (name, &resource.version)).collect();
            prop_assert_eq!(has, wanted, "{:?}", kind);
        }
        // A server that was restarted has nothing to say.
        let mut session = Session::new();
        envoy.connect();
        let mut wire = VecDeque::from(session.offer(Arc::clone(&last)));
        while deliver(&mut envoy, &mut session, &mut wire) {}
        prop_assert_eq!(envoy.received, 0);
        let mut acked = Acked::connected();
        session.publish(&mut acked);
        prop_assert!(acked.is(&last));
    }
}

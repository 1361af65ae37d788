//! The decisions against a model of the cluster: random sequences of what owners, routers and environments do, of lagging
//! watches and of ends of the process between any two writes.

mod owner;
mod server;
mod world;

use proptest::prelude::*;

use owner::Write;
use world::World;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// The process sees everything and does its next step.
    Step,
    /// It does its next step without having seen what others did.
    Blind,
    /// It ends, and another one begins.
    Crash,
    Owner(Write),
    Ready(usize, bool),
    Ack(usize),
    Roll(usize),
    Wanted(bool),
    Admitted(bool),
    Refused(bool),
    Minutes(i64),
    ShadowDeleted,
    ShadowStripped,
    StandDownCleared,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => Just(Event::Step),
        3 => Just(Event::Blind),
        2 => Just(Event::Crash),
        3 => owner::write().prop_map(Event::Owner),
        2 => (0..2_usize, any::<bool>()).prop_map(|(router, ready)| Event::Ready(router, ready)),
        5 => (0..2_usize).prop_map(Event::Ack),
        1 => (0..2_usize).prop_map(Event::Roll),
        1 => any::<bool>().prop_map(Event::Wanted),
        1 => prop_oneof![Just(true), Just(true), Just(false)].prop_map(Event::Admitted),
        1 => prop_oneof![Just(false), Just(false), Just(true)].prop_map(Event::Refused),
        1 => (1..2000_i64).prop_map(Event::Minutes),
        1 => prop_oneof![Just(Event::ShadowDeleted), Just(Event::ShadowStripped)],
        1 => Just(Event::StandDownCleared),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "fails for one seed in some thousand: an owner deletes dev/restore, then applies (CHANGELOG.md)"]
    fn whatever_happens_it_serves_and_ends_routed_or_as_its_owner_wrote_it(
        events in prop::collection::vec(event(), 0..60)
    ) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
        }
        world.settle();
        world.check_settled();
        world.uninstall();
    }
}

/// `PROPTEST_CASES` where more are wanted.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(2000)
}

/// What is left of a switch whose annotation somebody took off, before the process has seen that it was made.
#[test]
fn a_part_that_is_put_back_right_after_the_switch_is_put_back_wholly() {
    let bare = owner::Manifest {
        version: None,
        targets: [None, None],
    };
    for steps in 0..10 {
        let mut world = World::new();
        world.happen(&Event::Owner(Write::ThreeWay(bare.clone())));
        for _ in 0..steps {
            world.happen(&Event::Step);
            world.happen(&Event::Ack(0));
            world.happen(&Event::Ack(1));
        }
        world.happen(&Event::Owner(Write::Unmark));
        world.happen(&Event::Owner(Write::ThreeWay(bare.clone())));
        world.settle();
        world.check_settled();
    }
}

/// The same, with the shadow gone while the rest is put back.
#[test]
fn a_service_that_was_put_back_keeps_no_trace_although_its_shadow_is_gone() {
    let bare = owner::Manifest {
        version: None,
        targets: [None, None],
    };
    for steps in 0..6 {
        let mut world = World::new();
        world.happen(&Event::Owner(Write::Replace(bare.clone())));
        world.settle();
        world.happen(&Event::Owner(Write::ThreeWay(bare.clone())));
        world.happen(&Event::Owner(Write::Unmark));
        for _ in 0..steps {
            world.happen(&Event::Step);
        }
        world.happen(&Event::ShadowDeleted);
        world.settle();
        world.check_settled();
    }
}

#[test]
fn it_is_routed_and_put_back_with_equal_fields() {
    let mut world = World::new();
    let before = world.service();
    world.settle();
    assert!(world.is_routed(), "{:?}", world.state());
    world.uninstall();
    let mut after = world.service();
    after.metadata.resource_version = before.metadata.resource_version.clone();
    assert_eq!(after, before);
}

#[test]
fn each_write_of_its_owner_ends_it_and_the_owner_has_what_was_meant() {
    for write in owner::all() {
        let mut world = World::new();
        world.settle();
        assert!(world.is_routed());
        world.happen(&Event::Owner(write.clone()));
        world.settle();
        world.check_settled();
        let stays = matches!(write, Write::Unrelated);
        assert_eq!(world.is_routed(), stays, "{write:?}: {:?}", world.state());
        world.happen(&Event::StandDownCleared);
        world.settle();
        assert!(world.is_routed(), "{write:?}: {:?}", world.state());
    }
}

#[test]
fn the_end_of_the_process_after_any_write_changes_nothing() {
    for write in owner::all() {
        for steps in 0..8 {
            let mut world = World::new();
            world.settle();
            world.happen(&Event::Owner(write.clone()));
            for _ in 0..steps {
                world.happen(&Event::Step);
                world.happen(&Event::Crash);
            }
            world.settle();
            world.check_settled();
        }
    }
}

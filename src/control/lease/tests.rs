use proptest::prelude::*;

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn held_by(holder: &str, version: &str) -> Option<Seen> {
    Some(Seen {
        version: version.into(),
        holder: holder.into(),
        lasts: LASTS,
        ..Seen::default()
    })
}

#[tokio::test]
async fn a_free_lease_is_created_renewed_and_kept() {
    let start = Instant::now();
    let mut elector = Elector::new("a".into());
    assert_eq!(elector.next(start, now()), Next::Read);
    elector.happened(Outcome::Read(None), start, now());
    let Next::Create(spec) = elector.next(start, now()) else {
        panic!();
    };
    assert_eq!(spec["holderIdentity"], "a");
    assert_eq!(spec["renewTime"], "2026-01-01T00:00:00.000000Z");
    assert!(!elector.may_write(start));
    let written = |version: &str, began| Outcome::Written {
        version: version.into(),
        began,
    };
    elector.happened(written("1", start), start + seconds(1), now());
    assert!(elector.may_write(start + seconds(8)));
    assert!(!elector.may_write(start + WRITES));
    assert_eq!(
        elector.next(start + seconds(2), now()),
        Next::Wait(start + RENEW)
    );
    let Next::Replace(version, spec) = elector.next(start + RENEW, now()) else {
        panic!();
    };
    assert_eq!(
        (version.as_str(), &spec["leaseTransitions"]),
        ("1", &json!(0))
    );
    elector.happened(written("2", start + RENEW), start + RENEW, now());
    assert!(elector.may_write(start + RENEW + seconds(8)));
}

#[tokio::test]
async fn another_holder_is_waited_for_by_this_machines_clock() {
    let start = Instant::now();
    let mut elector = Elector::new("b".into());
    elector.happened(Outcome::Read(held_by("a", "1")), start, now());
    assert_eq!(elector.next(start, now()), Next::Wait(start + LOOK));
    // A renewal begins the time anew.
    let renewed = start + seconds(14);
    elector.happened(Outcome::Read(held_by("a", "2")), renewed, now());
    assert_eq!(elector.next(start + seconds(17), now()), Next::Read);
    elector.happened(Outcome::Read(held_by("a", "2")), renewed + LASTS, now());
    let Next::Replace(version, spec) = elector.next(renewed + LASTS, now()) else {
        panic!();
    };
    assert_eq!(
        (version.as_str(), &spec["leaseTransitions"]),
        ("2", &json!(1))
    );
    // Another was faster.
    elector.happened(Outcome::Conflict, renewed + LASTS, now());
    assert_eq!(elector.next(renewed + LASTS, now()), Next::Read);
    assert!(!elector.may_write(renewed + LASTS));
}

#[tokio::test]
async fn a_lease_that_was_given_away_is_taken_at_once() {
    let start = Instant::now();
    let mut elector = Elector::new("b".into());
    elector.happened(Outcome::Read(held_by("", "7")), start, now());
    assert!(matches!(elector.next(start, now()), Next::Replace(version, _) if version == "7"));
    assert_eq!(elector.release(), None);
    elector.happened(
        Outcome::Written {
            version: "8".into(),
            began: start,
        },
        start,
        now(),
    );
    let (version, spec) = elector.release().unwrap();
    assert_eq!(
        (version.as_str(), &spec["holderIdentity"]),
        ("8", &json!(""))
    );
}

#[tokio::test]
async fn an_api_server_that_is_away_ends_writing_and_nothing_else() {
    let start = Instant::now();
    let mut elector = Elector::new("a".into());
    elector.happened(Outcome::Read(None), start, now());
    elector.happened(
        Outcome::Written {
            version: "1".into(),
            began: start,
        },
        start,
        now(),
    );
    let mut at = start + RENEW;
    for _ in 0..20 {
        elector.happened(Outcome::Failed, at, now());
        let Next::Wait(next) = elector.next(at, now()) else {
            panic!();
        };
        at = next;
    }
    assert!(!elector.may_write(at));
    // It is back, and nobody took it.
    assert_eq!(elector.next(at, now()), Next::Read);
    elector.happened(Outcome::Read(held_by("a", "1")), at, now());
    assert!(matches!(elector.next(at, now()), Next::Replace(..)));
}

/// Two competitors, an API server that answers late, loses requests and answers.
#[derive(Clone, Debug)]
enum Event {
    /// One acts; its request reaches the server or not, the answer comes back or not, after so many seconds.
    Act(usize, bool, bool, u64),
    Pass(u64),
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_never_write_at_the_same_time(events in prop::collection::vec(prop_oneof![
        4 => (0..2_usize, prop::bool::weighted(0.8), prop::bool::weighted(0.8), 0..3_u64).prop_map(|(who, sent, heard, late)| Event::Act(who, sent, heard, late)),
        1 => (0..20_u64).prop_map(Event::Pass),
    ], 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _guard = runtime.enter();
        let mut at = Instant::now();
        let mut electors = [Elector::new("a".into()), Elector::new("b".into())];
        let mut lease: Option<Seen> = None;
        let mut version = 0_u64;
        // When the writes that each may have begun are over.
        let mut over = [at; 2];
        for event in events {
            match event {
                Event::Pass(count) => at += seconds(count),
                Event::Act(who, sent, heard, late) => {
                    let began = at;
                    let next = electors[who].next(at, now());
                    let mut write = |spec: &Value, lease: &mut Option<Seen>| {
                        version += 1;
                        *lease = Some(Seen {
                            version: version.to_string(),
                            holder: spec["holderIdentity"].as_str().unwrap().into(),
                            lasts: LASTS,
                            acquired: spec["acquireTime"].clone(),
                            transitions: spec["leaseTransitions"].as_i64().unwrap(),
                        });
                        Outcome::Written { version: version.to_string(), began }
                    };
                    let outcome = match (&next, &lease) {
                        (Next::Wait(_), _) => continue,
                        _ if !sent => Outcome::Failed,
                        (Next::Read, lease) => Outcome::Read(lease.clone()),
                        (Next::Create(spec), None) => write(spec, &mut lease),
                        (Next::Replace(wanted, spec), Some(seen)) if *wanted == seen.version => write(spec, &mut lease),
                        (Next::Create(_) | Next::Replace(..), _) => Outcome::Conflict,
                    };
                    at += seconds(late);
                    let outcome = if heard { outcome } else { Outcome::Failed };
                    electors[who].happened(outcome, at, now());
                }
            }
            for who in 0..2 {
                if electors[who].may_write(at) {
                    prop_assert!(over[1 - who] <= at, "{who} writes while the other may");
                    over[who] = at + WRITE;
                }
            }
        }
    }
}

//! Who has an agent, and what a client that says HELLO is answered: pure.

use std::time::Duration;

use tokio::time::Instant;

use super::wire::VERSIONS;
use super::wire::hello::{Hello, Reason, Refused, SessionId};

/// New connections wait so long for a client that is away; then they fall back.
pub const HOLD: Duration = Duration::from_secs(2);
/// Established connections wait so long for the session to go on; then they are reset at both ends.
pub const KEEP: Duration = Duration::from_secs(60);
/// Lanes of a session at a time.
pub const MOST_LANES: usize = 16;

/// Who has the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Their session.
    pub session: SessionId,
    /// `ann@laptop`
    pub who: String,
    /// Since when.
    pub since: Instant,
    /// Whether one of their lanes has a carrier.
    pub here: bool,
    /// How many lanes they have.
    pub lanes: usize,
}

/// The answer to a HELLO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A new lane, of the session that has the agent or of one that has it from now on.
    New,
    /// As `New`, after the session that had the agent was ended.
    Replace,
    /// The lane goes on.
    Resume,
    /// No.
    Refuse(Refused),
}

/// Decides about a HELLO in a version that both speak. `known`: whether the lane is one of the holder's.
pub fn answer(hello: &Hello, holder: Option<&Holder>, known: bool, now: Instant) -> Answer {
    let body = &hello.body;
    match holder {
        Some(holder) if holder.session == body.session => match (known, body.resume) {
            (true, _) => Answer::Resume,
            (false, true) => Answer::Refuse(unknown()),
            (false, false) if holder.lanes >= MOST_LANES => {
                Answer::Refuse(refused(Reason::Other, "too many lanes"))
            }
            (false, false) => Answer::New,
        },
        // Whoever was taken the agent from does not take it back by merely coming again.
        Some(holder) if body.resume => Answer::Refuse(taken(holder, now)),
        Some(_) if body.take => Answer::Replace,
        // The same person's last run has ended without a word.
        Some(holder) if !holder.here && holder.who == body.who => Answer::Replace,
        Some(holder) => Answer::Refuse(taken(holder, now)),
        None if body.resume => Answer::Refuse(unknown()),
        None => Answer::New,
    }
}

/// The answer to a client that speaks no version of this agent.
pub fn other_version() -> Refused {
    Refused {
        versions: Some(VERSIONS),
        ..refused(Reason::Version, "no common version of the protocol")
    }
}

/// The answer to, and the end of, somebody whose agent another one has.
pub fn taken(holder: &Holder, now: Instant) -> Refused {
    Refused {
        who: Some(holder.who.clone()),
        seconds: Some(now.duration_since(holder.since).as_secs()),
        ..refused(Reason::Taken, "somebody else has it")
    }
}

fn unknown() -> Refused {
    refused(Reason::Unknown, "the agent does not know this session")
}

fn refused(reason: Reason, message: &str) -> Refused {
    Refused {
        reason,
        message: message.to_owned(),
        who: None,
        seconds: None,
        versions: None,
        dev: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::wire::hello::HelloBody;

    fn hello(session: u8, who: &str) -> Hello {
        Hello {
            versions: VERSIONS,
            body: HelloBody {
                session: SessionId::new([session; 16]),
                lane: 1,
                resume: false,
                received: 0,
                who: who.to_owned(),
                take: false,
                dev: String::new(),
                capabilities: Vec::new(),
            },
        }
    }

    fn resuming(session: u8, who: &str) -> Hello {
        let mut hello = hello(session, who);
        hello.body.resume = true;
        hello
    }

    fn taking(session: u8, who: &str) -> Hello {
        let mut hello = hello(session, who);
        hello.body.take = true;
        hello
    }

    fn held_by(session: u8, who: &str, here: bool) -> Holder {
        Holder {
            session: SessionId::new([session; 16]),
            who: who.to_owned(),
            since: Instant::now(),
            here,
            lanes: 1,
        }
    }

    fn reason(answer: &Answer) -> Option<Reason> {
        match answer {
            Answer::Refuse(refused) => Some(refused.reason),
            Answer::New | Answer::Replace | Answer::Resume => None,
        }
    }

    #[test]
    fn a_free_agent_takes_anybody_but_who_wants_to_go_on() {
        let now = Instant::now();
        assert_eq!(
            answer(&hello(1, "ann@laptop"), None, false, now),
            Answer::New
        );
        let lost = answer(&resuming(1, "ann@laptop"), None, false, now);
        assert_eq!(reason(&lost), Some(Reason::Unknown));
    }

    #[test]
    fn a_session_has_several_lanes_and_each_goes_on() {
        let now = Instant::now();
        let mut holder = held_by(1, "ann@laptop", true);
        let hello = hello(1, "ann@laptop");
        assert_eq!(answer(&hello, Some(&holder), false, now), Answer::New);
        assert_eq!(answer(&hello, Some(&holder), true, now), Answer::Resume);
        let given_up = answer(&resuming(1, "ann@laptop"), Some(&holder), false, now);
        assert_eq!(reason(&given_up), Some(Reason::Unknown));
        holder.lanes = MOST_LANES;
        let many = answer(&hello, Some(&holder), false, now);
        assert_eq!(reason(&many), Some(Reason::Other));
    }

    #[test]
    fn a_second_person_is_told_who_has_it_and_since_when() {
        let holder = held_by(1, "ann@laptop", true);
        let later = holder.since + Duration::from_secs(90);
        let answer = answer(&hello(2, "bob@desk"), Some(&holder), false, later);
        let Answer::Refuse(refused) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(refused.reason, Reason::Taken);
        assert_eq!(refused.who.as_deref(), Some("ann@laptop"));
        assert_eq!(refused.seconds, Some(90));
    }

    #[test]
    fn it_can_be_taken_but_not_taken_back_by_coming_again() {
        let now = Instant::now();
        let ann = held_by(1, "ann@laptop", true);
        let bob = taking(2, "bob@desk");
        assert_eq!(answer(&bob, Some(&ann), false, now), Answer::Replace);
        let bob = held_by(2, "bob@desk", true);
        for take in [false, true] {
            let mut ann = resuming(1, "ann@laptop");
            ann.body.take = take;
            let answer = answer(&ann, Some(&bob), false, now);
            assert_eq!(reason(&answer), Some(Reason::Taken));
        }
    }

    #[test]
    fn a_session_that_is_away_makes_way_for_the_same_person_only() {
        let now = Instant::now();
        let away = held_by(1, "ann@laptop", false);
        let again = hello(2, "ann@laptop");
        assert_eq!(answer(&again, Some(&away), false, now), Answer::Replace);
        let other = answer(&hello(2, "bob@desk"), Some(&away), false, now);
        assert_eq!(reason(&other), Some(Reason::Taken));
        let twice = answer(&again, Some(&held_by(1, "ann@laptop", true)), false, now);
        assert_eq!(reason(&twice), Some(Reason::Taken));
    }
}

//! Two people, two versions.

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::world::{Person, options, talk};
use crate::tunnel::agent::Agent;
use crate::tunnel::wire::hello::{Hello, HelloBody, Reason, Refused, SessionId, Welcome};
use crate::tunnel::wire::{Decoder, Frame, VERSIONS, Versions};

#[tokio::test(start_paused = true)]
async fn a_second_person_is_told_who_has_it() {
    let agent = Agent::new();
    let mut ann = Person::come(&agent, options(1, "ann@laptop")).await;
    tokio::time::sleep(std::time::Duration::from_secs(75)).await;
    let bob = Person::start(&agent, options(2, "bob@desk"));
    let refused = bob.run.await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::Taken);
    assert_eq!(refused.who.as_deref(), Some("ann@laptop"));
    assert_eq!(refused.seconds, Some(75));
    let (mut near, mut far) = ann.stream(&agent).await;
    talk(&mut near, &mut far).await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_it_has_it_and_the_other_is_told() {
    let agent = Agent::new();
    let mut ann = Person::come(&agent, options(1, "ann@laptop")).await;
    let (mut near, _far) = ann.stream(&agent).await;
    let mut taking = options(2, "bob@desk");
    taking.take = true;
    let mut bob = Person::come(&agent, taking).await;
    let refused = ann.run.await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::Taken);
    assert_eq!(refused.who.as_deref(), Some("bob@desk"));
    assert!(near.read_u8().await.is_err());
    assert_eq!(agent.holder().unwrap().0, "bob@desk");
    let (mut near, mut far) = bob.stream(&agent).await;
    talk(&mut near, &mut far).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_person_comes_again_after_a_crash() {
    let agent = Agent::new();
    let mut before = Person::come(&agent, options(1, "ann@laptop")).await;
    let (_near, mut far) = before.stream(&agent).await;
    // As SIGKILL does: the carrier breaks, and nobody dials again.
    before.run.abort();
    assert!(far.read_u8().await.is_err() || !agent.is_here());
    let mut again = Person::come(&agent, options(2, "ann@laptop")).await;
    let (mut near, mut far) = again.stream(&agent).await;
    talk(&mut near, &mut far).await;
}

#[tokio::test(start_paused = true)]
async fn several_lanes_are_one_session() {
    let agent = Agent::new();
    let mut several = options(1, "ann@laptop");
    several.lanes = 3;
    let mut ann = Person::come(&agent, several).await;
    ann.connected().await;
    ann.connected().await;
    let mut streams = Vec::new();
    for _ in 0..9 {
        streams.push(ann.stream(&agent).await);
    }
    let mut numbers: Vec<u32> = streams.iter().map(|(near, _)| near.number()).collect();
    numbers.sort_unstable();
    // Three on each lane, which count for themselves.
    assert_eq!(numbers, [2, 2, 2, 4, 4, 4, 6, 6, 6]);
    for (near, far) in &mut streams {
        talk(near, far).await;
    }
}

/// Says these bytes to an agent and gives its first frame.
async fn said(agent: &Agent, hello: Bytes) -> (Frame, DuplexStream) {
    let (mut near, far) = duplex(4096);
    let agent = agent.clone();
    tokio::spawn(async move { agent.carry(far).await });
    let mut out = bytes::BytesMut::new();
    Frame::Hello(hello).encode(&mut out);
    near.write_all(&out).await.unwrap();
    let mut decoder = Decoder::default();
    loop {
        if let Some(frame) = decoder.decode().unwrap() {
            return (frame, near);
        }
        assert!(near.read_buf(decoder.space()).await.unwrap() > 0, "closed");
    }
}

fn hello(versions: Versions) -> Hello {
    Hello {
        versions,
        body: HelloBody {
            session: SessionId::new([9; 16]),
            lane: 1,
            resume: false,
            received: 0,
            who: "ann@laptop".into(),
            take: false,
            dev: "9.0.0".into(),
            capabilities: vec!["time travel".into()],
        },
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_client_that_still_speaks_this_version_is_welcome() {
    let agent = Agent::new();
    let mut payload = hello(Versions { min: 1, max: 9 }).encode().to_vec();
    // What its version says beyond ours.
    payload.truncate(payload.len() - 1);
    payload.extend(br#","mood":{"colour":"blue"}}"#);
    let (frame, _carrier) = said(&agent, payload.into()).await;
    let Frame::Welcome(text) = frame else {
        panic!("{frame:?}");
    };
    let welcome = Welcome::decode(&text).unwrap();
    assert_eq!(welcome.version, 1);
    assert!(!welcome.resumed);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_common_version_is_told_what_the_agent_speaks() {
    let agent = Agent::new();
    let (min, max) = (VERSIONS.max + 1, VERSIONS.max + 3);
    // Whatever comes after the versions need not be readable.
    let mut payload = b"dev-tunnel".to_vec();
    payload.extend([min.to_be_bytes(), max.to_be_bytes()].concat());
    payload.extend(b"<hello/>");
    let (frame, mut carrier) = said(&agent, payload.into()).await;
    let Frame::Refused(text) = frame else {
        panic!("{frame:?}");
    };
    let refused = Refused::decode(&text).unwrap();
    assert_eq!(refused.reason, Reason::Version);
    assert_eq!(refused.versions, Some(VERSIONS));
    assert_eq!(refused.dev, env!("CARGO_PKG_VERSION"));
    assert_eq!(carrier.read(&mut [0; 9]).await.unwrap(), 0, "and closed");
    assert!(agent.holder().is_none());
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_greet_is_sent_away() {
    let agent = Agent::new();
    for words in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[6, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1],
        b"",
    ] {
        let (mut near, far) = duplex(4096);
        let agent = agent.clone();
        let carried = tokio::spawn(async move { agent.carry(far).await });
        near.write_all(words).await.unwrap();
        assert_eq!(near.read(&mut [0; 9]).await.unwrap(), 0);
        carried.await.unwrap();
    }
}

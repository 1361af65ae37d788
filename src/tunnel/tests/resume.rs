//! What cuts of the carrier do: nothing, as long as they are not too long.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, advance, sleep};

use super::cable::State;
use super::world::{Person, digest, noise, options, talk};
use crate::tunnel::agent::Agent;
use crate::tunnel::client::Event;
use crate::tunnel::mux::Reset;

/// Bytes that pass between two cuts, at most.
const BETWEEN: usize = 300_000;

#[tokio::test(start_paused = true)]
async fn bytes_are_right_across_twenty_cuts_both_ways() {
    let agent = Agent::new();
    let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
    let (near, far) = person.stream(&agent).await;
    let (near_rx, mut near_tx) = tokio::io::split(near);
    let (far_rx, mut far_tx) = tokio::io::split(far);
    let length = 8 * 1024 * 1024;
    let (down, up) = (noise(1, length), noise(2, length));
    let expected = [&down, &up].map(|bytes| Sha256::digest(bytes).to_vec());
    let send_down = tokio::spawn(async move {
        far_tx.write_all(&down).await.unwrap();
        far_tx.shutdown().await.unwrap();
    });
    let send_up = tokio::spawn(async move {
        near_tx.write_all(&up).await.unwrap();
        near_tx.shutdown().await.unwrap();
    });
    let receive_down = tokio::spawn(digest(near_rx));
    let receive_up = tokio::spawn(digest(far_rx));
    for cut in 0..20 {
        let bytes = noise(100 + cut, 4);
        let after = u32::from_le_bytes(bytes.try_into().unwrap()) as usize % BETWEEN;
        person.cable.cut_after(after + 1);
        loop {
            match person.event().await {
                Event::Connected { resumed, .. } => {
                    assert!(resumed);
                    // A cut can come before the lane has gone on.
                    if person.cable.is_cut() {
                        break;
                    }
                }
                Event::Interrupted { .. } | Event::Failed { .. } => {}
                Event::Lost { cause, .. } => panic!("lost at cut {cut}: {cause}"),
            }
        }
    }
    send_down.await.unwrap();
    send_up.await.unwrap();
    let got = [receive_down.await.unwrap(), receive_up.await.unwrap()];
    assert_eq!(got, expected);
    assert_eq!(agent.held().streams, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cut_of_thirty_seconds_is_survived() {
    for state in [State::Down, State::Silent] {
        let agent = Agent::new();
        let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
        let (mut near, mut far) = person.stream(&agent).await;
        talk(&mut near, &mut far).await;
        person.cable.set(state);
        // They are written though nobody is there.
        near.write_all(b"up").await.unwrap();
        far.write_all(b"down").await.unwrap();
        sleep(Duration::from_secs(30)).await;
        person.cable.set(State::Up);
        assert!(person.connected().await);
        let mut got = [0; 4];
        near.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"down");
        far.read_exact(&mut got[..2]).await.unwrap();
        assert_eq!(&got[..2], b"up");
        talk(&mut near, &mut far).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_cut_of_five_minutes_connections_are_reset_and_new_ones_work() {
    let agent = Agent::new();
    let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
    let (mut near, mut far) = person.stream(&agent).await;
    let (mut other_near, mut other_far) = person.stream(&agent).await;
    let begun = Instant::now();
    person.cable.set(State::Down);
    let (connections, cause) = person.lost().await;
    assert_eq!(connections, 2);
    assert_eq!(cause, "it was interrupted for too long");
    assert_eq!(begun.elapsed().as_secs(), 60);
    for stream in [&mut near, &mut far, &mut other_near, &mut other_far] {
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(error.to_string(), Reset::Lost.to_string());
        assert!(stream.write_u8(1).await.is_err());
    }
    assert_eq!(begun.elapsed().as_secs(), 60, "both ends at the same time");
    assert!(agent.holder().is_none());
    advance(Duration::from_secs(240)).await;
    person.cable.set(State::Up);
    assert!(!person.connected().await);
    let (mut near, mut far) = person.stream(&agent).await;
    talk(&mut near, &mut far).await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_restarted_is_told_plainly() {
    let mut person = {
        let agent = Agent::new();
        let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
        let _stream = person.stream(&agent).await;
        person
    };
    let restarted = Agent::new();
    person.agent_tx.send_replace(restarted.clone());
    person.cable.cut_after(1);
    person.cable.set(State::Down);
    person.cable.set(State::Up);
    let (_, cause) = person.lost().await;
    assert_eq!(cause, "the agent was restarted");
    assert!(!person.connected().await);
    let (mut near, mut far) = person.stream(&restarted).await;
    talk(&mut near, &mut far).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_become_rare_while_nobody_answers() {
    let agent = Agent::new();
    let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
    sleep(Duration::from_secs(10)).await;
    let begun = Instant::now();
    person.cable.set(State::Down);
    let mut at = Vec::new();
    while at.len() < 30 {
        if let Event::Failed { .. } = person.event().await {
            at.push(begun.elapsed());
        }
    }
    assert_eq!(at[0], Duration::ZERO, "the first one is made at once");
    assert!(at[1] <= Duration::from_millis(130));
    for pair in at[22..].windows(2) {
        let pause = pair[1] - pair[0];
        assert!(pause >= Duration::from_millis(3750) && pause <= Duration::from_millis(12_510));
    }
}

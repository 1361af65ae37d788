//! Who waits for whom, and how long.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};

use super::cable::State;
use super::world::{INBOUND, Person, options, talk};
use crate::tunnel::agent::Agent;
use crate::tunnel::client::Event;

#[tokio::test(start_paused = true)]
async fn an_agent_that_nobody_has_waits_for_nobody() {
    let agent = Agent::new();
    let begun = Instant::now();
    assert!(agent.open(&INBOUND).await.is_none());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn new_connections_wait_two_seconds_for_a_client_that_is_away() {
    let agent = Agent::new();
    let person = Person::come(&agent, options(1, "ann@laptop")).await;
    person.cable.set(State::Down);
    let begun = Instant::now();
    sleep(Duration::from_millis(500)).await;
    // Whenever they come, it is two seconds since the client went.
    assert!(agent.open(&INBOUND).await.is_none());
    assert_eq!(begun.elapsed().as_millis(), 2000);
    assert!(agent.open(&INBOUND).await.is_none());
    assert_eq!(begun.elapsed().as_millis(), 2000);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_in_time_gets_them() {
    let agent = Agent::new();
    let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
    person.cable.set(State::Down);
    let waiting = {
        let agent = agent.clone();
        tokio::spawn(async move { agent.open(&INBOUND).await })
    };
    sleep(Duration::from_secs(1)).await;
    person.cable.set(State::Up);
    let mut far = waiting.await.unwrap().unwrap();
    let mut near = person.streams_rx.recv().await.unwrap();
    talk(&mut near, &mut far).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_is_doubted_after_two_seconds_and_given_up_after_six() {
    let agent = Agent::new();
    let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
    let (_near, mut far) = person.stream(&agent).await;
    sleep(Duration::from_secs(1)).await;
    person.cable.set(State::Silent);
    let begun = Instant::now();
    far.write_all(b"anybody there?").await.unwrap();
    sleep(Duration::from_millis(1990)).await;
    assert!(agent.is_here());
    sleep(Duration::from_millis(20)).await;
    assert!(!agent.is_here());
    // The time that nobody answered counts as waiting.
    assert!(agent.open(&INBOUND).await.is_none());
    assert_eq!(begun.elapsed().as_millis(), 2010);
    loop {
        if let Event::Interrupted { cause, .. } = person.event().await {
            assert_eq!(cause, "the other end is silent");
            break;
        }
    }
    // Since the last that was heard, which is before the cut.
    let silent = begun.elapsed().as_millis();
    assert!((4000..=6000).contains(&silent), "{silent} ms");
}

#[tokio::test(start_paused = true)]
async fn a_short_silence_is_only_doubt() {
    let agent = Agent::new();
    let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
    let (mut near, mut far) = person.stream(&agent).await;
    person.cable.set(State::Silent);
    far.write_all(b"hel").await.unwrap();
    sleep(Duration::from_secs(3)).await;
    assert!(!agent.is_here());
    person.cable.set(State::Up);
    far.write_all(b"lo").await.unwrap();
    let mut got = [0; 5];
    tokio::io::AsyncReadExt::read_exact(&mut near, &mut got)
        .await
        .unwrap();
    assert_eq!(&got, b"hello");
    talk(&mut near, &mut far).await;
    assert!(agent.is_here());
    assert!(person.events_rx.try_recv().is_err(), "nothing was told");
}

#[tokio::test(start_paused = true)]
async fn a_session_without_traffic_stays() {
    let agent = Agent::new();
    let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
    let (mut near, mut far) = person.stream(&agent).await;
    for _ in 0..60 {
        sleep(Duration::from_secs(60)).await;
        assert!(agent.is_here());
    }
    assert!(person.events_rx.try_recv().is_err(), "nothing was told");
    talk(&mut near, &mut far).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_goodbye_is_not_waited_for() {
    let agent = Agent::new();
    let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
    let (near, mut far) = person.stream(&agent).await;
    far.write_all(b"a last word").await.unwrap();
    person.client.stop();
    assert_eq!(person.run.await.unwrap(), Ok(()));
    let begun = Instant::now();
    assert!(agent.open(&INBOUND).await.is_none());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(agent.holder().is_none());
    for mut stream in [near, far] {
        assert!(stream.write_u8(1).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_ends_says_so() {
    let agent = Agent::new();
    let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
    let _stream = person.stream(&agent).await;
    agent.end("the pod is being stopped").await;
    let (connections, cause) = person.lost().await;
    assert_eq!(connections, 1);
    assert_eq!(cause, "the other end said: the pod is being stopped");
}

//! Readers that do not read, and what is held for them.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::{Notes, Person, noise, options};
use crate::tunnel::agent::Agent;
use crate::tunnel::lane::{KEPT, WAITING};
use crate::tunnel::mux::{FIRST_CREDIT, SPARE_CREDIT};

#[tokio::test(start_paused = true)]
async fn stalled_readers_slow_nobody_and_hold_little() {
    let agent = Agent::new();
    let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
    let mut stalled = Vec::new();
    for number in 0..30 {
        let (near, mut far) = person.stream(&agent).await;
        let writing = tokio::spawn(async move {
            let bytes = noise(number, 1024 * 1024);
            while far.write_all(&bytes).await.is_ok() {}
        });
        stalled.push((near, writing));
    }
    let (mut near, mut far) = person.stream(&agent).await;
    let bytes = noise(99, 20 * 1024 * 1024);
    let expected = bytes.clone();
    let writing = tokio::spawn(async move {
        far.write_all(&bytes).await.unwrap();
        far.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    let mut most = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match near.read(&mut buffer).await.unwrap() {
            0 => break,
            count => got.extend_from_slice(&buffer[..count]),
        }
        most = most.max(person.client.held().unread);
    }
    assert!(got == expected);
    writing.await.unwrap();
    drop(near);
    let bound = 31 * FIRST_CREDIT + SPARE_CREDIT;
    assert!(most >= 30 * FIRST_CREDIT, "{most}: they were not stalled");
    assert!(most <= bound, "{most} > {bound}");
    assert!(agent.held().outgoing <= KEPT + WAITING);
    for (near, writing) in stalled {
        drop(near);
        writing.await.unwrap();
    }
    assert!(person.events_rx.try_recv().is_err(), "the carrier stayed");
    assert_eq!(person.client.held().streams, 0);
    assert_eq!(person.client.held().unread, 0);
}

#[tokio::test(start_paused = true)]
async fn small_messages_pass_between_big_ones() {
    let agent = Agent::new();
    let mut person = Person::come(&agent, options(1, "ann@laptop")).await;
    let (mut bulk_near, mut bulk_far) = person.stream(&agent).await;
    let (mut near, mut far) = person.stream(&agent).await;
    let order: Notes<&str> = Arc::default();
    let bulk = {
        let order = Arc::clone(&order);
        tokio::spawn(async move {
            let length = 64 * 1024 * 1024;
            let writing = tokio::spawn(async move {
                bulk_far.write_all(&vec![7; length]).await.unwrap();
                bulk_far
            });
            let mut buffer = vec![0; 64 * 1024];
            let mut left = length;
            while left > 0 {
                left -= bulk_near.read(&mut buffer).await.unwrap();
            }
            order.lock().unwrap().push("bulk");
            drop(writing.await.unwrap());
        })
    };
    for _ in 0..20 {
        far.write_all(b"ping").await.unwrap();
        let mut got = [0; 4];
        near.read_exact(&mut got).await.unwrap();
        near.write_all(b"pong").await.unwrap();
        far.read_exact(&mut got).await.unwrap();
    }
    order.lock().unwrap().push("twenty round trips");
    bulk.await.unwrap();
    assert_eq!(*order.lock().unwrap(), ["twenty round trips", "bulk"]);
    assert!(person.events_rx.try_recv().is_err(), "the carrier stayed");
}

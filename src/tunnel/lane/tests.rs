//! Two ends of a lane with a carrier between them that is cut at any byte, either way.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{KEPT, Lane, LaneError, WAITING};
use crate::tunnel::wire::{Decoder, Frame, data_head};

/// One end, what it was given to send, and what has come.
#[derive(Default)]
struct End {
    lane: Lane,
    decoder: Decoder,
    written: u64,
    read: u64,
    /// On the carrier, on the way to the other end.
    wire: VecDeque<u8>,
}

/// Every byte of a lane is known by its place.
fn byte(place: u64) -> u8 {
    (place.wrapping_mul(2_654_435_761) >> 7) as u8
}

impl End {
    fn write(&mut self, count: usize) {
        let count = count.min(self.lane.room());
        let bytes: Vec<u8> = (0..count as u64).map(|n| byte(self.written + n)).collect();
        self.written += count as u64;
        if count.is_multiple_of(2) {
            self.lane.push(bytes.into());
        } else {
            self.lane.extend(&bytes);
        }
    }

    /// Puts one frame on the carrier.
    fn send(&mut self, most: usize) {
        let mut parts = VecDeque::new();
        if let Some(outgoing) = self.lane.take(most, &mut parts) {
            self.wire.extend(data_head(
                outgoing.offset,
                outgoing.received,
                outgoing.length,
            ));
            parts.iter().for_each(|part| self.wire.extend(part));
        }
    }

    fn ack(&mut self) {
        let mut out = BytesMut::new();
        Frame::Ack(self.lane.take_ack()).encode(&mut out);
        self.wire.extend(&out);
    }

    /// So many bytes arrive at the other end.
    fn arrive(&mut self, count: usize, other: &mut End) {
        let count = count.min(self.wire.len());
        let bytes: Vec<u8> = self.wire.drain(..count).collect();
        other.decoder.space().extend_from_slice(&bytes);
        while let Some(frame) = other.decoder.decode().unwrap() {
            match frame {
                Frame::Data {
                    offset,
                    received,
                    bytes,
                } => {
                    other.lane.on_ack(received).unwrap();
                    for got in other.lane.on_data(offset, bytes).unwrap() {
                        assert_eq!(got, byte(other.read), "byte {}", other.read);
                        other.read += 1;
                    }
                }
                Frame::Ack(received) => other.lane.on_ack(received).unwrap(),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write {
        left: bool,
        count: usize,
    },
    Send {
        left: bool,
        most: usize,
    },
    Ack {
        left: bool,
    },
    Arrive {
        left: bool,
        count: usize,
    },
    /// Whatever is on the carrier is gone; the next one is there.
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    let left = any::<bool>();
    prop_oneof![
        3 => (left, 0..50_000_usize).prop_map(|(left, count)| Step::Write { left, count }),
        3 => (left, 1..40_000_usize).prop_map(|(left, most)| Step::Send { left, most }),
        1 => left.prop_map(|left| Step::Ack { left }),
        4 => (left, 0..60_000_usize).prop_map(|(left, count)| Step::Arrive { left, count }),
        1 => Just(Step::Cut),
    ]
}

fn cut(left: &mut End, right: &mut End) {
    for end in [&mut *left, &mut *right] {
        end.wire.clear();
        end.decoder = Decoder::default();
    }
    let (of_left, of_right) = (left.lane.received(), right.lane.received());
    left.lane.resume(of_right).unwrap();
    right.lane.resume(of_left).unwrap();
}

fn cases() -> ProptestConfig {
    let long = std::env::var_os("DEV_TEST_LONG").is_some();
    ProptestConfig::with_cases(if long { 20_000 } else { 300 })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_byte_comes_once_and_in_order_however_often_the_carrier_is_cut(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let (mut left, mut right) = (End::default(), End::default());
        for step in steps {
            match step {
                Step::Write { left: true, count } => left.write(count),
                Step::Write { left: false, count } => right.write(count),
                Step::Send { left: true, most } => left.send(most),
                Step::Send { left: false, most } => right.send(most),
                Step::Ack { left: true } => left.ack(),
                Step::Ack { left: false } => right.ack(),
                Step::Arrive { left: true, count } => left.arrive(count, &mut right),
                Step::Arrive { left: false, count } => right.arrive(count, &mut left),
                Step::Cut => cut(&mut left, &mut right),
            }
            for end in [&left, &right] {
                prop_assert!(end.lane.held() <= KEPT + WAITING);
            }
        }
        // A last carrier that stays.
        cut(&mut left, &mut right);
        for _ in 0..20 {
            left.send(64 * 1024);
            right.send(64 * 1024);
            left.arrive(usize::MAX, &mut right);
            right.arrive(usize::MAX, &mut left);
            left.ack();
            right.ack();
        }
        left.arrive(usize::MAX, &mut right);
        right.arrive(usize::MAX, &mut left);
        prop_assert_eq!(right.read, left.written);
        prop_assert_eq!(left.read, right.written);
        prop_assert!(left.lane.is_drained() && right.lane.is_drained());
        prop_assert!(!left.lane.owes() && !right.lane.owes());
    }
}

#[test]
fn without_acknowledgements_only_so_much_is_sent() {
    let mut lane = Lane::default();
    let mut parts = VecDeque::new();
    let mut sent = 0;
    for _ in 0..2 * KEPT / WAITING {
        lane.push(vec![1; lane.room()].into());
        while let Some(outgoing) = lane.take(64 * 1024, &mut parts) {
            sent += outgoing.length;
        }
    }
    assert_eq!(sent, KEPT);
    assert_eq!(lane.held(), KEPT + WAITING);
    assert_eq!(lane.room(), 0);
    lane.on_ack(1000).unwrap();
    assert_eq!(lane.take(usize::MAX, &mut parts).unwrap().length, 1000);
}

#[test]
fn what_cannot_be_is_an_error() {
    let mut lane = Lane::default();
    lane.push(vec![1; 1000].into());
    let mut parts = VecDeque::new();
    lane.take(600, &mut parts).unwrap();
    let not_sent = LaneError::Ack {
        said: 601,
        acked: 0,
        sent: 600,
    };
    assert_eq!(lane.on_ack(601), Err(not_sent));
    lane.on_ack(600).unwrap();
    assert!(lane.on_ack(599).is_err());
    assert!(lane.resume(599).is_err());
    assert_eq!(
        lane.on_data(1, Bytes::from_static(b"x")),
        Err(LaneError::Gap {
            offset: 1,
            expected: 0
        })
    );
}

#[test]
fn bytes_that_come_again_are_left_out() {
    let mut lane = Lane::default();
    let whole = Bytes::from_static(b"0123456789");
    assert_eq!(lane.on_data(0, whole.slice(..6)).unwrap(), &b"012345"[..]);
    assert_eq!(lane.on_data(2, whole.slice(2..9)).unwrap(), &b"678"[..]);
    assert_eq!(lane.on_data(0, whole.slice(..3)).unwrap(), &b""[..]);
    assert_eq!(lane.received(), 9);
}

//! Two ends of the multiplexer, their lanes joined without a carrier.

use std::collections::HashMap;
use std::task::{Poll, Waker};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::Instant;

use super::frame::{self, Item, MuxError, Reader};
use super::window::{FIRST, SPARE, WIDEST};
use super::{MOST_STREAMS, Mux, Reset, Side, Wakes};
use crate::tunnel::lane::Lane;

struct End {
    mux: Mux,
    lane: Lane,
}

impl End {
    fn new(side: Side) -> Self {
        Self {
            mux: Mux::new(side),
            lane: Lane::default(),
        }
    }

    fn open(&mut self) -> u32 {
        self.mux
            .open(&mut self.lane, b"what for", Instant::now())
            .unwrap()
    }

    fn write(&mut self, stream: u32, bytes: &[u8]) -> Poll<Result<usize, Reset>> {
        let waker = Waker::noop();
        self.mux.write(
            &mut self.lane,
            stream,
            bytes.len(),
            waker,
            |lane, length| {
                lane.extend(&bytes[..length]);
            },
        )
    }

    fn read(&mut self, stream: u32, most: usize) -> Poll<Result<Option<Bytes>, Reset>> {
        let now = Instant::now();
        self.mux
            .read(&mut self.lane, stream, most, now, Waker::noop())
    }

    fn accept(&mut self) -> Option<u32> {
        match self.mux.accept(Waker::noop()) {
            Poll::Ready(Some((stream, header))) => {
                assert_eq!(header, &b"what for"[..]);
                Some(stream)
            }
            Poll::Ready(None) | Poll::Pending => None,
        }
    }

    fn release(&mut self, stream: u32) {
        self.mux.release(&mut self.lane, stream, Reset::Cancelled);
    }

    fn try_receive(&mut self, bytes: &[u8]) -> Result<(), MuxError> {
        let bytes = Bytes::copy_from_slice(bytes);
        let mut wakes = Wakes::new();
        self.mux
            .receive(&mut self.lane, bytes, Instant::now(), &mut wakes)
    }

    /// Everything that waits goes to the other end, in pieces of this length.
    fn deliver(&mut self, other: &mut End, piece: usize) {
        let mut parts = std::collections::VecDeque::new();
        while let Some(outgoing) = self.lane.take(piece, &mut parts) {
            for part in parts.drain(..) {
                other.try_receive(&part).unwrap();
            }
            self.lane
                .on_ack(outgoing.offset + outgoing.length as u64)
                .unwrap();
            self.mux.has_room(&mut Wakes::new());
        }
    }
}

fn ends() -> (End, End) {
    (End::new(Side::Client), End::new(Side::Agent))
}

fn bytes(read: Poll<Result<Option<Bytes>, Reset>>) -> Bytes {
    match read {
        Poll::Ready(Ok(Some(bytes))) => bytes,
        other => panic!("{other:?}"),
    }
}

const END: Poll<Result<Option<Bytes>, Reset>> = Poll::Ready(Ok(None));

#[test]
fn either_end_opens_streams() {
    let (mut client, mut agent) = ends();
    let (of_client, of_agent) = (client.open(), agent.open());
    assert_ne!(of_client, of_agent);
    assert_eq!(client.write(of_client, b"ping"), Poll::Ready(Ok(4)));
    client.deliver(&mut agent, 3);
    agent.deliver(&mut client, 3);
    assert_eq!(agent.accept(), Some(of_client));
    assert_eq!(client.accept(), Some(of_agent));
    assert_eq!(agent.accept(), None);
    let mut got = bytes(agent.read(of_client, 3)).to_vec();
    got.extend(bytes(agent.read(of_client, 3)));
    assert_eq!(got, b"ping");
    assert_eq!(agent.read(of_client, 3), Poll::Pending);
}

#[test]
fn each_direction_ends_by_itself() {
    let (mut client, mut agent) = ends();
    let stream = agent.open();
    agent.write(stream, b"question").is_ready();
    agent.mux.finish(&mut agent.lane, stream);
    agent.deliver(&mut client, 100);
    assert_eq!(client.accept(), Some(stream));
    assert_eq!(bytes(client.read(stream, 100)), &b"question"[..]);
    assert_eq!(client.read(stream, 100), END);
    assert_eq!(client.write(stream, b"answer"), Poll::Ready(Ok(6)));
    client.mux.finish(&mut client.lane, stream);
    client.release(stream);
    client.deliver(&mut agent, 100);
    assert_eq!(bytes(agent.read(stream, 100)), &b"answer"[..]);
    assert_eq!(agent.read(stream, 100), END);
    agent.release(stream);
    assert_eq!((client.mux.streams(), agent.mux.streams()), (0, 0));
}

/// What yamux cannot say: a stream whose reader has gone after it has sent everything itself.
#[test]
fn a_reset_is_never_taken_for_an_end() {
    let (mut client, mut agent) = ends();
    let stream = agent.open();
    agent.mux.finish(&mut agent.lane, stream);
    agent.deliver(&mut client, 100);
    client.accept().unwrap();
    client.write(stream, b"half of the ans").is_ready();
    client.release(stream);
    client.deliver(&mut agent, 100);
    assert_eq!(bytes(agent.read(stream, 100)), &b"half of the ans"[..]);
    assert_eq!(agent.read(stream, 100), Poll::Ready(Err(Reset::Cancelled)));
}

#[test]
fn an_end_that_has_come_stays_one_though_the_rest_is_reset() {
    let (mut client, mut agent) = ends();
    let stream = agent.open();
    agent.deliver(&mut client, 100);
    client.accept().unwrap();
    client.write(stream, b"too large").is_ready();
    client.mux.finish(&mut client.lane, stream);
    client.release(stream);
    client.deliver(&mut agent, 100);
    assert_eq!(
        agent.write(stream, b"upload"),
        Poll::Ready(Err(Reset::Cancelled))
    );
    assert_eq!(bytes(agent.read(stream, 100)), &b"too large"[..]);
    assert_eq!(agent.read(stream, 100), END);
}

#[test]
fn a_reader_that_stops_holds_up_its_own_stream_only() {
    let (mut client, mut agent) = ends();
    let (stalled, other) = (agent.open(), agent.open());
    let piece = vec![1; 10_000];
    let mut sent = 0;
    while let Poll::Ready(Ok(count)) = agent.write(stalled, &piece) {
        sent += count;
        agent.deliver(&mut client, 64 * 1024);
    }
    assert_eq!(sent, FIRST);
    assert_eq!(client.mux.unread(), FIRST);
    for _ in 0..1000 {
        assert!(agent.write(other, &piece).is_ready());
        agent.deliver(&mut client, 64 * 1024);
        while let Poll::Ready(Ok(Some(_))) = client.read(other, usize::MAX) {}
        client.deliver(&mut agent, 64 * 1024);
    }
    assert_eq!(client.mux.unread(), FIRST);
}

#[test]
fn readers_that_were_fast_and_stop_hold_no_more_than_the_bound() {
    let (mut client, mut agent) = ends();
    let streams: Vec<u32> = (0..40).map(|_| agent.open()).collect();
    let piece = vec![1; 64 * 1024];
    for _ in 0..300 {
        for stream in &streams {
            let _full = agent.write(*stream, &piece);
        }
        agent.deliver(&mut client, 64 * 1024);
        for stream in &streams {
            while let Poll::Ready(Ok(Some(_))) = client.read(*stream, usize::MAX) {}
        }
        client.deliver(&mut agent, 64 * 1024);
    }
    for stream in &streams {
        let mut taken = 0;
        while let Poll::Ready(Ok(count)) = agent.write(*stream, &piece) {
            taken += count;
            agent.deliver(&mut client, 64 * 1024);
        }
        assert!(taken <= WIDEST);
    }
    let unread = client.mux.unread();
    assert!(unread <= streams.len() * FIRST + SPARE, "{unread}");
    assert!(unread > SPARE / 2, "{unread}: nothing was widened");
    // What they held is there for others.
    for stream in &streams {
        client.release(*stream);
    }
    assert_eq!(client.mux.unread(), 0);
}

#[test]
fn a_stream_too_many_is_reset_and_the_others_go_on() {
    let (mut client, mut agent) = ends();
    let first = agent.open();
    for _ in 1..MOST_STREAMS {
        agent.open();
    }
    assert_eq!(
        agent.mux.open(&mut agent.lane, b"", Instant::now()),
        Err(Reset::TooMany)
    );
    agent.release(first);
    let mut parts = std::collections::VecDeque::new();
    while agent.lane.take(usize::MAX, &mut parts).is_some() {}
    for part in &parts {
        client.try_receive(part).unwrap();
    }
    assert_eq!(client.mux.streams(), MOST_STREAMS);
    // The client has not released the one that the agent has.
    let more = agent.open();
    let open = frame::open(more, b"");
    client.try_receive(&open).unwrap();
    client.deliver(&mut agent, usize::MAX);
    assert_eq!(agent.read(more, 1), Poll::Ready(Err(Reset::TooMany)));
}

#[test]
fn a_lost_lane_resets_every_stream_after_what_has_come() {
    let (mut client, mut agent) = ends();
    let (read, waiting) = (agent.open(), agent.open());
    agent.write(read, b"rest").is_ready();
    agent.deliver(&mut client, 100);
    client.accept().unwrap();
    let mut wakes = Wakes::new();
    client.mux.lose(&mut wakes);
    assert_eq!(bytes(client.read(read, 100)), &b"rest"[..]);
    assert_eq!(client.read(read, 100), Poll::Ready(Err(Reset::Lost)));
    assert_eq!(client.write(read, b"x"), Poll::Ready(Err(Reset::Lost)));
    assert!(matches!(
        client.mux.accept(Waker::noop()),
        Poll::Ready(None)
    ));
    assert_eq!(client.read(waiting, 100), Poll::Ready(Err(Reset::Lost)));
    assert_eq!(
        client.mux.open(&mut client.lane, b"", Instant::now()),
        Err(Reset::Lost)
    );
}

#[test]
fn what_breaks_the_protocol_is_an_error() {
    let wrong: [(&[u8], MuxError); 8] = [
        (&frame::open(1, b""), MuxError::Number(1)),
        (&frame::open(4, b""), MuxError::Number(4)),
        (&frame::finish(2), MuxError::NotOpened(2)),
        (&frame::finish(1), MuxError::NotOpened(1)),
        (&frame::credit(0, 9), MuxError::NotOpened(0)),
        (&[0, 0, 0, 2, 9, 0, 0, 0], MuxError::Unknown(2, 9)),
        (&[0, 0, 0, 2, 5, 0, 0, 3], MuxError::Length(2, 5, 3)),
        (&[0, 0, 0, 2, 1, 0, 4, 1], MuxError::Length(2, 1, 1025)),
    ];
    for (bytes, error) in wrong {
        let mut client = End::new(Side::Client);
        assert_eq!(client.try_receive(bytes), Err(error), "{bytes:?}");
    }
    let mut client = End::new(Side::Client);
    let mut bytes = frame::open(2, b"").to_vec();
    bytes.extend(frame::data(2, FIRST + 1));
    bytes.extend(vec![0; FIRST + 1]);
    assert_eq!(client.try_receive(&bytes), Err(MuxError::Credit(2, 1)));
    let mut client = End::new(Side::Client);
    let mut bytes = frame::open(2, b"").to_vec();
    bytes.extend(frame::finish(2));
    bytes.extend(frame::data(2, 1));
    bytes.push(0);
    assert_eq!(client.try_receive(&bytes), Err(MuxError::AfterEnd(2)));
}

fn item() -> impl Strategy<Value = Item> {
    let payload = prop::collection::vec(any::<u8>(), 1..300).prop_map(Bytes::from);
    let stream = any::<u32>();
    prop_oneof![
        (stream, payload.clone()).prop_map(|(stream, header)| Item::Open(stream, header)),
        (stream, payload).prop_map(|(stream, bytes)| Item::Data(stream, bytes)),
        stream.prop_map(Item::Finish),
        (stream, any::<u8>())
            .prop_map(|(stream, code)| Item::Reset(stream, Reset::from_code(code))),
        (stream, any::<u32>()).prop_map(|(stream, more)| Item::Credit(stream, more)),
    ]
}

fn encode(item: &Item, out: &mut Vec<u8>) {
    match item {
        Item::Open(stream, header) => out.extend(frame::open(*stream, header)),
        Item::Data(stream, bytes) => {
            out.extend(frame::data(*stream, bytes.len()));
            out.extend(bytes);
        }
        Item::Finish(stream) => out.extend(frame::finish(*stream)),
        Item::Reset(stream, reset) => out.extend(frame::reset(*stream, *reset)),
        Item::Credit(stream, more) => out.extend(frame::credit(*stream, *more)),
    }
}

/// Items of the input in pieces of this length. Bytes of a stream that follow each other are put together.
fn read(input: &[u8], piece: usize) -> Result<Vec<Item>, MuxError> {
    let mut reader = Reader::default();
    let mut items: Vec<Item> = Vec::new();
    for piece in input.chunks(piece) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(item) = reader.next(&mut piece)? {
            match (items.last_mut(), item) {
                (Some(Item::Data(last, so_far)), Item::Data(stream, more)) if *last == stream => {
                    *so_far = [&so_far[..], &more[..]].concat().into();
                }
                (_, item) => items.push(item),
            }
        }
    }
    Ok(items)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn items_are_read_as_they_were_written_however_the_bytes_are_cut(
        items in prop::collection::vec(item(), 0..8),
        later in prop::collection::vec(any::<u8>(), 0..50),
        piece in 1..400_usize,
    ) {
        let mut bytes = Vec::new();
        for item in &items {
            encode(item, &mut bytes);
            // What a later version may send in between.
            bytes.extend([0, 0, 0, 1, 0x80, 0, 0, later.len() as u8]);
            bytes.extend(&later);
        }
        let all = read(&bytes, usize::MAX).unwrap();
        prop_assert_eq!(&all, &read(&bytes, piece).unwrap());
        let mut together: HashMap<u32, Vec<u8>> = HashMap::new();
        for item in &items {
            if let Item::Data(stream, bytes) = item {
                together.entry(*stream).or_default().extend(bytes);
            }
        }
        for (stream, bytes) in together {
            let got: Vec<u8> = all
                .iter()
                .filter_map(|item| match item {
                    Item::Data(of, bytes) if *of == stream => Some(&bytes[..]),
                    _ => None,
                })
                .flatten()
                .copied()
                .collect();
            prop_assert_eq!(got, bytes);
        }
        let others = |items: &[Item]| -> Vec<Item> {
            items.iter().filter(|item| !matches!(item, Item::Data(..))).cloned().collect()
        };
        prop_assert_eq!(others(&all), others(&items));
    }

    #[test]
    fn no_input_makes_an_end_panic(
        items in prop::collection::vec(item(), 0..6),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut bytes = frame::open(2, b"what for").to_vec();
        for item in &items {
            encode(item, &mut bytes);
        }
        bytes.extend(&noise);
        let mut client = End::new(Side::Client);
        client.open();
        let _wrong = client.try_receive(&bytes);
        let mut client = End::new(Side::Client);
        let _wrong = client.try_receive(&noise);
    }
}

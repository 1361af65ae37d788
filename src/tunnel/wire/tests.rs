use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::hello::{Hello, HelloBody, HelloError, Reason, Refused, SessionId, Welcome};
use super::{Decoder, Frame, HEAD, LONGEST, LONGEST_TEXT, VERSIONS, Versions, WireError};

/// The most that a decoder may ever hold: a frame, and what is read at a time.
const BOUND: usize = 2 * (HEAD + LONGEST + 64 * 1024);

fn text() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn frame() -> impl Strategy<Value = Frame> {
    let bytes = prop_oneof![
        4 => text(),
        1 => (any::<u8>(), 0..LONGEST - 16).prop_map(|(byte, count)| vec![byte; count].into()),
    ];
    prop_oneof![
        text().prop_map(Frame::Hello),
        text().prop_map(Frame::Welcome),
        text().prop_map(Frame::Refused),
        text().prop_map(Frame::Goodbye),
        any::<u64>().prop_map(Frame::Ack),
        any::<u64>().prop_map(Frame::Ping),
        any::<u64>().prop_map(Frame::Pong),
        (any::<u64>(), any::<u64>(), bytes).prop_map(|(offset, received, bytes)| Frame::Data {
            offset,
            received,
            bytes
        }),
    ]
}

/// What an end of any version may send, and what it must not.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let head = (0..12_u8, 0..40_u32, text()).prop_map(|(kind, length, rest)| {
        let mut out = vec![kind];
        out.extend(length.to_be_bytes());
        out.extend(&rest);
        out
    });
    let skipped = (0x80..=0xff_u8, text()).prop_map(|(kind, rest)| {
        let mut out = vec![kind];
        out.extend((rest.len() as u32).to_be_bytes());
        out.extend(&rest);
        out
    });
    let known = frame().prop_map(|frame| {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        out.truncate(100);
        out.to_vec()
    });
    prop_oneof![
        3 => head,
        3 => skipped,
        3 => known,
        2 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

/// Everything that comes of the input in pieces that end at these places, and the most memory that was held.
fn decode(input: &[u8], cuts: &[usize]) -> (Vec<Frame>, Option<WireError>, usize) {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    let mut held = 0;
    let mut start = 0;
    let ends = cuts.iter().copied().chain([input.len()]);
    for end in ends.filter(|end| *end <= input.len()) {
        if end < start {
            continue;
        }
        // As the loop reads: into the space that there is.
        let mut piece = &input[start..end];
        while !piece.is_empty() {
            let space = decoder.space();
            let room = (space.capacity() - space.len()).min(piece.len());
            assert!(room > 0, "no space to read into");
            space.extend_from_slice(&piece[..room]);
            piece = &piece[room..];
            loop {
                match decoder.decode() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => return (frames, Some(error), held),
                }
            }
            held = held.max(decoder.capacity());
        }
        start = end;
    }
    (frames, None, held)
}

fn cases(quick: u32, long: u32) -> ProptestConfig {
    let long_run = std::env::var_os("DEV_TEST_LONG").is_some();
    ProptestConfig::with_cases(if long_run { long } else { quick })
}

proptest! {
    #![proptest_config(cases(500, 20_000))]

    #[test]
    fn frames_are_read_as_they_were_written_however_the_bytes_are_cut(
        frames in prop::collection::vec(frame(), 1..6),
        mut cuts in prop::collection::vec(0..600_000_usize, 0..12),
    ) {
        let mut bytes = BytesMut::new();
        for frame in &frames {
            frame.encode(&mut bytes);
        }
        cuts.iter_mut().for_each(|cut| *cut %= bytes.len() + 1);
        cuts.sort_unstable();
        let (decoded, error, held) = decode(&bytes, &cuts);
        prop_assert_eq!(error, None);
        prop_assert_eq!(decoded, frames);
        prop_assert!(held <= BOUND, "{} bytes held", held);
    }

    #[test]
    fn any_input_gives_the_same_however_it_is_cut(
        pieces in prop::collection::vec(input(), 0..6),
        mut cuts in prop::collection::vec(0..300_usize, 0..12),
    ) {
        let bytes = pieces.concat();
        cuts.sort_unstable();
        let whole = decode(&bytes, &[]);
        let cut = decode(&bytes, &cuts);
        prop_assert_eq!((whole.0, whole.1), (cut.0, cut.1));
        prop_assert!(whole.2.max(cut.2) <= BOUND);
    }
}

/// Ten million inputs in the long form: no panic, and no memory beyond the bound.
#[test]
fn no_input_makes_the_decoder_panic_or_hold_much() {
    let config = cases(5_000, 10_000_000);
    let rng = TestRng::deterministic_rng(RngAlgorithm::XorShift);
    let count = config.cases;
    let mut runner = TestRunner::new_with_rng(config, rng);
    let strategy = input();
    for _ in 0..count {
        let tree = strategy.new_tree(&mut runner).unwrap();
        let bytes = tree.current();
        let (_, _, held) = decode(&bytes, &[bytes.len() / 2]);
        assert!(held <= BOUND, "{held} bytes held for {bytes:?}");
    }
}

#[test]
fn a_length_that_is_only_claimed_takes_no_memory() {
    for kind in 0..=255_u8 {
        for length in [0, 7, 15, 100, LONGEST as u32, LONGEST as u32 + 1, u32::MAX] {
            let mut head = vec![kind];
            head.extend(length.to_be_bytes());
            let (frames, error, held) = decode(&head, &[]);
            assert!(held <= 64 * 1024, "{kind} {length}: {held}");
            let known = (1..=8).contains(&kind);
            assert_eq!(
                error.is_some(),
                !known && kind < 0x80
                    || length as usize > limit(kind)
                    || (length as usize) < least(kind)
            );
            assert_eq!(
                frames.len(),
                usize::from(known && length == 0 && least(kind) == 0)
            );
        }
    }
}

fn limit(kind: u8) -> usize {
    match kind {
        1 | 2 | 3 | 8 => LONGEST_TEXT,
        5..=7 => 64,
        _ => LONGEST,
    }
}

fn least(kind: u8) -> usize {
    match kind {
        4 => 16,
        5..=7 => 8,
        _ => 0,
    }
}

#[test]
fn what_a_later_version_adds_to_a_frame_is_ignored() {
    let mut bytes = vec![6, 0, 0, 0, 12];
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 7]);
    bytes.extend(b"more");
    bytes.extend([0x90, 0, 0, 0, 3, 1, 2, 3]);
    bytes.extend([7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9]);
    let (frames, error, _) = decode(&bytes, &[15, 20]);
    assert_eq!(error, None);
    assert_eq!(frames, [Frame::Ping(7), Frame::Pong(9)]);
}

fn hello() -> Hello {
    Hello {
        versions: VERSIONS,
        body: HelloBody {
            session: SessionId::new([7; 16]),
            lane: 3,
            resume: true,
            received: u64::MAX,
            who: "ann@laptop".into(),
            take: false,
            dev: "0.1.0".into(),
            capabilities: vec!["a".into()],
        },
    }
}

#[test]
fn greetings_are_read_as_they_were_written() {
    assert_eq!(Hello::decode(&hello().encode()), Ok(hello()));
    let welcome = Welcome {
        version: 1,
        received: 1 << 60,
        resumed: true,
        dev: "0.1.0".into(),
        capabilities: Vec::new(),
    };
    assert_eq!(Welcome::decode(&welcome.encode()), Ok(welcome));
    let refused = Refused {
        reason: Reason::Taken,
        message: "somebody else has it".into(),
        who: Some("bob@desk".into()),
        seconds: Some(9),
        versions: Some(VERSIONS),
        dev: String::new(),
    };
    assert_eq!(Refused::decode(&refused.encode()), Ok(refused));
}

#[test]
fn greetings_of_later_versions_are_understood_as_far_as_possible() {
    let mut text = b"dev-tunnel\0\x01\0\x09".to_vec();
    text.extend(
        br#"{"session":"s","lane":1,"resume":false,"received":0,"who":"ann","colour":{"deep":[1]}}"#,
    );
    let hello = Hello::decode(&text).unwrap();
    assert_eq!(hello.versions, Versions { min: 1, max: 9 });
    assert_eq!(hello.body.who, "ann");
    let refused = Refused::decode(br#"{"reason":"tooMoody","message":"not\u0007 today"}"#).unwrap();
    assert_eq!(refused.reason, Reason::Other);
    assert_eq!(refused.message, "not today");
}

#[test]
fn what_is_no_greeting_is_told() {
    assert_eq!(Hello::decode(b"GET / HTTP/1.1"), Err(HelloError::Magic));
    assert_eq!(Hello::versions(b"dev-tunnel\0"), Err(HelloError::Magic));
    // The versions are there even if the rest cannot be read.
    let other = b"dev-tunnel\0\x05\0\x09<hello/>";
    assert_eq!(Hello::versions(other), Ok(Versions { min: 5, max: 9 }));
    assert!(matches!(Hello::decode(other), Err(HelloError::Json(_))));
}

#[test]
fn the_highest_common_version_holds() {
    let range = |min, max| Versions { min, max };
    assert_eq!(range(1, 3).common(range(2, 5)), Some(3));
    assert_eq!(range(2, 5).common(range(1, 3)), Some(3));
    assert_eq!(range(1, 1).common(range(1, 1)), Some(1));
    assert_eq!(range(1, 2).common(range(3, 5)), None);
    assert_eq!(range(4, 4).common(range(1, 3)), None);
}

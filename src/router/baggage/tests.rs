use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Case {
    case: String,
    baggage: Vec<String>,
    plain: Vec<String>,
    asked: Option<String>,
    stripped: Option<String>,
}

fn bytes(lines: &[String]) -> Vec<&[u8]> {
    lines.iter().map(String::as_bytes).collect()
}

/// `tests/router_envoy.rs` sends the same cases through Envoy.
#[test]
fn the_cases_hold() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("cases.json")).unwrap();
    for case in cases {
        let (baggage, plain) = (bytes(&case.baggage), bytes(&case.plain));
        let found = asked(&baggage, &plain);
        assert_eq!(
            found.as_ref().map(Asked::header),
            case.asked.as_deref(),
            "{}",
            case.case
        );
        let stripped = without_environment(&baggage).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(stripped, case.stripped, "{}, stripped", case.case);
    }
}

#[test]
fn endless_input_is_read_in_time() {
    for piece in ["dev-env=%", ",", " ", "dev-env= ", "%41", "dev-env=ann,"] {
        let line = piece.repeat(1 << 20);
        let began = std::time::Instant::now();
        let _whatever = asked(&[line.as_bytes()], &[line.as_bytes()]);
        let _whatever = without_environment(&[line.as_bytes()]);
        assert!(began.elapsed().as_secs() < 5, "{piece:?}");
    }
}

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop_oneof![
        Just(b"dev-env".to_vec()),
        Just(b"=".to_vec()),
        Just(b",".to_vec()),
        Just(b";".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\t".to_vec()),
        Just(b"%61".to_vec()),
        Just(b"%".to_vec()),
        Just(b"ann".to_vec()),
        Just(b"-".to_vec()),
        any::<u8>().prop_map(|byte| vec![byte]),
    ];
    let line = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    prop::collection::vec(line, 0..4)
}

fn slices(lines: &[Vec<u8>]) -> Vec<&[u8]> {
    lines.iter().map(Vec::as_slice).collect()
}

proptest! {
    #[test]
    fn whatever_comes_the_answer_is_a_label_or_the_mark(baggage in lines(), plain in lines()) {
        if let Some(Asked::Env(env)) = asked(&slices(&baggage), &slices(&plain)) {
            prop_assert!(is_label(&env));
        }
    }

    #[test]
    fn lines_are_a_list(baggage in lines(), plain in lines()) {
        let (baggage, plain) = (slices(&baggage), slices(&plain));
        let joined = (baggage.join(&b','), plain.join(&b','));
        prop_assert_eq!(asked(&baggage, &plain), asked(&[&joined.0], &[&joined.1]));
    }

    #[test]
    fn nothing_is_asked_of_what_was_stripped(baggage in lines()) {
        let rest = without_environment(&slices(&baggage));
        let rest: Vec<&[u8]> = rest.as_deref().into_iter().collect();
        prop_assert_eq!(asked(&rest, &[]), None);
        let again = without_environment(&rest);
        prop_assert_eq!(again.as_deref(), rest.first().copied());
    }
}

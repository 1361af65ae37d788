use futures::io::Cursor;
use k8s_openapi::jiff::Timestamp;

use super::line::{Form, Line, is_of_the_node, render, split_time};
use super::resume::Resume;
use super::run::next_line;

fn time(text: &str) -> Option<Timestamp> {
    Some(text.parse().expect("a time"))
}

#[test]
fn after_a_break_no_line_comes_twice_and_none_is_lost() {
    let (a, b, c) = (
        time("2026-01-01T00:00:00.100Z"),
        time("2026-01-01T00:00:00.700Z"),
        time("2026-01-01T00:00:01.200Z"),
    );
    let mut resume = Resume::default();
    for at in [a, b, b] {
        assert!(resume.take(at));
    }
    // In whole seconds and rounded down: rounding would skip what came after 0.5 s.
    assert_eq!(resume.since(), time("2026-01-01T00:00:00Z"));
    resume.reconnect();
    // The server repeats the whole second; a third line of the same instant is new.
    let again: Vec<bool> = [a, b, b, b, c].map(|at| resume.take(at)).to_vec();
    assert_eq!(again, [false, false, false, true, true]);
}

#[test]
fn lines_without_a_time_are_always_taken() {
    let mut resume = Resume::default();
    assert!(resume.take(None) && resume.take(None));
    assert_eq!(resume.since(), None);
}

#[test]
fn the_time_is_split_from_the_text() {
    let at = "2026-01-01T00:00:00.123456789Z";
    assert_eq!(
        split_time(&format!("{at}   indented")),
        (time(at), "  indented")
    );
    assert_eq!(split_time(&format!("{at} ")), (time(at), ""));
    assert_eq!(split_time(at), (time(at), ""));
    assert_eq!(split_time("no time here"), (None, "no time here"));
}

#[test]
fn what_the_node_says_is_no_line_of_the_container() {
    for (raw, of_the_node) in [
        (
            "unable to retrieve container logs for containerd://6f0c",
            true,
        ),
        (
            "failed to create fsnotify watcher: too many open files",
            true,
        ),
        (
            "failed to try resolving symlinks in path \"/var/log/pods/x/0.log\": no such file or directory",
            true,
        ),
        // The container's own words have a time before them.
        (
            "2026-01-01T00:00:00Z unable to retrieve container logs for x",
            false,
        ),
        // A runtime that gives no times.
        ("listening on 8080", false),
    ] {
        let (time, text) = split_time(raw);
        assert_eq!(is_of_the_node(time, text), of_the_node, "{raw}");
    }
    let mut resume = Resume::default();
    let heard = ["a", "a", "b", "a"].map(|text| resume.hears(text));
    assert_eq!(heard, [true, false, true, true]);
}

#[test]
fn lines_have_a_form_for_people_and_one_for_programs() {
    let line = Line {
        service: "web".to_owned(),
        pod: "web-1".to_owned(),
        container: "app".to_owned(),
        time: time("2026-01-01T00:00:00Z"),
        line: "hello \"you\"".to_owned(),
    };
    let text = |colour, timestamps| render(&line, Form::Text { colour, timestamps });
    assert_eq!(text(false, false), "web/web-1 app | hello \"you\"\n");
    assert_eq!(
        text(false, true),
        "web/web-1 app | 2026-01-01T00:00:00Z hello \"you\"\n"
    );
    assert!(text(true, false).starts_with("\u{1b}["));
    assert_eq!(
        render(&line, Form::Json),
        "{\"service\":\"web\",\"pod\":\"web-1\",\"container\":\"app\",\"time\":\"2026-01-01T00:00:00Z\",\"line\":\"hello \\\"you\\\"\"}\n"
    );
}

#[tokio::test]
async fn a_line_without_an_end_does_not_fill_the_memory() {
    let mut bytes = vec![b'x'; 3 * 1024 * 1024];
    bytes.extend(b"\nshort\nlast");
    let mut stream = Cursor::new(bytes);
    let mut buffer = Vec::new();
    let mut lengths = Vec::new();
    while next_line(&mut stream, &mut buffer)
        .await
        .expect("memory can be read")
    {
        lengths.push(buffer.len());
    }
    let piece = 1024 * 1024;
    assert_eq!(lengths, [piece, piece, piece, 1, 6, 4]);
}

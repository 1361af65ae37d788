//! Text that others wrote, made safe to show: a registry's answer, a build's output, a file's name. Nothing in it can move the
//! cursor or colour the terminal, and none of it is longer than a person would read.

use std::borrow::Cow;

/// The text without terminal escapes and without control characters other than line ends and tabs, of at most `limit`
/// characters; `…` stands for what is left out.
pub fn plain(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit && !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let text = console::strip_ansi_codes(text);
    let mut kept = text.chars().filter(|c| !is_unsafe(*c));
    let mut shown: String = kept.by_ref().take(limit).collect();
    if kept.next().is_some() {
        shown.pop();
        shown.push('…');
    }
    Cow::Owned(shown)
}

/// The same, on one line: line ends and runs of spaces become one space.
pub fn one_line(text: &str, limit: usize) -> String {
    // Bounded before it is taken apart: the rest would be cut anyway.
    let text = plain(text, limit.saturating_mul(4));
    let words: Vec<&str> = text.split_whitespace().collect();
    plain(&words.join(" "), limit).into_owned()
}

/// Control characters, and those that turn the direction of what follows.
fn is_unsafe(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n' && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_go_and_long_text_is_cut() {
        for (text, limit, expected) in [
            ("as it is: ä\n\t…", 20, "as it is: ä\n\t…"),
            ("\u{1b}[31mred\u{1b}[0m", 20, "red"),
            ("a\u{7}b\rc\u{8}\u{9b}d\u{202e}e", 20, "abcde"),
            ("abcdef", 4, "abc…"),
            ("äöüß", 4, "äöüß"),
            ("abc", 0, "…"),
        ] {
            assert_eq!(plain(text, limit), expected, "{text:?}");
        }
        assert_eq!(one_line(" a\n  b\t\u{1b}[1mc ", 20), "a b c");
        assert_eq!(one_line(&"x y ".repeat(1_000_000), 6), "x y x…");
    }

    proptest::proptest! {
        #[test]
        fn nothing_unsafe_is_left_and_the_limit_holds(text in "(\\PC|\\x1b\\[3[0-9]m|\\x1b|[\\x00-\\x1f]|\\u{202e}){0,60}", limit in 1..50usize) {
            let shown = plain(&text, limit);
            proptest::prop_assert!(!shown.chars().any(is_unsafe), "{shown:?}");
            proptest::prop_assert!(shown.chars().count() <= limit);
        }
    }
}

//! The lines of a file around an error, for `Error::snippet`.

/// Lines shown before the one with the error.
const BEFORE: usize = 2;
/// Characters of a line that are shown; longer lines are cut around the column.
const WIDTH: usize = 120;

/// The line with the error, two lines before it, and a mark under `length` characters from `column`.
/// `line` and `column` count from 1; an empty text when the line does not exist.
pub fn snippet(text: &str, line: usize, column: usize, length: usize) -> String {
    let first = line.saturating_sub(BEFORE).max(1);
    let lines: Vec<&str> = text
        .lines()
        .skip(first - 1)
        .take((line + 1).saturating_sub(first))
        .collect();
    if line == 0 || first + lines.len() != line + 1 {
        return String::new();
    }
    let start = column.saturating_sub(WIDTH * 3 / 4);
    let gutter = line.to_string().len();
    let mut out = format!("{:gutter$} |", "");
    for (number, content) in (first..).zip(&lines) {
        let shown = crop(content, start);
        out.push_str(format!("\n{number:gutter$} | {shown}").trim_end());
    }
    let indent = column.saturating_sub(1).saturating_sub(start);
    let room = lines
        .last()
        .map_or(1, |last| last.chars().count())
        .saturating_sub(column.saturating_sub(1))
        .min(WIDTH);
    let mark = "^".repeat(length.clamp(1, room.max(1)));
    out.push_str(&format!("\n{:gutter$} | {:indent$}{mark}", "", ""));
    out
}

fn crop(line: &str, start: usize) -> String {
    line.chars()
        .skip(start)
        .take(WIDTH)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_under_the_value() {
        let text = "app: a\nservices:\n  web:\n    live: maybe\n";
        assert_eq!(
            snippet(text, 4, 11, 5),
            "  |\n2 | services:\n3 |   web:\n4 |     live: maybe\n  |           ^^^^^"
        );
    }

    #[test]
    fn a_place_outside_the_text_gives_nothing_and_a_long_line_is_cut() {
        assert_eq!(snippet("a\n", 7, 1, 1), "");
        assert_eq!(snippet("", 1, 1, 1), "");
        let long = format!("key: {}oops", "x".repeat(5000));
        let shown = snippet(&long, 1, 5006, 4);
        assert!(shown.lines().all(|line| line.len() < 140), "{shown}");
        assert!(shown.contains("oops"));
    }
}

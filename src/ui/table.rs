//! Tables for people: columns as wide as their content, no frames.

/// A table with these headings; every row has as many cells. Empty without rows.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| console::measure_text_width(cell))
            .chain([headings[column].len()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(cell);
            text.push_str(&" ".repeat(width + 2 - console::measure_text_width(cell).min(*width)));
        }
        text.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut headings.iter().copied())];
    lines.extend(
        rows.iter()
            .map(|row| line(&mut row.iter().map(String::as_str))),
    );
    lines.join("\n")
}

/// A duration for people: `0.4 s`, `12 s`, `3 min 5 s`.
pub fn took(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn columns_are_as_wide_as_their_content() {
        let rows = [
            vec!["web".into(), "ready".into()],
            vec!["reviews".into(), "no".into()],
        ];
        let text = table(&["SERVICE", "STATE"], &rows);
        assert_eq!(text, "SERVICE  STATE\nweb      ready\nreviews  no");
        assert_eq!(table(&["A"], &[]), "");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(took(Duration::from_millis(420)), "0.4 s");
        assert_eq!(took(Duration::from_secs(185)), "3 min 5 s");
    }
}

//! Long texts are read on several threads, a run of documents on each.

use super::compose::{Composed, Fault, compose};

/// Texts shorter than this are read in one go.
const LONG: usize = 64 * 1024;

/// Every document of a text, as [`compose`] gives them.
pub(super) fn compose_all(text: &str) -> Result<Vec<Composed>, Fault> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8);
    compose_on(text, if text.len() < LONG { 1 } else { threads })
}

fn compose_on(text: &str, threads: usize) -> Result<Vec<Composed>, Fault> {
    let parts = split(text, threads);
    if parts.len() == 1 {
        return compose(text);
    }
    let results = std::thread::scope(|scope| {
        let started: Vec<_> = parts
            .iter()
            .map(|(_, part)| scope.spawn(|| compose(part)))
            .collect();
        started
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect::<Vec<_>>()
    });
    let mut documents = Vec::new();
    for ((before, _), result) in parts.iter().zip(results) {
        // What a fault means can depend on the part before it, so it is told from the whole.
        let Ok(part) = result else {
            return compose(text);
        };
        documents.extend(part.into_iter().map(|mut document| {
            document.place.0 += before;
            for item in &mut document.items {
                item.0 += before;
            }
            document
        }));
    }
    Ok(documents)
}

/// Parts of about the same length that begin with `---` at the beginning of a line, which nothing but a document can
/// follow; with the number of lines before each. One part where directives (`%TAG`) could belong to the next document.
fn split(text: &str, parts: usize) -> Vec<(usize, &str)> {
    if parts < 2 || text.starts_with('%') || text.contains("\n%") || text.contains('\r') {
        return vec![(0, text)];
    }
    let mut found = Vec::new();
    let mut start = 0;
    let mut lines = 0;
    for part in 1..parts {
        let aim = (text.len() * part / parts).max(start);
        let aim = (aim..=text.len())
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(text.len());
        let Some(offset) = text[aim..].find("\n---\n") else {
            break;
        };
        let end = aim + offset + 1;
        found.push((lines, &text[start..end]));
        lines += text[start..end].bytes().filter(|&b| b == b'\n').count();
        start = end;
    }
    found.push((lines, &text[start..]));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, threads: usize) -> String {
        match compose_on(text, threads) {
            Ok(documents) => documents
                .iter()
                .map(|d| {
                    // Where an empty scalar begins is a matter of what follows it.
                    let place = d.value.is_object().then_some(d.place);
                    format!("{place:?} {:?} {}\n", d.items, d.value)
                })
                .collect(),
            Err(fault) => format!("{}:{} {}", fault.line, fault.column, fault.message),
        }
    }

    #[test]
    fn parts_give_what_the_whole_gives() {
        let texts = [
            "a: 1\n---\nb: 2\n---\nitems:\n- c\n- d\n---\n\ne: |\n  x\n\n---\nf: é\n---\n",
            "a: 1\n---\nb: 2\n---\nc: [\n---\nd: 4\n",
            "a: &x 1\n---\nb: 2\n---\nb: *x\n",
            "%TAG ! tag:x,1:\n---\na: 1\n...\n%YAML 1.1\n---\nb: 2\n",
            "",
            "---\n---\n---\n",
        ];
        for text in texts {
            for threads in 2..9 {
                assert_eq!(shown(text, threads), shown(text, 1), "{threads} {text:?}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_the_same_in_parts(text in "([a-c]: [0-9]\n|---\n|- x\n|  y: \"|'\n|#\n|\\|\n|\\.\\.\\.\n){0,12}", threads in 2..6usize) {
            proptest::prop_assert_eq!(shown(&text, threads), shown(&text, 1));
        }
    }
}

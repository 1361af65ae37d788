//! One line with its values replaced by `…`.

/// What of a line is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    Nothing,
    /// Every value.
    Values,
    /// Every value but those that only name an object.
    ValuesButNames,
    /// What follows this many characters.
    After(usize),
}

/// The characters that are shown, each with its place (from 0) in the line.
pub(super) struct Masked {
    shown: Vec<(usize, char)>,
    /// Which of them stand for hidden ones.
    dots: Vec<usize>,
}

/// Fields whose values say what an object is.
const ALWAYS: [&str; 2] = ["apiVersion", "kind"];
/// Fields whose values name an object.
const NAMES: [&str; 2] = ["name", "namespace"];

impl Masked {
    pub(super) fn text(&self) -> String {
        self.shown.iter().map(|(_, c)| c).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.shown.len()
    }

    /// Where a character of the line is shown: itself, or the `…` that stands for it.
    pub(super) fn position(&self, place: usize) -> usize {
        match self.shown.last() {
            // Beyond the end of what is shown as it is, as for a line end.
            Some((last, _)) if place > *last && !self.dots.contains(&(self.shown.len() - 1)) => {
                self.shown.len() + (place - last - 1)
            }
            Some(_) => self
                .shown
                .partition_point(|(at, _)| *at <= place)
                .saturating_sub(1),
            None => place,
        }
    }

    /// Whether a character of the line is hidden.
    pub(super) fn hides(&self, place: usize) -> bool {
        self.dots.contains(&self.position(place))
    }

    fn show(&mut self, from: usize, chars: &[char]) {
        self.shown.extend((from..).zip(chars.iter().copied()));
    }

    fn hide(&mut self, from: usize, chars: &[char]) {
        let blank = chars.iter().take_while(|c| c.is_whitespace()).count();
        self.show(from, &chars[..blank]);
        if blank < chars.len() {
            self.dots.push(self.shown.len());
            self.shown.push((from + blank, '…'));
        }
    }
}

/// A line without what is hidden in it.
pub(super) fn mask(line: &str, hidden: Hidden) -> Masked {
    let chars: Vec<char> = line.chars().collect();
    let mut masked = Masked {
        shown: Vec::new(),
        dots: Vec::new(),
    };
    let (open, named) = match hidden {
        Hidden::Nothing => {
            masked.show(0, &chars);
            return masked;
        }
        Hidden::After(open) => (open.min(chars.len()), false),
        Hidden::Values | Hidden::ValuesButNames => {
            let (open, key) = key_of(&chars);
            let names = hidden == Hidden::ValuesButNames && NAMES.contains(&key.as_str());
            (open, names || ALWAYS.contains(&key.as_str()))
        }
    };
    masked.show(0, &chars[..open]);
    let rest = &chars[open..];
    if says_nothing(rest) || (named && is_name(rest)) {
        masked.show(open, rest);
    } else {
        mask_value(&mut masked, open, rest);
    }
    masked
}

/// How many characters lead to the value: indentation, dashes, a key with its colon; and that key.
fn key_of(chars: &[char]) -> (usize, String) {
    let blank = |at: usize| chars[at..].iter().take_while(|c| c.is_whitespace()).count();
    let mut at = blank(0);
    while chars.get(at) == Some(&'-') && chars.get(at + 1).is_none_or(|c| c.is_whitespace()) {
        at += 1;
        at += blank(at);
    }
    let quote = chars.get(at).copied().filter(|c| *c == '"' || *c == '\'');
    let begin = at + usize::from(quote.is_some());
    let key: String = chars[begin.min(chars.len())..]
        .iter()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-'))
        .collect();
    let mut end = begin + key.len();
    if let Some(quote) = quote {
        if chars.get(end) != Some(&quote) {
            return (at, String::new());
        }
        end += 1;
    }
    end += blank(end.min(chars.len()));
    let colon = chars.get(end) == Some(&':');
    if key.is_empty() || !colon || chars.get(end + 1).is_some_and(|c| !c.is_whitespace()) {
        return (at, String::new());
    }
    end += 1;
    (end + blank(end), key)
}

/// Whether a value holds nothing: it begins a block or a list, or ends one.
fn says_nothing(value: &[char]) -> bool {
    let text: String = value.iter().collect();
    let text = text.trim().trim_end_matches(',');
    let block = text.starts_with(['|', '>'])
        && text[1..]
            .chars()
            .all(|c| matches!(c, '+' | '-' | '0'..='9'));
    block
        || matches!(
            text,
            "" | "{" | "[" | "}" | "]" | "{}" | "[]" | "---" | "..."
        )
}

fn is_name(value: &[char]) -> bool {
    let text: String = value.iter().collect();
    let text = text.trim().trim_matches(['"', '\'', ',']);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '-');
    text.len() <= 63 && text.chars().all(plain)
}

/// What a template will put there is no value yet: expressions are shown, but for texts in them.
fn mask_value(masked: &mut Masked, from: usize, value: &[char]) {
    let mut at = 0;
    let mut hidden_from = 0;
    while at < value.len() {
        let close = match (value[at], value.get(at + 1)) {
            ('{', Some('{')) => '}',
            ('{', Some('%')) => '%',
            _ => {
                at += 1;
                continue;
            }
        };
        masked.hide(from + hidden_from, &value[hidden_from..at]);
        let end = (at + 2..value.len())
            .find(|&i| value[i] == close && value.get(i + 1) == Some(&'}'))
            .map_or(value.len(), |i| i + 2);
        mask_texts(masked, from + at, &value[at..end]);
        at = end;
        hidden_from = end;
    }
    masked.hide(from + hidden_from, &value[hidden_from..]);
}

/// An expression with `…` for every text in quotes, closed or not.
fn mask_texts(masked: &mut Masked, from: usize, expression: &[char]) {
    let mut at = 0;
    while at < expression.len() {
        let c = expression[at];
        masked.show(from + at, &[c]);
        at += 1;
        if !matches!(c, '"' | '\'' | '`') {
            continue;
        }
        let end = (at..expression.len())
            .find(|&i| expression[i] == c)
            .unwrap_or(expression.len());
        masked.hide(from + at, &expression[at..end]);
        if end < expression.len() {
            masked.show(from + end, &[c]);
        }
        at = end + 1;
    }
}

/// A sentence of the template engine without the values that it quotes: what stands in backticks is shown where the template has it
/// too, or where it is the name of a type.
pub fn hide_values_in(message: &str, template: &str) -> String {
    const TYPES: [&str; 14] = [
        "undefined",
        "none",
        "bool",
        "u64",
        "i64",
        "f64",
        "u128",
        "i128",
        "array",
        "bytes",
        "string",
        "map/struct",
        "String",
        "integer",
    ];
    let mut parts = message.split('`');
    let mut told = parts.next().unwrap_or_default().to_owned();
    let mut quoted = true;
    for part in parts {
        let show = !quoted || template.contains(part) || TYPES.contains(&part);
        told.push('`');
        told.push_str(if show { part } else { "…" });
        quoted = !quoted;
    }
    told
}

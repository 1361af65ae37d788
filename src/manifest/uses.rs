//! PURE: which of the free variables (`vars.…`) a template names.

use std::collections::BTreeSet;

use super::template::is_template;

/// The name under which templates find the free variables.
const VARS: &str = "vars";

/// The free variables that templates name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Dotted, without `vars`: `sizes.small`.
    pub names: BTreeSet<String>,
    /// All of them may be used: `vars` is passed on as a whole, or by a name that is known only when it is rendered.
    pub all: bool,
}

impl Uses {
    /// Adds what a text names.
    pub fn add(&mut self, text: &str) {
        if !is_template(text) {
            return;
        }
        for code in codes(text) {
            self.add_code(code);
        }
    }

    fn add_code(&mut self, code: &str) {
        // The whole context, vars among it.
        self.all |= code.contains("__tera_context");
        let mut rest = code;
        while let Some(at) = rest.find(VARS) {
            let before = rest[..at].chars().next_back();
            rest = &rest[at + VARS.len()..];
            let other_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            if before.is_some_and(other_word)
                || rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            {
                continue;
            }
            match path(rest) {
                Some(name) => {
                    self.names.insert(name);
                }
                None => self.all = true,
            }
        }
    }

    /// Whether a variable is used: itself, something in it, or something that it is in.
    pub fn has(&self, name: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            let rest = inner.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.all
            || self
                .names
                .iter()
                .any(|used| within(used, name) || within(name, used))
    }
}

/// What stands between the braces of a template.
fn codes(text: &str) -> Vec<&str> {
    let mut codes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let close = if rest[at..].starts_with("{{") {
            "}}"
        } else {
            "%}"
        };
        let inner = &rest[at + 2..];
        let end = inner.find(close).unwrap_or(inner.len());
        codes.push(&inner[..end]);
        rest = &inner[end..];
    }
    codes
}

/// The path that follows `vars`: `.a.b` or `["a"].b`. `None` where it cannot be told.
fn path(mut rest: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    loop {
        // `vars?.a` and `vars.a?.b` are what may be missing.
        let after = rest.strip_prefix('?').unwrap_or(rest);
        if let Some(name) = after.strip_prefix('.') {
            let end = name
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(name.len());
            parts.push(&name[..end]);
            rest = &name[end..];
        } else if let Some(index) = after.strip_prefix('[') {
            let quote = index
                .chars()
                .next()
                .filter(|c| matches!(c, '"' | '\'' | '`'));
            let Some((name, after)) = quote.and_then(|quote| index[1..].split_once(quote)) else {
                // A name that is computed: everything below what came before it may be meant.
                break;
            };
            parts.push(name);
            rest = after.strip_prefix(']')?;
        } else {
            break;
        }
    }
    parts.retain(|part| !part.is_empty());
    (!parts.is_empty()).then(|| parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(text: &str) -> Uses {
        let mut uses = Uses::default();
        uses.add(text);
        uses
    }

    #[test]
    fn names_are_found_in_code_and_not_in_text() {
        let found = uses(
            "vars.text: {{ vars.a }} {{ vars.b.c | default(value=vars.d) }}\n\
             {% if vars[\"e\"].f and my.vars.g %}{{ myvars.h }}{% endif %}{{ vars_i }}{{ vars?.j }}",
        );
        assert_eq!(Vec::from_iter(&found.names), ["a", "b.c", "d", "e.f", "j"]);
        assert!(!found.all);
        assert_eq!(uses("a: {b: vars}"), Uses::default());
    }

    #[test]
    fn what_cannot_be_told_is_used() {
        for text in [
            "{% for name, value in vars %}{% endfor %}",
            "{{ vars | to_json }}",
            "{{ vars[env] }}",
            "{{ __tera_context }}",
        ] {
            assert!(uses(text).all, "{text}");
        }
        let part = uses("{{ vars.sizes[env] }}");
        assert!(part.has("sizes.small") && !part.has("other"));
    }

    #[test]
    fn a_variable_is_used_with_what_is_in_it() {
        let found = uses("{{ vars.sizes.small }}{{ vars.whole | to_json }}");
        for (name, used) in [
            ("sizes.small", true),
            ("sizes", true),
            ("sizes.large", false),
            ("whole.part", true),
            ("size", false),
        ] {
            assert_eq!(found.has(name), used, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[{}%.a\\[\\]\"?|vrs é-]{0,40}") {
            let _ = uses(&text).has("a");
            let _ = uses(&text.replace('a', "vars")).has("a");
        }
    }
}

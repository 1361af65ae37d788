//! PURE: the commands that hints propose, with the flags that were typed: what is pasted is about the same environment.
//!
//! Only flags are given again. Variables still hold in the shell that the hint is pasted into.

/// The first word of every command of ours.
const PROGRAM: &str = "dev";

/// A flag that decides what a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `--env`
    Env,
    /// `--namespace`
    Namespace,
    /// `--file`
    File,
    /// `--profile`
    Profile,
    /// `--context`
    Context,
    /// `--base`
    Base,
    /// `--registry`
    Registry,
    /// `--set`: its name, for the value may be secret
    Set,
}

impl Subject {
    /// How it is written in a command of this verb.
    fn flag(self, verb: &str) -> &'static str {
        match self {
            Self::Env => "-e",
            Self::Namespace => "-n",
            // -f follows there.
            Self::File if verb == "logs" => "--file",
            Self::File => "-f",
            Self::Profile => "-p",
            Self::Context => "--context",
            Self::Base => "--base",
            Self::Registry => "--registry",
            Self::Set => "--set",
        }
    }

    /// Whether a command says it already.
    fn is_said(self, words: &[&str]) -> bool {
        let long = match self {
            Self::Env => "--env",
            Self::Namespace => "--namespace",
            Self::File => "--file",
            Self::Profile => "--profile",
            Self::Context => "--context",
            Self::Base => "--base",
            Self::Registry => "--registry",
            Self::Set => "--set",
        };
        let verb = words.get(1).copied().unwrap_or_default();
        words
            .iter()
            .take_while(|word| **word != "--")
            .any(|word| *word == self.flag(verb) || word.split('=').next() == Some(long))
    }

    /// Whether it makes a difference to a command.
    fn matters_to(self, verb: &str) -> bool {
        let renders = matches!(verb, "up" | "deploy" | "render" | "diff" | "validate");
        let environment = matches!(verb, "up" | "down" | "status" | "logs" | "exec" | "url");
        match self {
            Self::Env => environment || matches!(verb, "render" | "diff" | "validate"),
            Self::Namespace => environment || matches!(verb, "render" | "diff"),
            Self::File => renders || environment || matches!(verb, "router" | "image"),
            Self::Profile => renders || verb == "logs",
            Self::Context => renders || environment || matches!(verb, "router" | "image" | "admit"),
            Self::Base => renders || environment || verb == "router",
            Self::Registry => renders || verb == "image",
            Self::Set => renders,
        }
    }
}

/// The flags that were typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recall {
    typed: Vec<(Subject, String)>,
}

impl Recall {
    /// From what was typed, in the order in which it is given again.
    pub fn new(typed: impl IntoIterator<Item = (Subject, String)>) -> Self {
        Self {
            typed: typed.into_iter().collect(),
        }
    }

    /// A text in which every command between backticks has the flags that were typed and that it does not have yet.
    pub fn complete(&self, text: &str) -> String {
        if self.typed.is_empty() || !text.contains('`') {
            return text.to_owned();
        }
        let parts: Vec<String> = text
            .split('`')
            .enumerate()
            .map(|(at, part)| match at % 2 {
                0 => part.to_owned(),
                _ => self.command(part),
            })
            .collect();
        parts.join("`")
    }

    /// One command, completed; anything else as it is.
    fn command(&self, text: &str) -> String {
        let words: Vec<&str> = text.split(' ').collect();
        let [PROGRAM, verb, ..] = words.as_slice() else {
            return text.to_owned();
        };
        // `dev router install`: flags come after both words.
        let named = match (*verb, words.get(2)) {
            ("router" | "image", Some(action)) if !action.starts_with('-') => 3,
            _ => 2,
        };
        let mut complete: Vec<String> = words[..named].iter().map(|&word| word.into()).collect();
        for (subject, value) in &self.typed {
            if subject.matters_to(verb) && !subject.is_said(&words) {
                complete.push(subject.flag(verb).to_owned());
                complete.push(match subject {
                    // The value may be secret. A shell refuses this form, so that nobody sets it by accident.
                    Subject::Set => format!("{}=<VALUE>", quoted(value)),
                    _ => quoted(value),
                });
            }
        }
        complete.extend(words[named..].iter().map(|&word| word.to_owned()));
        complete.join(" ")
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recall() -> Recall {
        let text = |text: &str| text.to_owned();
        Recall::new([
            (Subject::Env, text("pr-12")),
            (Subject::File, text("my shop/dev.yaml")),
            (Subject::Profile, text("ci")),
            (Subject::Context, text("staging")),
            (Subject::Set, text("it's")),
        ])
    }

    #[test]
    fn each_command_gets_what_matters_to_it() {
        let file = "-f 'my shop/dev.yaml'";
        for (hint, complete) in [
            (
                "run `dev up --full`",
                format!(r"run `dev up -e pr-12 {file} -p ci --context staging --set 'it'\''s'=<VALUE> --full`"),
            ),
            (
                "`dev status` says why; `dev down` removes it",
                format!(
                    "`dev status -e pr-12 {file} --context staging` says why; `dev down -e pr-12 {file} --context staging` removes it"
                ),
            ),
            (
                "`dev logs web --previous`",
                "`dev logs -e pr-12 --file 'my shop/dev.yaml' -p ci --context staging web --previous`".to_owned(),
            ),
            (
                "`dev router admit shop-ann --base shop`",
                format!("`dev router admit {file} --context staging shop-ann --base shop`"),
            ),
            ("`dev admit --context other`", "`dev admit --context other`".to_owned()),
            ("`dev down -e NAME`", format!("`dev down {file} --context staging -e NAME`")),
            (
                "`dev exec web -- env -e`",
                format!("`dev exec -e pr-12 {file} --context staging web -- env -e`"),
            ),
        ] {
            assert_eq!(recall().complete(hint), complete);
        }
    }

    #[test]
    fn what_is_no_command_of_ours_stays() {
        for text in [
            "dev.yaml: `services` is empty",
            "`kubectl debug -it x`",
            "`dev/keep: \"true\"`",
            "`dev`",
            "`dev --env NAME`",
            "one ` alone",
            "`dev completions bash`",
        ] {
            assert_eq!(recall().complete(text), text);
            assert_eq!(Recall::default().complete(text), text);
        }
    }
}

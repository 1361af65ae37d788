//! PURE: what a person meant who typed a command that does not exist, and help that is asked of `help` itself.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Command, CommandFactory};

use super::Cli;
use crate::error::nearest;

/// Words that other programs have for what is done here.
const SYNONYMS: [(&str, &str); 22] = [
    ("apply", "up"),
    ("create", "up"),
    ("run", "up"),
    ("start", "up"),
    ("delete", "down"),
    ("destroy", "down"),
    ("remove", "down"),
    ("rm", "down"),
    ("stop", "down"),
    ("get", "status"),
    ("list", "status"),
    ("ls", "status"),
    ("ps", "status"),
    ("attach", "exec"),
    ("shell", "exec"),
    ("ssh", "exec"),
    ("forward", "url"),
    ("open", "url"),
    ("port-forward", "url"),
    ("check", "validate"),
    ("lint", "validate"),
    ("template", "render"),
];

/// Adds the nearest command to an error about one that does not exist, where clap knows none: it does not compare short names.
pub fn propose(mut error: Error) -> Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let synonym = SYNONYMS.iter().find(|(word, _)| word == typed);
    let root = Cli::command();
    let known = root.get_subcommands().filter(|one| !one.is_hide_set());
    let near = || nearest(typed, known.map(Command::get_name));
    let has_one = error.get(ContextKind::SuggestedSubcommand).is_some();
    let meant = match synonym {
        Some((_, meant)) => Some(*meant),
        None if has_one => None,
        None => near(),
    };
    if let Some(meant) = meant.map(str::to_owned) {
        error.insert(
            ContextKind::SuggestedSubcommand,
            ContextValue::Strings(vec![meant]),
        );
    }
    error
}

/// `dev help --help` is `dev help`: clap takes the flag for the name of a command.
pub fn without_help_of_help(mut words: Vec<OsString>) -> Vec<OsString> {
    let [_, path @ .., help, flag] = words.as_slice() else {
        return words;
    };
    if help != "help" || !(flag == "--help" || flag == "-h") {
        return words;
    }
    let root = Cli::command();
    let mut command = Some(&root);
    for word in path {
        command = command.and_then(|one| one.find_subcommand(word));
    }
    if command.is_some_and(Command::has_subcommands) {
        words.pop();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_help_itself_loses_the_flag() {
        let kept = |words: &[&str]| {
            let words = words.iter().map(OsString::from).collect();
            without_help_of_help(words).len()
        };
        assert_eq!(kept(&["dev", "help", "--help"]), 2);
        assert_eq!(kept(&["dev", "router", "help", "-h"]), 3);
        assert_eq!(kept(&["dev", "--help"]), 2);
        assert_eq!(kept(&["dev", "logs", "help", "--help"]), 4, "a service");
        assert_eq!(kept(&["dev", "help", "up"]), 3);
        assert_eq!(kept(&["dev"]), 1);
    }

    #[test]
    fn every_synonym_leads_to_a_command() {
        let root = Cli::command();
        for (word, meant) in SYNONYMS {
            assert!(root.find_subcommand(word).is_none(), "{word}");
            assert!(root.find_subcommand(meant).is_some(), "{meant}");
        }
    }
}

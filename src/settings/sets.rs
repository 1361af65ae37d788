//! `--set NAME=VALUE` and `DEV_SET`. Values may be secret: no error quotes one, nor what has no name and may be a value.

use crate::error::{Error, Result};
use crate::project::Vars;
use crate::settings::Origin;

/// Parts of a name. Values nested deeper could not be handed on.
const MOST_PARTS: usize = 64;

/// One value for a variable, or for a part of one.
#[derive(Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name below `vars`, such as `colour` or `sizes.small`.
    pub name: String,
    value: String,
    /// Where it was given.
    pub origin: Origin,
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=…", self.name)
    }
}

/// What was given, in order: the variable (`K=V,K=V`), then the flags, so that these win.
pub(super) fn read(flags: &[String], variable: Option<&str>) -> Result<Vec<Set>> {
    let from_variable = variable
        .unwrap_or_default()
        .split(',')
        .enumerate()
        .filter(|(_, text)| !text.is_empty())
        .map(|(number, text)| {
            let which = format!("part {} of DEV_SET", number + 1);
            (which, text, Origin::Variable("DEV_SET"))
        });
    let from_flags = flags.iter().enumerate().map(|(number, text)| {
        let which = match flags.len() {
            1 => "--set".to_owned(),
            _ => format!("--set number {}", number + 1),
        };
        (which, text.as_str(), Origin::Flag("set"))
    });
    from_variable
        .chain(from_flags)
        .map(|(which, text, origin)| parse(&which, text, origin))
        .collect()
}

fn parse(which: &str, text: &str, origin: Origin) -> Result<Set> {
    let wrong = |why: &str| {
        Error::usage(format!("{which} {why}")).hint("for example: --set greeting=hello")
    };
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| wrong("has no \"=\", expected NAME=VALUE"))?;
    // `vars.x=1` is what people type who see `{{ vars.x }}` in a template.
    let name = name.strip_prefix("vars.").unwrap_or(name);
    if name.split('.').any(str::is_empty) {
        return Err(wrong("has no variable's name before \"=\""));
    }
    if name.split('.').count() > MOST_PARTS {
        return Err(wrong(&format!(
            "has a name of more than {MOST_PARTS} parts"
        )));
    }
    Ok(Set {
        name: name.to_owned(),
        value: value.to_owned(),
        origin,
    })
}

impl Set {
    /// Sets `a.b.c` to the value, which is text, as templates print it.
    pub(super) fn insert_into(&self, vars: &mut Vars) {
        let mut parts = self.name.split('.');
        let first = parts.next().unwrap_or_default();
        let mut place = vars.entry(first.to_owned()).or_default();
        for part in parts {
            place = crate::manifest::as_map(place)
                .entry(part.to_owned())
                .or_insert_with(|| serde_json::Map::new().into());
        }
        *place = serde_json::Value::from(self.value.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn of_flags(flags: &[&str]) -> Result<Vec<Set>> {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        read(&flags, None)
    }

    #[test]
    fn the_variable_comes_before_the_flags() {
        let sets = read(&["a=3".to_owned()], Some("a=1,b.c=x=y,,")).unwrap();
        let mut vars = Vars::new();
        sets.iter().for_each(|set| set.insert_into(&mut vars));
        assert_eq!(vars["a"], "3");
        assert_eq!(vars["b"]["c"], "x=y");
    }

    #[test]
    fn what_is_wrong_is_told_by_its_number_and_not_quoted() {
        let deep = format!("{}=hunter2", "a.".repeat(70_000) + "a");
        for (flags, words) in [
            (vec!["hunter2"], "--set has no \"=\""),
            (vec!["a=1", "hunter2"], "--set number 2 has no \"=\""),
            (vec!["=hunter2"], "no variable's name"),
            (vec!["a..b=hunter2"], "no variable's name"),
            (vec![deep.as_str()], "more than 64 parts"),
        ] {
            let error = of_flags(&flags).unwrap_err();
            assert!(error.message().contains(words), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert_eq!(error.kind(), Kind::Usage);
        }
        let error = read(&[], Some("a=x,hunter2")).unwrap_err();
        assert!(
            error.message().starts_with("part 2 of DEV_SET has no"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        assert_eq!(format!("{:?}", of_flags(&["a=hunter2"]).unwrap()), "[a=…]");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_or_refused_as_usage(text in "[a-z=.,\\[\\]{} é]{0,30}|\\PC{0,40}", variable in "[a-z=.,]{0,30}") {
            match read(std::slice::from_ref(&text), Some(&variable)) {
                Ok(sets) => {
                    let mut vars = Vars::new();
                    sets.iter().for_each(|set| set.insert_into(&mut vars));
                    // The flag is the last one, so its value is there.
                    let (name, value) = text.split_once('=').unwrap();
                    let name = name.strip_prefix("vars.").unwrap_or(name);
                    let mut parts = name.split('.');
                    let first = &vars[parts.next().unwrap()];
                    let found = parts.fold(first, |at, part| &at[part]);
                    proptest::prop_assert_eq!(found, &serde_json::Value::from(value));
                }
                Err(error) => proptest::prop_assert_eq!(error.kind(), Kind::Usage),
            }
        }
    }
}

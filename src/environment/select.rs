//! PURE: which services a command is about.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result, did_you_mean};
use crate::project::Service;

/// The services that were asked for, with everything they need. Nothing asked for: all of the profile's, else all.
///
/// # Errors
/// A usage error that names an unknown service and the nearest known one.
pub fn with_needs(
    services: &BTreeMap<String, Service>,
    profile: Option<&[String]>,
    asked: &[String],
) -> Result<BTreeSet<String>> {
    let mut open: Vec<&str> = match (asked, profile) {
        ([], None) => services.keys().map(String::as_str).collect(),
        ([], Some(profile)) => profile.iter().map(String::as_str).collect(),
        (asked, _) => exactly(services, asked)?,
    };
    let mut chosen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if chosen.insert(name.to_owned())
            && let Some(service) = services.get(name)
        {
            open.extend(service.needs.iter().map(String::as_str));
        }
    }
    Ok(chosen)
}

/// The services that were asked for, each known.
pub fn exactly<'a>(
    services: &BTreeMap<String, Service>,
    asked: &'a [String],
) -> Result<Vec<&'a str>> {
    asked
        .iter()
        .map(|name| match services.contains_key(name) {
            true => Ok(name.as_str()),
            false => {
                let known = || services.keys().map(String::as_str);
                let hint = did_you_mean(name, known()).unwrap_or_else(|| {
                    format!("dev.yaml has: {}", known().collect::<Vec<_>>().join(", "))
                });
                Err(Error::usage(format!("there is no service \"{name}\"")).hint(hint))
            }
        })
        .collect()
}

/// The error of a service that was not found in the cluster: a name that `dev.yaml` does not have either is a misspelt one.
pub fn misspelt(error: Error, services: &BTreeMap<String, Service>, asked: &str) -> Error {
    if error.reason_code() != Some("NoService") {
        return error;
    }
    match exactly(services, &[asked.to_owned()]) {
        Ok(_) => error,
        Err(unknown) => {
            let known = unknown.hints().to_vec();
            let hints = error.hints().iter().filter(|hint| !known.contains(hint));
            hints
                .cloned()
                .fold(unknown.reason("NoService"), Error::hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services() -> BTreeMap<String, Service> {
        let service = |needs: &[&str]| Service {
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            ..Service::default()
        };
        BTreeMap::from([
            ("db".to_owned(), service(&[])),
            ("reviews".to_owned(), service(&["db"])),
            ("web".to_owned(), service(&["reviews"])),
        ])
    }

    fn names(set: &BTreeSet<String>) -> Vec<&str> {
        set.iter().map(String::as_str).collect()
    }

    #[test]
    fn what_was_asked_for_comes_with_what_it_needs() {
        let asked = ["reviews".to_owned()];
        let chosen = with_needs(&services(), None, &asked).unwrap();
        assert_eq!(names(&chosen), ["db", "reviews"]);
        assert_eq!(with_needs(&services(), None, &[]).unwrap().len(), 3);
        let profile = ["db".to_owned()];
        let chosen = with_needs(&services(), Some(&profile), &[]).unwrap();
        assert_eq!(names(&chosen), ["db"]);
    }

    #[test]
    fn an_unknown_service_is_told_with_the_nearest() {
        let asked = ["wbe".to_owned()];
        let error = with_needs(&services(), None, &asked).unwrap_err();
        assert_eq!(error.hints(), ["did you mean \"web\"?"]);
    }
}

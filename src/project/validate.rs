//! What a schema cannot express: names, references between services, and choices that exclude each other.

use std::collections::BTreeMap;

use super::{Image, Loaded, Service, label};
use crate::error::{Error, Result, did_you_mean};

/// Checks a project. The first thing that is wrong is the error, at its place.
pub fn check(loaded: &Loaded) -> Result<()> {
    let project = &loaded.project;
    check_name(loaded, &["app"], "`app`", &project.app)?;
    if let Some(base) = &project.base {
        check_name(loaded, &["base"], "`base`", base)?;
    }
    if let Some(domain) = &project.cluster_domain {
        label::check_domain(domain).map_err(|why| {
            Error::usage(format!("`clusterDomain` \"{domain}\" {why}"))
                .at(loaded.place(&["clusterDomain"]))
                .hint("for example: cluster.local")
        })?;
    }
    if project.services.is_empty() {
        return Err(
            Error::usage("`services` is empty, expected at least one service")
                .at(loaded.place(&["services"]))
                .hint("for example: services: {web: {manifests: k8s/}}"),
        );
    }
    for (name, service) in &project.services {
        check_name(loaded, &["services", name], "the service's name", name)?;
        check_source(loaded, name, service)?;
        check_needs(loaded, name, service)?;
        if let Some(image) = &service.image {
            check_image(loaded, name, image)?;
        }
    }
    check_cycles(loaded)?;
    check_profiles(loaded)
}

fn check_name(loaded: &Loaded, path: &[&str], what: &str, text: &str) -> Result<()> {
    label::check_label(text).map_err(|why| {
        Error::usage(format!("{what} \"{text}\" {why}"))
            .at(loaded.place(path))
            .maybe_hint(label::label_from(text).map(|legal| format!("for example: {legal}")))
    })
}

fn check_source(loaded: &Loaded, name: &str, service: &Service) -> Result<()> {
    let given: Vec<&str> = [
        ("manifests", service.manifests.is_some()),
        ("helm", service.helm.is_some()),
        ("kustomize", service.kustomize.is_some()),
        ("live", service.live),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect();
    match given.as_slice() {
        [] => Err(Error::usage(format!("service \"{name}\" has no manifests"))
            .at(loaded.place(&["services", name]))
            .hint("give it one of `manifests`, `helm`, `kustomize` or `live: true`")),
        ["live"] if loaded.project.base.is_none() => Err(Error::usage(format!(
            "service \"{name}\" is `live: true`, which copies from the base, but there is no `base`"
        ))
        .at(loaded.place(&["services", name, "live"]))
        .hint("add `base: NAMESPACE` to dev.yaml")),
        [_] => Ok(()),
        [first, rest @ ..] => Err(Error::usage(format!(
            "service \"{name}\" has both `{first}` and `{}`, expected one of them",
            rest.join("`, `")
        ))
        .at(loaded.place(&["services", name, rest[0]]))),
    }
}

fn check_needs(loaded: &Loaded, name: &str, service: &Service) -> Result<()> {
    let known = &loaded.project.services;
    for (index, need) in service.needs.iter().enumerate() {
        if !known.contains_key(need) {
            let hint = did_you_mean(need, known.keys().map(String::as_str));
            return Err(Error::usage(format!(
                "service \"{name}\" needs \"{need}\", which is no service"
            ))
            .at(loaded.place(&["services", name, "needs", &index.to_string()]))
            .maybe_hint(hint));
        }
    }
    Ok(())
}

fn check_image(loaded: &Loaded, name: &str, image: &Image) -> Result<()> {
    let place = |key: &str| loaded.place(&["services", name, "image", key]);
    let given: Vec<&str> = [
        ("build", image.build.is_some()),
        ("command", image.command.is_some()),
        ("layers", image.layers.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect();
    if image.name.trim().is_empty() {
        return Err(
            Error::usage(format!("the image of service \"{name}\" has an empty name"))
                .at(place("name"))
                .hint("for example: name: bookshop/web"),
        );
    }
    if let [first, second, ..] = given.as_slice() {
        return Err(Error::usage(format!(
            "the image of service \"{name}\" has both `{first}` and `{second}`, expected one of them"
        ))
        .at(place(second)));
    }
    if let Some(layers) = &image.layers
        && layers.base.is_empty()
    {
        return Err(
            Error::usage(format!("the `layers` of service \"{name}\" have no `base`"))
                .at(place("layers"))
                .hint("write `base: scratch` for an image that holds only the files"),
        );
    }
    Ok(())
}

/// A cycle of `needs` is named from its first service in the alphabet round to the same again.
fn check_cycles(loaded: &Loaded) -> Result<()> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        Open,
        Done,
    }
    fn visit<'a>(
        loaded: &'a Loaded,
        name: &'a str,
        path: &mut Vec<&'a str>,
        marks: &mut BTreeMap<&'a str, Mark>,
    ) -> Result<()> {
        match marks.get(name) {
            Some(Mark::Done) => return Ok(()),
            Some(Mark::Open) => {
                let start = path.iter().position(|seen| *seen == name).unwrap_or(0);
                let cycle = [&path[start..], &[name]].concat().join(" → ");
                return Err(Error::usage(format!("`needs` goes in a circle: {cycle}"))
                    .at(loaded.place(&["services", path[path.len() - 1], "needs"]))
                    .hint(
                        "take one of these needs away: services may find each other later by DNS",
                    ));
            }
            None => {}
        }
        marks.insert(name, Mark::Open);
        path.push(name);
        if let Some(service) = loaded.project.services.get(name) {
            for need in &service.needs {
                visit(loaded, need, path, marks)?;
            }
        }
        path.pop();
        marks.insert(name, Mark::Done);
        Ok(())
    }
    let mut marks = BTreeMap::new();
    for name in loaded.project.services.keys() {
        visit(loaded, name, &mut Vec::new(), &mut marks)?;
    }
    Ok(())
}

fn check_profiles(loaded: &Loaded) -> Result<()> {
    for (name, profile) in &loaded.project.profiles {
        for (index, glob) in profile.branches.iter().enumerate() {
            globset::Glob::new(glob).map_err(|cause| {
                let index = index.to_string();
                Error::usage(format!("\"{glob}\" is no glob of branch names"))
                    .caused_by(&cause)
                    .at(loaded.place(&["profiles", name, "branches", &index]))
                    .hint("for example: pr-*")
            })?;
        }
        if let Some(ttl) = &profile.ttl {
            crate::settings::duration(ttl)
                .map_err(|error| error.at(loaded.place(&["profiles", name, "ttl"])))?;
        }
        for (index, service) in profile.services.iter().flatten().enumerate() {
            let known = &loaded.project.services;
            if !known.contains_key(service) {
                return Err(Error::usage(format!(
                    "profile \"{name}\" names \"{service}\", which is no service"
                ))
                .at(loaded.place(&["profiles", name, "services", &index.to_string()]))
                .maybe_hint(did_you_mean(service, known.keys().map(String::as_str))));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn error(text: &str) -> Error {
        Loaded::parse(text, Path::new("dev.yaml")).unwrap_err()
    }

    #[test]
    fn an_unknown_need_is_told_with_its_place_and_the_nearest_name() {
        let error = error(
            "app: a\nservices:\n  web: {manifests: w, needs: [reviws]}\n  reviews: {manifests: r}\n",
        );
        assert_eq!(
            error.to_string(),
            "dev.yaml:3:31: service \"web\" needs \"reviws\", which is no service"
        );
        assert_eq!(error.hints(), ["did you mean \"reviews\"?"]);
    }

    #[test]
    fn a_cycle_is_named_all_round() {
        let error = error(
            "app: a\nservices:\n  x: {manifests: m, needs: [y]}\n  y: {manifests: m, needs: [z]}\n  z: {manifests: m, needs: [y]}\n",
        );
        assert!(error.message().ends_with("y → z → y"), "{error}");
        assert_eq!(error.place().unwrap().line, Some(5));
    }

    #[test]
    fn one_source_and_one_builder_each() {
        assert!(
            error("app: a\nservices: {x: {}}\n")
                .message()
                .contains("no manifests")
        );
        let both = error("app: a\nservices: {x: {manifests: m, live: true}}\n");
        assert!(
            both.message().contains("both `manifests` and `live`"),
            "{both}"
        );
        let no_base = error("app: a\nservices: {x: {live: true}}\n");
        assert!(
            no_base.message().contains("there is no `base`"),
            "{no_base}"
        );
        let builders = error(
            "app: a\nservices: {x: {manifests: m, image: {name: n, command: {run: a, context: .}, layers: {base: scratch}}}}\n",
        );
        assert!(
            builders.message().contains("`command` and `layers`"),
            "{builders}"
        );
    }
}

//! Image references: `registry/name:tag`, checked by the rules of the OCI distribution specification.

use oci_client::Reference;

use crate::error::{Error, Result};

/// The host of images that are only loaded into a local cluster. Container engines use it in the same sense, and a
/// kubelet that does not find such an image cannot pull somebody else's by accident.
pub const LOCAL_HOST: &str = "localhost";

/// Where images are pushed: a host, perhaps with a path below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    host: String,
    path: Option<String>,
    plain_http: bool,
}

impl Registry {
    /// Reads `registry:` of dev.yaml: `HOST[:PORT][/PATH]`, with `http://` before it for a registry without TLS.
    /// Registries on the loopback interface are spoken to without TLS anyway, as every engine does.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::usage(format!("`registry: {text}`: {why}")).hint(
                "write HOST[:PORT][/PATH], such as localhost:5000 or registry.example.com/team",
            )
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let plain = match scheme {
            None | Some("https") => false,
            Some("http") => true,
            Some(other) => return Err(wrong(&format!("unknown scheme \"{other}\""))),
        };
        let rest = rest.trim_end_matches('/');
        let (host, path) = match rest.split_once('/') {
            Some((host, path)) => (host, Some(path)),
            None => (rest, None),
        };
        check_host(host).map_err(|why| wrong(&why))?;
        if let Some(path) = path {
            check_repository(path).map_err(|why| wrong(&why))?;
        }
        Ok(Self {
            host: host.to_owned(),
            path: path.map(str::to_owned),
            plain_http: plain || (scheme.is_none() && is_loopback(host)),
        })
    }

    /// `HOST[:PORT]`
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is spoken to without TLS.
    pub fn plain_http(&self) -> bool {
        self.plain_http
    }
}

/// Whether `HOST[:PORT]` is this machine's loopback interface.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// `registry/name:tag` of an image that is built; below [`LOCAL_HOST`] where there is no registry.
///
/// # Errors
/// The name breaks a rule; the message says which one.
pub fn image_reference(registry: Option<&Registry>, name: &str, tag: &str) -> Result<String> {
    let wrong = |why: &str| Error::usage(format!("image name \"{name}\": {why}"));
    if name.contains('@') {
        return Err(wrong("a digest cannot be given for an image that is built"));
    }
    if name.contains("://") {
        return Err(wrong("a reference has no scheme").hint("write the registry in `registry:`"));
    }
    // Without a registry the name may bring its own host, as `docker build -t` takes it.
    let (host, repository) = match (registry, name.split_once('/')) {
        (None, Some((first, rest))) if looks_like_host(first) => (first, rest),
        (None, _) => (LOCAL_HOST, name),
        (Some(registry), Some((first, rest))) if first == registry.host => (first, rest),
        (Some(registry), _) => (registry.host.as_str(), name),
    };
    if repository.contains(':') {
        return Err(wrong("it has a tag, which `dev` computes itself").hint("leave the tag out"));
    }
    check_host(host).map_err(|why| wrong(&why))?;
    check_repository(repository).map_err(|why| wrong(&why))?;
    let path = registry.and_then(|registry| registry.path.as_deref());
    let repository = match path {
        Some(path) if !repository.starts_with(&format!("{path}/")) => {
            format!("{path}/{repository}")
        }
        Some(_) | None => repository.to_owned(),
    };
    if repository.len() > 255 {
        return Err(wrong("it is longer than 255 characters"));
    }
    Ok(format!("{host}/{repository}:{tag}"))
}

/// Checks a complete reference, such as one given in `name:` without a builder.
pub fn parse_reference(text: &str) -> Result<Reference> {
    text.parse::<Reference>().map_err(|cause| {
        let hint = text
            .contains("://")
            .then_some("a reference has no scheme")
            .or_else(|| {
                text.chars()
                    .any(char::is_uppercase)
                    .then_some("repository names are lower case")
            });
        Error::usage(format!("\"{text}\" is no image reference: {cause}"))
            .maybe_hint(hint)
            .hint("write [HOST[:PORT]/]NAME[:TAG][@DIGEST]")
    })
}

/// As engines tell `example.com/web` from `team/web`.
fn looks_like_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

fn check_host(host: &str) -> Result<(), String> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) => (name, port.strip_prefix(':')),
            None => return Err("the bracket of the address is not closed".to_owned()),
        },
        None => match host.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    if name.is_empty() {
        return Err("the host is missing".to_owned());
    }
    if let Some(port) = port
        && port.parse::<u16>().is_err()
    {
        return Err(format!("\"{port}\" is no port"));
    }
    let address = host.starts_with('[');
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || (address && c == ':');
    match name.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(format!("'{c}' cannot be in a host name")),
        None => Ok(()),
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, joined by `/`.
fn check_repository(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the name is missing".to_owned());
    }
    name.split('/').try_for_each(check_component)
}

fn check_component(component: &str) -> Result<(), String> {
    if component.is_empty() {
        return Err("a part between slashes is empty".to_owned());
    }
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    for c in component.chars() {
        if c.is_ascii_uppercase() {
            return Err(format!("'{c}': only lower case is allowed"));
        }
        if !word(c) && !matches!(c, '.' | '_' | '-') {
            return Err(format!(
                "'{c}': only a-z, 0-9, '.', '_', '-' and '/' are allowed"
            ));
        }
    }
    if !component.starts_with(word) || !component.ends_with(word) {
        return Err(format!(
            "\"{component}\" must begin and end with a letter or digit"
        ));
    }
    let separators = component
        .split(word)
        .filter(|run| !run.is_empty())
        .find(|run| !matches!(*run, "." | "_" | "__") && !run.chars().all(|c| c == '-'));
    match separators {
        Some(run) => Err(format!(
            "\"{run}\": letters and digits are separated by one '.', one or two '_', or any number of '-'"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(registry: Option<&str>, name: &str) -> Result<String> {
        let registry = registry.map(Registry::parse).transpose()?;
        image_reference(registry.as_ref(), name, "t")
    }

    #[test]
    fn registry_name_and_tag_make_a_reference() {
        for (registry, name, expected) in [
            (
                Some("localhost:5000"),
                "bookshop/web",
                "localhost:5000/bookshop/web:t",
            ),
            (Some("r.example/team/"), "web", "r.example/team/web:t"),
            (
                Some("r.example/team"),
                "r.example/team/web",
                "r.example/team/web:t",
            ),
            (Some("http://10.0.0.1:5000"), "web", "10.0.0.1:5000/web:t"),
            (None, "bookshop/web", "localhost/bookshop/web:t"),
            (None, "r.example:5000/web", "r.example:5000/web:t"),
            (
                Some("docker.io/someone"),
                "a.b_c__d---e",
                "docker.io/someone/a.b_c__d---e:t",
            ),
        ] {
            let reference = full(registry, name).unwrap();
            assert_eq!(reference, expected);
            parse_reference(&reference).unwrap();
        }
    }

    #[test]
    fn plain_http_is_for_loopback_and_for_those_who_ask() {
        for (registry, plain) in [
            ("localhost:5000", true),
            ("registry.localhost", true),
            ("127.0.0.1:5000", true),
            ("[::1]:5000", true),
            ("http://r.example", true),
            ("r.example", false),
            ("localhost.example", false),
            ("https://localhost:5000", false),
        ] {
            assert_eq!(
                Registry::parse(registry).unwrap().plain_http(),
                plain,
                "{registry}"
            );
        }
    }

    #[test]
    fn wrong_names_are_explained() {
        for (registry, name, expected) in [
            (None, "Web", "'W': only lower case"),
            (None, "web:1", "it has a tag"),
            (None, "web@sha256:1", "a digest cannot be given"),
            (None, "a//b", "a part between slashes is empty"),
            (None, "-web", "must begin and end"),
            (None, "a..b", "\"..\": letters and digits"),
            (None, "a b", "' ': only a-z"),
            (None, "", "the name is missing"),
            (None, "https://r/web", "a reference has no scheme"),
            (Some("ftp://r"), "web", "unknown scheme \"ftp\""),
            (Some("r:x"), "web", "\"x\" is no port"),
            (Some(""), "web", "the host is missing"),
            (Some("r/Team"), "web", "'T': only lower case"),
            (Some("r_x"), "web", "'_' cannot be in a host name"),
        ] {
            let error = full(registry, name).unwrap_err();
            assert!(error.message().contains(expected), "{name}: {error}");
            assert_eq!(error.kind(), crate::error::Kind::Usage);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_name_that_passes_is_a_reference(name in "[a-zA-Z0-9._/:-]{0,12}") {
            if let Ok(reference) = full(Some("r.example"), &name) {
                parse_reference(&reference).unwrap();
            }
        }
    }
}

//! DNS names of the application's Services, and its public hosts, inside text: environment values, arguments,
//! configuration files, annotations.
//!
//! A name counts where it cannot mean anything else: as the host of a URL, before a port, with `.svc`, or as the whole
//! of a value. A short name (`reviews`) counts only where names change, and then only as the host of a URL, before a
//! port that the Service has, or as the whole of a value whose key says that it is a host (`REVIEWS_HOST`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::Target;
use super::hosts::Hosts;
use super::rename::Names;
use crate::manifest::Manifest;

/// Keys whose values are not text of the application.
const SKIPPED: [&str; 12] = [
    "apiVersion",
    "kind",
    "name",
    "namespace",
    "labels",
    "matchLabels",
    "image",
    "selector",
    "managedFields",
    "resources",
    "ports",
    "status",
];

/// Ends of keys whose value is a host, or begins with one.
const HOST_KEYS: [&str; 14] = [
    "HOST",
    "HOSTS",
    "HOSTNAME",
    "ADDR",
    "ADDRESS",
    "ENDPOINT",
    "ENDPOINTS",
    "URL",
    "URI",
    "SERVER",
    "SERVERS",
    "UPSTREAM",
    "TARGET",
    "PEER",
];

struct Service {
    new: String,
    ports: BTreeSet<u64>,
}

/// Everything that is looked for.
pub(super) struct Text<'a> {
    services: HashMap<String, Service>,
    statefulsets: Vec<(String, String)>,
    public: &'a BTreeMap<String, String>,
    home: &'a [String],
    namespace: &'a str,
    /// Whether names change, so that short names matter.
    renamed: bool,
    /// What a text must contain to be looked at when only the namespace changes.
    needles: Vec<String>,
}

/// What stands around a name.
struct Around<'t> {
    before: &'t str,
    after: &'t str,
    whole: bool,
    host_key: bool,
}

impl Around<'_> {
    fn in_url(&self) -> bool {
        let word = self
            .before
            .rsplit(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ','))
            .next()
            .unwrap_or_default();
        // The host follows the scheme, or the user in front of it.
        match word.rsplit_once("://") {
            Some((_, rest)) => rest.is_empty() || (rest.ends_with('@') && !rest.contains('/')),
            None => false,
        }
    }

    fn port(&self) -> Option<u64> {
        let rest = self.after.strip_prefix(':')?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let next = rest[digits..].chars().next();
        let ends = next.is_none_or(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'));
        let port = rest[..digits].parse().ok()?;
        (ends && (1..=65_535).contains(&port)).then_some(port)
    }
}

impl<'a> Text<'a> {
    pub(super) fn of(
        objects: &[Manifest],
        names: &Names,
        hosts: &'a Hosts,
        home: &'a [String],
        target: &'a Target,
    ) -> Self {
        let mut services: HashMap<String, Service> = names
            .all("Service")
            .map(|(old, new)| {
                let service = Service {
                    new: new.to_owned(),
                    ports: BTreeSet::new(),
                };
                (old.to_owned(), service)
            })
            .collect();
        for object in objects.iter().filter(|object| object.kind() == "Service") {
            if let Some(service) = services.get_mut(object.name())
                && let Some(ports) = object.value["spec"]["ports"].as_array()
            {
                service
                    .ports
                    .extend(ports.iter().filter_map(|port| port["port"].as_u64()));
            }
        }
        let moved = home.iter().filter(|home| **home != target.namespace);
        let mut needles: Vec<String> = moved.map(|home| format!(".{home}")).collect();
        needles.extend(hosts.map.keys().cloned());
        Self {
            services,
            statefulsets: names
                .all("StatefulSet")
                .map(|(old, new)| (old.to_owned(), new.to_owned()))
                .collect(),
            public: &hosts.map,
            home,
            namespace: &target.namespace,
            renamed: target.suffix.is_some(),
            needles,
        }
    }

    /// Rewrites the text of an object; `said` gets each replacement once.
    pub(super) fn apply(&self, object: &mut Manifest, said: &mut Vec<String>) {
        if self.services.is_empty() && self.public.is_empty() {
            return;
        }
        let is_secret = object.kind() == "Secret";
        let mut changes = BTreeSet::new();
        if let Value::Object(top) = &mut object.value {
            for (key, value) in top.iter_mut() {
                match key.as_str() {
                    "metadata" => {
                        if let Some(annotations) = value.get_mut("annotations") {
                            self.walk_entries(annotations, &mut changes);
                        }
                    }
                    // Encoded; told apart from plain text by nothing but the kind.
                    "data" if is_secret => self.walk_encoded(value, &mut changes),
                    "data" | "stringData" => self.walk_entries(value, &mut changes),
                    _ => self.walk(value, key, &mut changes),
                }
            }
        }
        said.extend(changes);
    }

    fn walk(&self, value: &mut Value, key: &str, changes: &mut BTreeSet<String>) {
        match value {
            Value::String(text) => {
                if let Some(new) = self.rewrite(text, key, changes) {
                    *text = new;
                }
            }
            Value::Array(list) => {
                for element in list {
                    self.walk(element, key, changes);
                }
            }
            Value::Object(map) => {
                // An environment variable's value is named by its neighbour.
                let named = map.get("name").and_then(Value::as_str).map(str::to_owned);
                for (key, value) in map.iter_mut() {
                    if SKIPPED.contains(&key.as_str()) {
                        continue;
                    }
                    match &named {
                        Some(name) if key == "value" => self.walk(value, name, changes),
                        _ => self.walk(value, key, changes),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Entries whose keys a person chose.
    fn walk_entries(&self, entries: &mut Value, changes: &mut BTreeSet<String>) {
        for (key, value) in entries.as_object_mut().into_iter().flatten() {
            if !key.starts_with("kubectl.kubernetes.io/") {
                self.walk(value, key, changes);
            }
        }
    }

    fn walk_encoded(&self, data: &mut Value, changes: &mut BTreeSet<String>) {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        for (key, value) in data.as_object_mut().into_iter().flatten() {
            let text = value
                .as_str()
                .and_then(|text| STANDARD.decode(text).ok())
                .and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some(new) = text.and_then(|text| self.rewrite(&text, key, changes)) {
                *value = Value::from(STANDARD.encode(new));
            }
        }
    }

    /// The text with every name replaced, if there is one.
    fn rewrite(&self, text: &str, key: &str, changes: &mut BTreeSet<String>) -> Option<String> {
        if !self.renamed
            && !self
                .needles
                .iter()
                .any(|needle| text.contains(needle.as_str()))
        {
            return None;
        }
        let host_key = is_host_key(key);
        let mut out = String::new();
        let mut copied = 0;
        for (start, token) in tokens(text) {
            let around = Around {
                before: &text[..start],
                after: &text[start + token.len()..],
                whole: token.len() == text.trim().len(),
                host_key,
            };
            if let Some(new) = self.resolve(token, &around) {
                out.push_str(&text[copied..start]);
                out.push_str(&new);
                copied = start + token.len();
                changes.insert(format!("{key}: {token} became {new}"));
            }
        }
        (copied > 0).then(|| out + &text[copied..])
    }

    fn resolve(&self, token: &str, around: &Around<'_>) -> Option<String> {
        if let Some(new) = self.public.get(token) {
            return Some(new.clone());
        }
        let bare = token.strip_suffix('.').unwrap_or(token);
        let rest = bare.strip_suffix(".cluster.local").unwrap_or(bare);
        let name = rest.strip_suffix(".svc");
        if name.is_none() && rest.len() != bare.len() {
            return None;
        }
        let tail = &token[name.unwrap_or(rest).len()..];
        let mut labels: Vec<&str> = name.unwrap_or(rest).split('.').collect();
        let qualified = labels.len() >= 2
            && self
                .home
                .iter()
                .any(|home| Some(home.as_str()) == labels.last().copied());
        if name.is_some() && !qualified {
            return None;
        }
        let is_name = if qualified {
            labels.pop();
            name.is_some() || around.in_url() || around.port().is_some() || around.whole
        } else {
            self.renamed
        };
        let service = self.services.get(labels.pop()?)?;
        let counts = is_name
            && (qualified
                || around.in_url()
                || around
                    .port()
                    .is_some_and(|port| service.ports.contains(&port))
                || (around.whole && around.host_key));
        let prefix = self.prefix(&labels)?;
        if !counts {
            return None;
        }
        let mut new = prefix;
        new.push_str(&service.new);
        if qualified {
            new.push('.');
            new.push_str(self.namespace);
        }
        new.push_str(tail);
        (new != token).then_some(new)
    }

    /// What may stand in front of a Service: `_port._protocol` of an SRV record, or the pod of a StatefulSet.
    fn prefix(&self, labels: &[&str]) -> Option<String> {
        match labels {
            [] => Some(String::new()),
            [pod] => {
                let (set, ordinal) = pod.rsplit_once('-')?;
                let digits = !ordinal.is_empty() && ordinal.bytes().all(|b| b.is_ascii_digit());
                if !digits {
                    return None;
                }
                let known = self.statefulsets.iter().find(|(old, _)| old == set);
                let set = known.map_or(set, |(_, new)| new);
                Some(format!("{set}-{ordinal}."))
            }
            [port, protocol] if port.starts_with('_') && protocol.starts_with('_') => {
                Some(format!("{port}.{protocol}."))
            }
            _ => None,
        }
    }
}

fn is_host_key(key: &str) -> bool {
    let last = key.rsplit(['_', '-', '.', '/']).next().unwrap_or(key);
    HOST_KEYS
        .iter()
        .any(|known| last.eq_ignore_ascii_case(known))
        || HOST_KEYS.iter().any(|known| {
            // camelCase: `reviewsHost`
            let len = key.len().saturating_sub(known.len());
            key.get(len..).is_some_and(|end| {
                end.starts_with(|c: char| c.is_ascii_uppercase()) && end.eq_ignore_ascii_case(known)
            })
        })
}

/// Runs of characters that DNS names are made of, with where they begin. A run that a word, a path or a variable
/// continues to the left is no name.
fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find(is_part)?;
            let len = text[start..]
                .find(|c| !is_part(c))
                .unwrap_or(text.len() - start);
            at = start + len;
            let before = &text[..start];
            let blocked = before.ends_with(['$', '{', '\\'])
                || (before.ends_with('/') && !before.ends_with("://"));
            if !blocked {
                return Some((start, &text[start..start + len]));
            }
        }
    })
}

#[cfg(test)]
mod tests;

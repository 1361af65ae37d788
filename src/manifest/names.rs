//! Legal names by kind, and shortening of names that a suffix made too long.

use sha2::{Digest, Sha256};

/// How long a DNS label and most label values may be.
pub const LABEL: usize = 63;
/// How long the names of most objects may be.
pub const SUBDOMAIN: usize = 253;

/// The longest name that an object of this kind may have and still work.
///
/// Beyond what the API server checks: pods of a StatefulSet carry the label `controller-revision-hash` with the name
/// and 11 more characters, jobs of a CronJob get 11 more, and the name of a Job is the value of a label.
pub fn longest(kind: &str) -> usize {
    match kind {
        "StatefulSet" | "CronJob" => 52,
        "Service" | "Namespace" | "Job" | "Gateway" => LABEL,
        _ => SUBDOMAIN,
    }
}

/// Whether the name is legal for the kind; else one sentence that says what is wrong.
pub fn check(kind: &str, name: &str) -> Result<(), String> {
    let length = name.len();
    let longest = longest(kind);
    if length > longest {
        return Err(format!(
            "the name of {kind} \"{name}\" has {length} characters, at most {longest} work"
        ));
    }
    let (legal, rule) = match kind {
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => (
            name != "." && name != ".." && !name.contains(['/', '%']),
            "it must not hold / or %",
        ),
        "Service" => (
            is_label(name) && !name.starts_with(|c: char| c.is_ascii_digit()),
            "it takes a-z, 0-9 and -, begins with a letter, and does not end with -",
        ),
        "Namespace" => (
            is_label(name),
            "it takes a-z, 0-9 and -, and neither begins nor ends with -",
        ),
        _ => (
            name.split('.').all(is_label_part),
            "it takes a-z, 0-9, - and ., and each part begins and ends with a letter or digit",
        ),
    };
    if legal {
        Ok(())
    } else {
        Err(format!("\"{name}\" is no legal name of {kind}: {rule}"))
    }
}

/// A DNS label of RFC 1123: at most 63 of `a-z`, `0-9`, `-`, the latter not at an end.
pub fn is_label(text: &str) -> bool {
    text.len() <= LABEL && is_label_part(text)
}

/// Parts of the dotted names of objects, unlike DNS labels, may be longer than 63.
fn is_label_part(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// `v1`, `apps/v1`.
pub fn is_api_version(text: &str) -> bool {
    let (group, version) = text.split_once('/').unwrap_or(("a", text));
    let group_legal = group.len() <= SUBDOMAIN && group.split('.').all(is_label_part);
    group_legal && is_label(version)
}

/// Kinds are CamelCase letters and digits.
pub fn is_kind(text: &str) -> bool {
    text.len() <= LABEL
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether a name can stand in a path of the API and be nothing but a name there (`path.ValidatePathSegmentName` of apimachinery).
pub fn is_path_part(text: &str) -> bool {
    let legal = |c: char| !c.is_control() && !['/', '%'].contains(&c);
    !["", ".", ".."].contains(&text) && text.len() <= SUBDOMAIN && text.chars().all(legal)
}

/// `name-suffix` where that fits into `longest` characters, else the beginning of it and 8 hex digits of its SHA-256.
pub fn suffixed(name: &str, suffix: &str, longest: usize) -> String {
    shortened(&format!("{name}-{suffix}"), longest)
}

/// The name where it fits, else the beginning of it and 8 hex digits of its SHA-256.
pub fn shortened(name: &str, longest: usize) -> String {
    if name.len() <= longest {
        return name.to_owned();
    }
    let digest = Sha256::digest(name.as_bytes());
    let hash: String = digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
    let mut keep = longest.saturating_sub(hash.len() + 1);
    while !name.is_char_boundary(keep) {
        keep -= 1;
    }
    let head = name[..keep].trim_end_matches(['-', '.']);
    format!("{head}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_their_kind() {
        let legal = [
            ("Service", "a1"),
            ("ConfigMap", "a.b-c"),
            ("ConfigMap", "1a"),
            ("Role", "system:Auth x"),
        ];
        for (kind, name) in legal {
            assert_eq!(check(kind, name), Ok(()), "{kind} {name}");
        }
        let long = "a".repeat(64);
        let illegal = [
            ("Service", "1a"),
            ("Service", "a.b"),
            ("Service", "a-"),
            ("ConfigMap", "A"),
            ("ConfigMap", "a..b"),
            ("ConfigMap", "a_b"),
            ("Role", "a/b"),
            ("Service", &long),
            ("StatefulSet", &long[..53]),
        ];
        for (kind, name) in illegal {
            assert!(check(kind, name).is_err(), "{kind} {name}");
        }
        assert!(is_api_version("networking.k8s.io/v1beta1") && is_api_version("v1"));
        assert!(!is_api_version("/v1") && !is_api_version("a/b/c") && !is_api_version(""));
    }

    #[test]
    fn long_names_are_shortened_the_same_way_each_time() {
        let name = "a".repeat(60);
        let short = suffixed(&name, "try", 63);
        assert_eq!(short.len(), 63);
        assert_eq!(short, suffixed(&name, "try", 63));
        assert_ne!(short, suffixed(&name, "tru", 63));
        assert_eq!(suffixed("web", "try", 63), "web-try");
        let dash = format!("{}-{}", "a".repeat(53), "b".repeat(20));
        assert!(!shortened(&dash, 63).contains("--"));
    }
}

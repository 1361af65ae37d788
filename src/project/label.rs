//! DNS labels (RFC 1123), the form of every name that people choose here.

/// The longest DNS label, in bytes.
pub const LABEL_MAX: usize = 63;

/// Checks a DNS label (RFC 1123). The error completes a sentence: "… is empty".
pub fn check_label(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.len() > LABEL_MAX {
        return Err(format!(
            "has {} characters, at most {LABEL_MAX} are allowed",
            text.len()
        ));
    }
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if let Some(bad) = text.chars().find(|c| !legal(*c) && *c != '-') {
        return Err(format!(
            "has the character {bad:?}; lower-case letters, digits and '-' are allowed"
        ));
    }
    if !text.starts_with(legal) || !text.ends_with(legal) {
        return Err("must begin and end with a letter or a digit".to_owned());
    }
    Ok(())
}

/// The longest domain of a cluster's DNS, in bytes: `SERVICE.NAMESPACE.svc.` stands before it, and names have at most 253.
pub const DOMAIN_MAX: usize = 253 - 2 * (LABEL_MAX + 1) - 4;

/// Checks a domain: DNS labels with dots between them. The error completes a sentence.
pub fn check_domain(text: &str) -> Result<(), String> {
    if text.len() > DOMAIN_MAX {
        return Err(format!(
            "has {} characters, at most {DOMAIN_MAX} are allowed",
            text.len()
        ));
    }
    text.split('.').try_for_each(|label| {
        check_label(label).map_err(|why| format!("has the part \"{label}\", which {why}"))
    })
}

/// The nearest legal DNS label to a text; `None` where nothing of it can be used.
pub fn label_from(text: &str) -> Option<String> {
    let mut label = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            label.push(c);
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
        if label.len() == LABEL_MAX {
            break;
        }
    }
    label.truncate(label.trim_end_matches('-').len());
    (!label.is_empty()).then_some(label)
}

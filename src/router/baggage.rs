//! Which environment a request asks for: the header rules, as `members.lua`, `normalise.lua` and `edge.lua` apply them in Envoy.
//!
//! 1. The member `dev-env` of `baggage` (W3C), else the header `x-dev-env`.
//! 2. Several lines of a header are one list, as if joined with commas (RFC 9110, 5.3).
//! 3. Of several `dev-env` the last counts, as in OpenTelemetry, which keeps the last of two equal keys: a request means
//!    the same before and after a service that passes its baggage on.
//! 4. Keys are compared exactly. Properties (after `;`) are ignored. White space around keys, values and members is too.
//! 5. The value in `baggage` is percent-decoded, that of `x-dev-env` is taken as it is.
//! 6. A value that is no DNS label, or whose percent-encoding is broken, names no environment that can exist: the request
//!    counts as one for an unknown environment, which the base answers. `x-dev-env` is not asked then.
//!
//! For a request with an environment Envoy sets `x-dev-env` to the one value ([`UNKNOWN`] by rule 6) and looks only at that
//! from there on. Any other request is left as it is.

use crate::manifest::names::{LABEL, is_label};
use crate::router::model::Env;

/// The member of `baggage` with the environment's name.
pub const KEY: &str = "dev-env";
/// The plain header with the environment's name.
pub const HEADER: &str = "x-dev-env";
/// The value of [`HEADER`] for a request whose environment cannot exist.
pub const UNKNOWN: &str = "-";

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An environment of this name, whether there is one or not.
    Env(Env),
    /// Something that is no name of an environment.
    Unknown,
}

impl Asked {
    /// The value of [`HEADER`] after normalisation.
    pub fn header(&self) -> &str {
        match self {
            Self::Env(env) => env,
            Self::Unknown => UNKNOWN,
        }
    }
}

/// What a request with these lines of `baggage` and of `x-dev-env` asks for; `None`: no environment is mentioned.
pub fn asked(baggage: &[&[u8]], plain: &[&[u8]]) -> Option<Asked> {
    let members = baggage.iter().flat_map(|line| line.split(|b| *b == b','));
    if let Some(value) = members.filter_map(environment).next_back() {
        return Some(judged(decoded(value)));
    }
    let values = plain.iter().flat_map(|line| line.split(|b| *b == b','));
    let value = values.map(trimmed).rfind(|value| !value.is_empty())?;
    Some(judged(Some(value.to_vec())))
}

/// The lines of `baggage` as one, without the members that name an environment; `None` when nothing is left.
pub fn without_environment(baggage: &[&[u8]]) -> Option<Vec<u8>> {
    let members = baggage.iter().flat_map(|line| line.split(|b| *b == b','));
    let kept: Vec<&[u8]> = members
        .filter(|member| environment(member).is_none() && !trimmed(member).is_empty())
        .collect();
    (!kept.is_empty()).then(|| kept.join(&b','))
}

/// The value of a list member, still encoded, if its key is ours.
fn environment(member: &[u8]) -> Option<&[u8]> {
    let member = member.split(|b| *b == b';').next()?;
    let equals = member.iter().position(|b| *b == b'=')?;
    let (key, value) = (member.get(..equals)?, member.get(equals + 1..)?);
    (trimmed(key) == KEY.as_bytes()).then(|| trimmed(value))
}

/// Without spaces and tabs at both ends.
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Percent-decoded; `None` if that is impossible, or too long for a name in any case.
fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() > 3 * LABEL {
        return None;
    }
    let hex = |byte: u8| char::from(byte).to_digit(16);
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            text.push(*first);
            rest = tail;
            continue;
        }
        let [high, low, tail @ ..] = tail else {
            return None;
        };
        text.push(u8::try_from(hex(*high)? * 16 + hex(*low)?).ok()?);
        rest = tail;
    }
    Some(text)
}

fn judged(value: Option<Vec<u8>>) -> Asked {
    value
        .and_then(|value| String::from_utf8(value).ok())
        .filter(|value| is_label(value))
        .map_or(Asked::Unknown, Asked::Env)
}

#[cfg(test)]
mod tests;

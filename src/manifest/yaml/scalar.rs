//! What a plain scalar means to kubectl: YAML 1.1 as `sigs.k8s.io/yaml` (go-yaml v2, `resolve.go`) reads it.

use serde_json::{Number, Value};

/// The type that a tag asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    Int,
    Float,
    Bool,
    Null,
}

/// The value of a scalar that is plain (not quoted) or carries a tag.
///
/// # Errors
/// Says why kubectl would refuse it: not a finite number, or not what its tag says.
pub(super) fn resolve(text: &str, wanted: Wanted) -> Result<Value, String> {
    let value = untagged(text)?;
    let fits = match wanted {
        Wanted::Any => true,
        Wanted::Int => value.is_i64() || value.is_u64(),
        Wanted::Float => value.is_number(),
        Wanted::Bool => value.is_boolean(),
        Wanted::Null => value.is_null(),
    };
    if fits {
        Ok(value)
    } else {
        // The value itself may be secret.
        Err("the value is not what its tag says".to_owned())
    }
}

fn untagged(text: &str) -> Result<Value, String> {
    let first = text.as_bytes().first().copied();
    match (first, text) {
        (_, "" | "~" | "null" | "Null" | "NULL") => Ok(Value::Null),
        (_, "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON") => {
            Ok(Value::Bool(true))
        }
        (
            _,
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF",
        ) => Ok(Value::Bool(false)),
        (_, ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF") => Err(not_finite(text)),
        (_, "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF") => Err(not_finite(text)),
        (Some(b'0'..=b'9' | b'+' | b'-'), _) => Ok(number(text)),
        (Some(b'.'), _) => Ok(float(text).unwrap_or_else(|| Value::from(text))),
        _ => Ok(Value::from(text)),
    }
}

fn not_finite(text: &str) -> String {
    format!("{text} is no number that JSON can hold; quote it to mean the text")
}

fn number(text: &str) -> Value {
    let stripped;
    let plain = if text.contains('_') {
        stripped = text.replace('_', "");
        stripped.as_str()
    } else {
        text
    };
    integer(plain)
        .or_else(|| float(plain))
        .unwrap_or_else(|| Value::from(text))
}

fn integer(plain: &str) -> Option<Value> {
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // `from_str_radix` would take another sign.
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        let signed = 0i64.checked_sub_unsigned(magnitude)?;
        Some(Value::from(signed))
    } else if plain.starts_with('+') && i64::try_from(magnitude).is_err() {
        None // Go parses unsigned numbers without a sign.
    } else {
        Some(Value::from(magnitude))
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`, finite; a whole number becomes an integer, as in JSON
/// written by Go.
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let shape = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_shape = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    if !shape || !exponent_shape {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    // Exactly representable: below 2^53.
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}

/// The text of a mapping key. `None` for null, which kubectl refuses.
pub(super) fn key(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(yes) => Some(yes.to_string()),
        // go-yaml prints such keys with the digits of a 32-bit float.
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map(|number| (number as f32).to_string())
        }
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Pairs printed by `sigs.k8s.io/yaml` v1.6.0 (`YAMLToJSON`).
    #[test]
    fn plain_scalars_mean_what_kubectl_reads() {
        let pairs = [
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("yEs", json!("yEs")),
            ("0644", json!(420)),
            ("-0644", json!(-420)),
            ("08", json!(8)),
            ("0o17", json!(15)),
            ("0x10", json!(16)),
            ("-0x1F", json!(-31)),
            ("0b11", json!(3)),
            ("1_000", json!(1000)),
            ("1e3", json!(1000)),
            ("0.1e1", json!(1)),
            ("1.", json!(1)),
            (".5", json!(0.5)),
            ("+1", json!(1)),
            ("-0", json!(0)),
            ("1:30", json!("1:30")),
            ("12e", json!("12e")),
            ("2001-01-01", json!("2001-01-01")),
            ("1.5e400", json!("1.5e400")),
            (
                "18446744073709551615",
                json!(18_446_744_073_709_551_615_u64),
            ),
            ("99999999999999999999999", json!(1e23)),
            ("~", json!(null)),
            ("=", json!("=")),
            ("--1", json!("--1")),
            ("0x", json!("0x")),
            ("1.2.3", json!("1.2.3")),
        ];
        for (text, value) in pairs {
            assert_eq!(resolve(text, Wanted::Any), Ok(value), "{text}");
        }
        assert!(resolve(".inf", Wanted::Any).is_err());
        assert!(resolve("3.5", Wanted::Int).is_err());
    }
}

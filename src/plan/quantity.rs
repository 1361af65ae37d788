//! Kubernetes quantities: `0.5` is `500m`, `1024Mi` is `1Gi`.
//! Grammar: `k8s.io/apimachinery/pkg/api/resource`, type Quantity.

use serde_json::Value;

/// Whether two values are the same quantity; `None` where one of them is none.
pub(super) fn same(a: &Value, b: &Value) -> Option<bool> {
    Some(parse(a)? == parse(b)?)
}

/// The quantity in billionths, rounded up as the server does. `None` for what is none or does not fit.
fn parse(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => parse_text(text.trim()),
        Value::Number(number) => parse_text(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn parse_text(text: &str) -> Option<i128> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '+' | '-' | '.')))
        .unwrap_or(text.len());
    let (mantissa, suffix) = text.split_at(end);
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut number: i128 = 0;
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = i128::from(digit.to_digit(10)?);
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    // number × 10^-scale × multiplier, in billionths
    let (binary, decimal) = multiplier(suffix)?;
    let exponent = decimal + 9 - i32::try_from(fraction.len()).ok()?;
    let number = number.checked_mul(1_i128.checked_shl(binary)?)?;
    let magnitude = if exponent >= 0 {
        number.checked_mul(10_i128.checked_pow(exponent.unsigned_abs())?)?
    } else {
        let divisor = 10_i128.checked_pow(exponent.unsigned_abs())?;
        number / divisor + i128::from(number % divisor != 0)
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// `(n, m)` for a suffix that multiplies by 2^n × 10^m.
fn multiplier(suffix: &str) -> Option<(u32, i32)> {
    let known = match suffix {
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "" => (0, 0),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        exponent => {
            let power = exponent.strip_prefix(['e', 'E'])?;
            (
                0,
                power
                    .parse()
                    .ok()
                    .filter(|power| (-18..=18).contains(power))?,
            )
        }
    };
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_amount_in_other_words_is_the_same() {
        for (a, b) in [
            (json!(0.5), json!("500m")),
            (json!(1), json!("1")),
            (json!("1024Mi"), json!("1Gi")),
            (json!("0.1"), json!("100m")),
            (json!("1e3"), json!("1k")),
            (json!("1.5Gi"), json!("1536Mi")),
            (json!("0.0000000001"), json!("1n")),
            (json!("-1"), json!("-1000m")),
            (json!("+1"), json!(1)),
        ] {
            assert_eq!(same(&a, &b), Some(true), "{a} {b}");
        }
    }

    #[test]
    fn another_amount_is_not() {
        for (a, b) in [
            (json!("1G"), json!("1Gi")),
            (json!("100m"), json!("100")),
            (json!("1M"), json!("1m")),
        ] {
            assert_eq!(same(&a, &b), Some(false), "{a} {b}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_not_compared_as_one() {
        for text in [
            "",
            ".",
            "-",
            "1 Gi",
            "abc",
            "1Gib",
            "1.2.3",
            "1e",
            "e3",
            "99999999999999999999999999999999999999E",
        ] {
            assert_eq!(parse(&json!(text)), None, "{text}");
        }
    }
    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|[0-9.+-]{0,60}[a-zA-Z]{0,3}[0-9-]{0,12}") {
            let value = json!(text);
            // Whatever it is, it is the same as itself.
            proptest::prop_assert_ne!(same(&value, &value), Some(false));
        }
    }
}

//! Amounts: `250m`, `1.5Gi`, `12e6`.

use serde_json::Value;

/// An amount in billionths; none if this is no amount, or one too great to be true. What is finer is rounded up, away
/// from zero, as Kubernetes does it.
pub fn parse(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => parse_text(text),
        Value::Number(number) => parse_text(&number.to_string()),
        _ => None,
    }
}

/// An amount as Kubernetes writes it: the largest suffix that leaves a whole number. Binary amounts stay binary, and
/// what has an exponent stays as it is.
pub fn canonical(value: &Value) -> Option<String> {
    const BINARY: [(&str, u32); 7] = [("Ei", 6), ("Pi", 5), ("Ti", 4), ("Gi", 3), ("Mi", 2), ("Ki", 1), ("", 0)];
    const DECIMAL: [(&str, u32); 9] =
        [("P", 24), ("T", 21), ("G", 18), ("M", 15), ("k", 12), ("", 9), ("m", 6), ("u", 3), ("n", 0)];
    let amount = parse(value)?;
    let text = value.as_str().unwrap_or_default();
    if amount == 0 {
        return Some("0".to_owned());
    }
    if text.contains(['e', 'E']) {
        return None;
    }
    let whole = 10_i128.pow(9);
    if text.ends_with('i') {
        let (suffix, power) = BINARY.into_iter().find(|(_, power)| amount % (whole << (10 * power)) == 0)?;
        return Some(format!("{}{suffix}", amount / (whole << (10 * power))));
    }
    let (suffix, power) = DECIMAL.into_iter().find(|(_, power)| amount % 10_i128.pow(*power) == 0)?;
    Some(format!("{}{suffix}", amount / 10_i128.pow(power)))
}

fn parse_text(text: &str) -> Option<i128> {
    // Longer ones are not written by anybody, and need not be looked at.
    if text.len() > 64 {
        return None;
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(digits.len());
    let (number, suffix) = digits.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mantissa: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let (factor, exponent) = scale(suffix)?;
    let amount = mantissa.checked_mul(factor)?;
    let exponent = exponent.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs());
    let amount = match power {
        Some(power) if exponent >= 0 => amount.checked_mul(power)?,
        Some(power) => amount / power + i128::from(amount % power != 0),
        None if amount == 0 => 0,
        None if exponent < 0 => 1,
        None => return None,
    };
    Some(if negative { -amount } else { amount })
}

/// A suffix as a factor and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let power_of_two = |power: u32| Some((1_i128 << (10 * power), 0));
    match suffix {
        "n" => Some((1, -9)),
        "u" => Some((1, -6)),
        "m" => Some((1, -3)),
        "" => Some((1, 0)),
        "k" => Some((1, 3)),
        "M" => Some((1, 6)),
        "G" => Some((1, 9)),
        "T" => Some((1, 12)),
        "P" => Some((1, 15)),
        "E" => Some((1, 18)),
        "Ki" => power_of_two(1),
        "Mi" => power_of_two(2),
        "Gi" => power_of_two(3),
        "Ti" => power_of_two(4),
        "Pi" => power_of_two(5),
        "Ei" => power_of_two(6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            exponent.parse().ok().filter(|_| plain).map(|exponent| (1, exponent))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_equal_however_they_are_written() {
        for (one, other) in [
            (json!("1"), json!(1)),
            (json!("1000m"), json!("1")),
            (json!("0.5"), json!("500m")),
            (json!(".5"), json!("0.50")),
            (json!("1Gi"), json!("1024Mi")),
            (json!("1e3"), json!("1k")),
            (json!("12E6"), json!("12M")),
            (json!("1E"), json!("1000P")),
            (json!("0.1n"), json!("1n")),
            (json!("-1"), json!("-1000m")),
            (json!("+5"), json!("5.")),
        ] {
            assert_eq!(parse(&one), parse(&other), "{one} and {other}");
            assert!(parse(&one).is_some(), "{one} is an amount");
        }
        assert_ne!(parse(&json!("1Gi")), parse(&json!("1G")));
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for text in [
            "",
            "-",
            ".",
            "1.2.3",
            "1gi",
            "Gi",
            "1 Gi",
            "0x1",
            "1e",
            "1e+-3",
            "1e99999999999",
            "one",
            "1e4000",
            "9".repeat(70).as_str(),
        ] {
            assert_eq!(parse(&json!(text)), None, "{text}");
        }
        assert_eq!(parse(&json!(true)), None);
        assert_eq!(parse(&json!("0e4000")), Some(0));
    }
}

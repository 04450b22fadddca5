//! Quantities: `500m`, `2`, `1Gi`, `1e3`.

/// A quantity in thousandths, rounded up. `None` for what is none, and for what is too large to count.
pub(crate) fn milli(text: &str) -> Option<i128> {
    let end =
        text.find(|letter: char| !letter.is_ascii_digit() && !matches!(letter, '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (mantissa, scale) = decimal(number)?;
    let (numerator, denominator) = factor(suffix)?;
    // Thousandths: mantissa * 10^-scale * factor * 1000.
    let numerator = mantissa.checked_mul(numerator)?.checked_mul(1000)?;
    let denominator = 10_i128.checked_pow(scale)?.checked_mul(denominator)?;
    let rounded = numerator.checked_add(denominator - 1)?.div_euclid(denominator);
    Some(rounded)
}

/// A number of thousandths as a quantity.
pub(crate) fn print(milli: i128) -> String {
    if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
}

fn decimal(text: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let unsigned = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() > 30
        || !unsigned(fraction)
        || (whole.trim_start_matches(['+', '-']).is_empty() && fraction.is_empty())
    {
        return None;
    }
    let scale = u32::try_from(fraction.len()).ok()?;
    Some((format!("{whole}{fraction}").parse().ok()?, scale))
}

fn factor(suffix: &str) -> Option<(i128, i128)> {
    let binary = |power: u32| Some((1024_i128.pow(power), 1));
    let decimal = |power: u32| Some((10_i128.pow(power), 1));
    match suffix {
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            let power: i32 = digits.parse().ok()?;
            let size = 10_i128.checked_pow(power.unsigned_abs().min(40))?;
            if power < 0 { Some((1, size)) } else { Some((size, 1)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_are_counted_in_thousandths() {
        let cases = [
            ("500m", Some(500)),
            ("2", Some(2000)),
            ("0.1", Some(100)),
            ("1.5", Some(1500)),
            (".5", Some(500)),
            ("1Ki", Some(1_024_000)),
            ("1Gi", Some(1_073_741_824_000)),
            ("1e3", Some(1_000_000)),
            ("1E", Some(1_000_000_000_000_000_000_000)),
            ("100n", Some(1)),
            ("-1", Some(-1000)),
            ("", None),
            ("Gi", None),
            ("1Xi", None),
            ("1.2.3", None),
        ];
        for (text, expected) in cases {
            assert_eq!(milli(text), expected, "{text}");
        }
        assert_eq!((print(1500), print(2000)), ("1500m".to_owned(), "2".to_owned()));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9.+-]{0,40}[a-zA-Z0-9-]{0,8}|(?s).{0,20}") {
            let _ = milli(&text);
        }
    }
}

//! Percent-encoding, as signatures of AWS want it and every other server takes it.

/// Everything but the unreserved characters of RFC 3986 is encoded, and `/` unless it is to be kept.
pub(super) fn encoded(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            b'/' if keep_slash => encoded.push('/'),
            byte => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                encoded.push('%');
                encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
                encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    encoded
}

/// `None` for a broken escape, or bytes that are no UTF-8.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A query in the canonical order and encoding. Forms write a space as `+`.
pub(super) fn canonical_query(query: &str) -> String {
    let reencoded = |text: &str| {
        let text = text.replace('+', "%20");
        encoded(&decoded(&text).unwrap_or(text), false)
    };
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (reencoded(name), reencoded(value)))
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in "(?s).{0,40}") {
            prop_assert_eq!(decoded(&encoded(&text, false)), Some(text.clone()));
            prop_assert_eq!(decoded(&encoded(&text, true)), Some(text));
        }
    }

    #[test]
    fn a_query_is_sorted_and_encoded_in_one_way() {
        assert_eq!(canonical_query("b=2&a=x+y/z&c"), "a=x%20y%2Fz&b=2&c=");
    }
}

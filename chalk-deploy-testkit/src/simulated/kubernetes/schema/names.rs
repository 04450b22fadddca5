//! The syntax of names and labels.

/// A DNS label of RFC 1123: `engine-2`.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// A DNS label of RFC 1035, which begins with a letter.
pub(super) fn is_service_label(text: &str) -> bool {
    is_label(text) && text.starts_with(|first: char| first.is_ascii_lowercase())
}

/// A DNS subdomain of RFC 1123: labels with dots between them. The length is that of the whole.
pub(super) fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// What may stand in a path: the names of roles.
pub(super) fn is_path_segment(text: &str) -> bool {
    !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '%'])
}

/// The name in a key, or a label's value that is not empty.
fn is_qualified_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63 && bytes.iter().copied().all(inner) && end(bytes.first()) && end(bytes.last())
}

/// The key of a label or an annotation: `app` or `chalk.ai/app`.
pub(super) fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        None => is_qualified_part(text),
        Some((prefix, name)) => is_subdomain(prefix) && is_qualified_part(name),
    }
}

/// The value of a label.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified_part(text)
}

/// A key of a config map or a secret.
pub(super) fn is_data_key(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(inner) && text != "." && !text.starts_with("..")
}

/// The name of a port of a container.
pub(super) fn is_port_name(text: &str) -> bool {
    is_label(text)
        && text.len() <= 15
        && text.contains(|letter: char| letter.is_ascii_lowercase())
        && !text.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_what_is_none() {
        for (text, label, subdomain, qualified) in [
            ("engine-2", true, true, true),
            ("2engine", true, true, true),
            ("a.b", false, true, true),
            ("", false, false, false),
            ("-a", false, false, false),
            ("a-", false, false, false),
            ("a..b", false, false, true),
            ("Engine", false, false, true),
            ("a_b", false, false, true),
            ("chalk.ai/app", false, false, true),
            ("chalk.ai/", false, false, false),
            ("/app", false, false, false),
            ("a/b/c", false, false, false),
            ("ä", false, false, false),
        ] {
            assert_eq!(
                (is_label(text), is_subdomain(text), is_qualified(text)),
                (label, subdomain, qualified),
                "{text}"
            );
        }
        assert!(is_label(&"a".repeat(63)) && !is_label(&"a".repeat(64)));
        assert!(is_label_value("") && !is_service_label("2engine"));
        assert!(is_data_key("a.yaml") && !is_data_key("..data") && !is_data_key("a/b"));
        assert!(is_port_name("http-2") && !is_port_name("80") && !is_port_name("a--b"));
    }
}

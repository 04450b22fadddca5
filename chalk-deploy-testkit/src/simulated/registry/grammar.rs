//! The grammar of repository names and tags (distribution specification 1.1, "Pulling manifests").

/// The specification advises clients that a name and the host before it stay within this.
const LONGEST_NAME: usize = 255;

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, and more of it after slashes.
pub(super) fn is_repository(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && name.split('/').all(is_component)
}

fn is_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| alphanumeric(*first) && alphanumeric(*last))
        && component
            .split(|symbol: char| symbol.is_ascii_lowercase() || symbol.is_ascii_digit())
            .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'))
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(super) fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_specification_allows_are_allowed_and_no_others() {
        for name in ["a", "library/ubuntu", "a.b/c_d/e__f/g---h", "0/1", "v2/tags/list", &"a".repeat(255)] {
            assert!(is_repository(name), "{name}");
        }
        let long = "a".repeat(256);
        for name in ["", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "_a", "a-", "a/../b", "a b", "é", "a._b", &long]
        {
            assert!(!is_repository(name), "{name}");
        }
    }

    #[test]
    fn tags_that_the_specification_allows_are_allowed_and_no_others() {
        for tag in ["latest", "v1.2.3", "_x", "A-B", &"t".repeat(128)] {
            assert!(is_tag(tag), "{tag}");
        }
        for tag in ["", ".x", "-x", "a/b", "a:b", "a b", "é", &"t".repeat(129)] {
            assert!(!is_tag(tag), "{tag}");
        }
    }
}

//! The text of a Python file: UTF-8, unless its first two lines declare another encoding (PEP 263, PEP 3120).

use std::borrow::Cow;

/// What the bytes of a file are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded<'bytes> {
    /// Its text, without a byte order mark.
    Text(Cow<'bytes, str>),
    /// It declares an encoding that only Python knows.
    Foreign(String),
    /// It is not UTF-8 and declares nothing else. How many of its bytes are.
    Undecodable(usize),
}

pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let (bytes, has_mark) = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (rest, true),
        None => (bytes, false),
    };
    let declared = if has_mark { None } else { declared(bytes) };
    match declared.as_deref() {
        None | Some("utf-8" | "utf8" | "ascii" | "us-ascii") => match str::from_utf8(bytes) {
            Ok(text) => Decoded::Text(Cow::Borrowed(text)),
            Err(error) => Decoded::Undecodable(error.valid_up_to()),
        },
        // Each byte is the character of that number.
        Some("latin-1" | "latin1" | "iso-8859-1" | "iso-latin-1") => {
            Decoded::Text(bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into())
        }
        Some(other) => Decoded::Foreign(other.to_owned()),
    }
}

/// The encoding that a comment in one of the first two lines names, normalised as Python's tokenizer does.
fn declared(bytes: &[u8]) -> Option<String> {
    let mut lines = bytes.split(|byte| *byte == b'\n').take(2);
    let first = lines.next()?;
    if let Some(name) = declared_in(first) {
        return Some(name);
    }
    // The second line counts only below a comment or an empty line.
    let first = first.trim_ascii();
    if first.is_empty() || first.starts_with(b"#") { declared_in(lines.next()?) } else { None }
}

fn declared_in(line: &[u8]) -> Option<String> {
    let comment = line.trim_ascii_start().strip_prefix(b"#")?;
    let after = |at: usize| comment.get(at + b"coding".len()..);
    let starts = (0..comment.len()).filter(|at| comment[*at..].starts_with(b"coding"));
    starts.filter_map(after).find_map(|rest| {
        let rest = rest.strip_prefix(b":").or_else(|| rest.strip_prefix(b"="))?.trim_ascii_start();
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte)).count();
        let name = str::from_utf8(&rest[..length]).ok().filter(|name| !name.is_empty() && name.len() <= 40)?;
        Some(name.to_ascii_lowercase().replace('_', "-"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_stands_in_a_comment_of_the_first_two_lines() {
        let foreign = |name: &str| Decoded::Foreign(name.to_owned());
        assert_eq!(decode(b"# -*- coding: koi8_r -*-\n\xc1"), foreign("koi8-r"));
        assert_eq!(decode(b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n"), foreign("cp1252"));
        assert_eq!(decode(b"x = 1\n# coding: cp1252\n"), Decoded::Text("x = 1\n# coding: cp1252\n".into()));
        assert_eq!(decode(b"# coding: latin-1\n'\xe9'"), Decoded::Text("# coding: latin-1\n'é'".into()));
    }

    #[test]
    fn what_is_not_utf8_and_says_nothing_is_undecodable() {
        assert_eq!(decode(b"x = '\xe9'"), Decoded::Undecodable(5));
        assert_eq!(decode(b"\xef\xbb\xbfx"), Decoded::Text("x".into()));
        assert_eq!(decode(b"# coding: utf8\nx"), Decoded::Text("# coding: utf8\nx".into()));
    }
}

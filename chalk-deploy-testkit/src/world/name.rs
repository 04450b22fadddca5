//! Names of documents as names of files.
//!
//! Small letters, digits, `-`, `_` and `.` stand for themselves, `/` becomes `,`, and every other byte `%` with two hex
//! digits. A long name is cut into folders whose names end in `+`. What is being received ends in `~`. None of the
//! three signs comes out of a name, and no part is `.` or `..`.

/// File systems allow 255 bytes for a name; what is left is for the signs at its end.
const LONGEST_PART: usize = 200;

/// The relative path for a document.
pub(super) fn path(document: &str) -> String {
    let mut path = String::with_capacity(document.len() + 8);
    let mut part = 0;
    for byte in document.bytes() {
        if part + 3 > LONGEST_PART {
            path.push_str("+/");
            part = 0;
        }
        let before = path.len();
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => path.push(char::from(byte)),
            b'.' if part > 0 => path.push('.'),
            b'/' => path.push(','),
            byte => {
                path.push('%');
                path.push(hex_digit(byte >> 4));
                path.push(hex_digit(byte & 15));
            }
        }
        part += path.len() - before;
    }
    path
}

/// The document that a relative path stands for; `None` for a file that is no document.
pub(super) fn document(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = after;
            }
            b',' => bytes.push(b'/'),
            b'+' => rest = rest.strip_prefix(b"/")?,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => bytes.push(first),
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

/// The path beside a document's own at which it is received. It depends on the document alone, so that what a killed
/// write has left is used up by the write that follows.
pub(super) fn receiving(path: &str) -> String {
    format!("{path}~")
}

fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_name_comes_back_from_its_path(name in "(?s).{1,400}") {
            prop_assert_eq!(document(&path(&name)), Some(name));
        }

        #[test]
        fn no_path_leaves_its_folder_or_is_too_long_for_a_file_system(name in "(?s)[./A-Z~+%,\u{0}-\u{10ffff}]{1,300}") {
            for part in path(&name).split('/') {
                prop_assert!(!part.is_empty() && part != "." && part != ".." && part.len() <= 254, "{part}");
            }
        }

        #[test]
        fn no_document_has_the_path_at_which_another_is_received(one in "(?s).{1,40}", other in "(?s).{1,40}") {
            prop_assert_ne!(path(&one), receiving(&path(&other)));
        }
    }

    #[test]
    fn a_readable_name_stays_readable() {
        assert_eq!(path("archives/0f3a"), "archives,0f3a");
    }

    #[test]
    fn a_file_that_is_no_document_has_no_name() {
        for path in ["archives~", "%zz", "a+b", "A", "a%4"] {
            assert_eq!(document(path), None, "{path}");
        }
    }
}

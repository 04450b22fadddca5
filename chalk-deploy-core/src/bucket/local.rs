//! Keys as names of files.
//!
//! In a bucket `a` and `a/b` may both be objects, keys are told apart by case, and a segment may be longer than a file
//! system allows. So a file ends in `.object`, which no folder does; small letters, digits, `-`, `_` and `.` stand for
//! themselves and every other byte is `%` with two hex digits; and a long segment is cut into folders whose names end
//! in `+`.

use crate::model::ObjectKey;

/// File systems allow 255 bytes for a name; the rest is for its end, and for what object_store writes beside it.
const LONGEST_NAME: usize = 180;

const FILE: &str = ".object";

/// The relative path of the file that holds an object.
pub(super) fn file_of(key: &ObjectKey) -> String {
    match key.as_str().rsplit_once('/') {
        Some((folders, name)) => format!("{}/{}{FILE}", folder_of(folders), name_of(name)),
        None => format!("{}{FILE}", name_of(key.as_str())),
    }
}

/// The relative path of the folder for the segments of a prefix.
pub(super) fn folder_of(segments: &str) -> String {
    let folder = |segment: &str| {
        let name = name_of(segment);
        match name.strip_suffix(FILE) {
            Some(begin) => format!("{begin}%2eobject"),
            None => name,
        }
    };
    segments.split('/').map(folder).collect::<Vec<_>>().join("/")
}

/// The key of the object in a file, or `None` for a file that holds none.
pub(super) fn key_of(file: &str) -> Option<ObjectKey> {
    let names = file.strip_suffix(FILE)?;
    let mut bytes = Vec::with_capacity(names.len());
    let mut rest = names.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = after;
            }
            b'+' => rest = rest.strip_prefix(b"/")?,
            first => bytes.push(first),
        }
    }
    let key = ObjectKey::new(String::from_utf8(bytes).ok()?).ok()?;
    // A file that someone else has put there may be read as a key whose own file is another one.
    (file_of(&key) == file).then_some(key)
}

fn name_of(segment: &str) -> String {
    let mut name = String::with_capacity(segment.len() + 8);
    let mut length = 0;
    for byte in segment.bytes() {
        if length + 3 > LONGEST_NAME {
            name.push_str("+/");
            length = 0;
        }
        let before = name.len();
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            // Not at the beginning, where it hides the file.
            b'.' if length > 0 => name.push('.'),
            byte => {
                name.push('%');
                name.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
                name.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
            }
        }
        length += name.len() - before;
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = ObjectKey> {
        let segment = prop_oneof!["[a-z.]{1,9}", "[a-zA-Z%+.#@ ä]{1,12}", "[a-z]{0,8}\\.object", "(ab){100,130}"];
        proptest::collection::vec(segment, 1..4)
            .prop_filter_map("a valid key", |segments| ObjectKey::new(segments.join("/")).ok())
    }

    proptest! {
        #[test]
        fn every_key_comes_back_from_its_file(key in key()) {
            prop_assert_eq!(key_of(&file_of(&key)), Some(key));
        }

        #[test]
        fn no_object_is_a_folder_of_another(one in key(), other in key()) {
            let within = format!("{}/", file_of(&one));
            prop_assert!(!file_of(&other).starts_with(&within));
        }

        #[test]
        fn an_object_lies_under_the_folder_of_every_prefix(key in key(), name in "[a-z]{1,9}") {
            let below = ObjectKey::new(format!("{key}/{name}"));
            prop_assume!(below.is_ok());
            let folder = format!("{}/", folder_of(key.as_str()));
            prop_assert!(file_of(&below.expect("assumed")).starts_with(&folder));
        }

        #[test]
        fn every_name_fits_a_file_system(key in key()) {
            for name in file_of(&key).split('/') {
                prop_assert!(!name.is_empty() && name != "." && name != ".." && name.len() < 200, "{name}");
            }
        }
    }

    #[test]
    fn an_ordinary_key_stays_readable() {
        let key = ObjectKey::new("archives/0f3a").expect("a valid key");
        assert_eq!(file_of(&key), "archives/0f3a.object");
    }

    #[test]
    fn a_file_that_someone_else_has_put_there_is_no_object() {
        for file in ["notes.txt", "A.object", "a%61.object", "x%zz.object", "a+b.object", ".object"] {
            assert_eq!(key_of(file), None, "{file}");
        }
    }
}

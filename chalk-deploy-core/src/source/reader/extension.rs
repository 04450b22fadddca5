//! What stands before an entry and describes it: PAX records (POSIX.1-2001) and GNU tar's long names.

use std::collections::BTreeMap;

use super::input::corrupt;
use crate::Result;

/// The longest extension; longer ones hold nothing that we would read.
pub(super) const LONGEST: u64 = 64 << 10;

/// What the extensions say about the next entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) seen_pax: bool,
}

impl Extensions {
    /// Takes in the PAX records of one entry.
    pub(super) fn pax(&mut self, content: &[u8]) -> Result<()> {
        if std::mem::replace(&mut self.seen_pax, true) {
            return Err(corrupt("two PAX headers describe one entry"));
        }
        for (key, value) in records(content)? {
            match key {
                b"path" => set(&mut self.path, value)?,
                b"linkpath" => set(&mut self.link, value)?,
                b"size" => self.size = Some(decimal(value)?),
                b"hdrcharset" if value != b"ISO-IR 10646 2000 UTF-8" => {
                    return Err(corrupt("the names of the archive are not UTF-8"));
                }
                key if key.starts_with(b"GNU.sparse") => return Err(corrupt("the archive holds sparse files")),
                // Times, owners and comments change nothing that we keep.
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes in GNU tar's `L` entry.
    pub(super) fn long_name(&mut self, content: Vec<u8>) -> Result<()> {
        set(&mut self.path, &terminated(content)?)
    }

    /// Takes in GNU tar's `K` entry.
    pub(super) fn long_link(&mut self, content: Vec<u8>) -> Result<()> {
        set(&mut self.link, &terminated(content)?)
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Checks the PAX records that describe all entries: only a comment, such as `git archive` writes, has no effect.
pub(super) fn check_global(content: &[u8]) -> Result<()> {
    if records(content)?.keys().all(|key| *key == b"comment") {
        return Ok(());
    }
    Err(corrupt("a global PAX header changes the entries that follow"))
}

fn set(field: &mut Option<Vec<u8>>, value: &[u8]) -> Result<()> {
    if field.is_some() {
        return Err(corrupt("one entry is given two names"));
    }
    *field = Some(value.to_vec());
    Ok(())
}

fn terminated(mut content: Vec<u8>) -> Result<Vec<u8>> {
    if content.pop() != Some(0) || content.is_empty() || content.contains(&0) {
        return Err(corrupt("a long name of GNU tar does not end where it should"));
    }
    Ok(content)
}

/// `length key=value\n`, again and again.
fn records(mut content: &[u8]) -> Result<BTreeMap<&[u8], &[u8]>> {
    let malformed = || corrupt("a PAX record is malformed");
    let mut records = BTreeMap::new();
    while !content.is_empty() {
        let space = content.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let length = usize::try_from(decimal(&content[..space])?).map_err(|_| malformed())?;
        if length <= space + 1 || length > content.len() {
            return Err(malformed());
        }
        let (record, rest) = content.split_at(length);
        let record = record[space + 1..].strip_suffix(b"\n").ok_or_else(malformed)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key.is_empty() || value.contains(&0) || records.insert(key, value).is_some() {
            return Err(malformed());
        }
        content = rest;
    }
    Ok(records)
}

fn decimal(digits: &[u8]) -> Result<u64> {
    let malformed = || corrupt("a number in a PAX record does not parse");
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed());
    }
    std::str::from_utf8(digits).map_err(|_| malformed())?.parse().map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_one_entry_are_read() {
        let mut extensions = Extensions::default();
        extensions.pax(b"10 path=a\n12 size=345\n20 mtime=1234567.89\n").expect("valid");
        assert_eq!(extensions.path.as_deref(), Some(b"a".as_slice()));
        assert_eq!(extensions.size, Some(345));
        assert!(extensions.pax(b"").is_err(), "a second header");
        assert!(extensions.long_name(b"b\0".to_vec()).is_err(), "a second name");
    }

    #[test]
    fn malformed_records_are_refused_and_never_skipped() {
        let cases: [&[u8]; 12] = [
            b"10 path=a",
            b"8 path=a\n",
            b"11 path=a\n",
            b"path=a\n",
            b" path=a\n",
            b"-1 path=a\n",
            b"0 path=a\n",
            b"9 path a\n",
            b"5 =a\n",
            b"10 path=a\n10 path=b\n",
            b"12 size=-45\n",
            b"99999999999999999999 path=a\n",
        ];
        for content in cases {
            let result = Extensions::default().pax(content);
            assert!(result.is_err(), "{:?}", String::from_utf8_lossy(content));
        }
        assert!(Extensions::default().pax(b"24 GNU.sparse.realsize=1\n").is_err());
        assert!(Extensions::default().pax(b"21 hdrcharset=BINARY\n").is_err());
    }

    #[test]
    fn a_global_header_may_only_comment() {
        check_global(b"14 comment=ab\n").expect("what git archive writes");
        assert!(check_global(b"10 path=a\n").is_err());
    }

    #[test]
    fn a_long_name_ends_with_its_only_nul() {
        for content in ["a", "", "\0", "a\0b\0", "a\0\0"] {
            assert!(Extensions::default().long_name(content.into()).is_err(), "{content:?}");
        }
        Extensions::default().long_link(b"a\0".to_vec()).expect("valid");
    }
}

//! One header block of a tar (POSIX.1-1988 ustar, and what GNU tar made of it), read strictly: wherever two programs
//! would read a block differently, it is refused.

use super::input::corrupt;
use crate::Result;
use crate::source::writer::BLOCK;

/// A header with its fields as they stand in the block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawHeader {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) size: u64,
    pub(super) mode: u64,
    pub(super) kind: u8,
}

impl RawHeader {
    /// Parses a block; `None` for one of zeros.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Option<Self>> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let stated = number(&block[148..156])?;
        let blank = 8 * u64::from(b' ');
        let sum: u64 = block[..148].iter().chain(&block[156..]).map(|byte| u64::from(*byte)).sum::<u64>() + blank;
        if stated != sum {
            return Err(corrupt("the checksum of a header is wrong"));
        }
        let mut name = text(&block[..100])?;
        match &block[257..265] {
            b"ustar\x0000" => {
                let prefix = text(&block[345..500])?;
                if !prefix.is_empty() {
                    name = [prefix.as_slice(), b"/", name.as_slice()].concat();
                }
            }
            // GNU tar keeps times and offsets there, which other programs take for the beginning of the name.
            b"ustar  \0" if block[345..500].iter().any(|byte| *byte != 0) => {
                return Err(corrupt("a header of GNU tar carries fields that other programs read as a name"));
            }
            b"ustar  \0" => {}
            _ => return Err(corrupt("a header is neither in the ustar nor in the GNU format")),
        }
        Ok(Some(Self {
            name,
            link: text(&block[157..257])?,
            size: number(&block[124..136])?,
            mode: number(&block[100..108])?,
            kind: block[156],
        }))
    }
}

/// Text up to the first NUL, after which there is nothing else.
fn text(field: &[u8]) -> Result<Vec<u8>> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    if field[end..].iter().any(|byte| *byte != 0) {
        return Err(corrupt("a name in a header goes on after its end"));
    }
    Ok(field[..end].to_vec())
}

/// Octal digits between blanks, or the base-256 numbers of GNU tar.
fn number(field: &[u8]) -> Result<u64> {
    let wrong = || corrupt("a number in a header does not parse");
    if field[0] & 0x80 != 0 {
        if field[0] != 0x80 {
            return Err(wrong());
        }
        return field[1..].iter().try_fold(0_u64, |value, byte| {
            let shifted = value.checked_mul(256).ok_or_else(wrong)?;
            Ok(shifted | u64::from(*byte))
        });
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| !matches!(byte, b'0'..=b'7')).unwrap_or(digits.len());
    if digits[end..].iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return Err(wrong());
    }
    digits[..end].iter().try_fold(0_u64, |value, digit| {
        let shifted = value.checked_mul(8).ok_or_else(wrong)?;
        Ok(shifted | u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(change: impl FnOnce(&mut tar::Header)) -> [u8; BLOCK] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(5);
        header.set_mode(0o4755);
        header.as_old_mut().name[..4].copy_from_slice(b"a/b\0");
        change(&mut header);
        header.set_cksum();
        *header.as_bytes()
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = RawHeader::parse(&block(|_| ())).expect("valid").expect("not empty");
        let expected = RawHeader { name: b"a/b".to_vec(), link: Vec::new(), size: 5, mode: 0o4755, kind: b'0' };
        assert_eq!(header, expected);
        assert_eq!(RawHeader::parse(&[0; BLOCK]).expect("valid"), None);
        let huge = RawHeader::parse(&block(|header| header.set_size(1 << 40))).expect("valid").expect("not empty");
        assert_eq!(huge.size, 1 << 40);
    }

    #[test]
    fn whatever_two_programs_would_read_differently_is_refused() {
        let mut wrong_sum = block(|_| ());
        wrong_sum[0] = b'x';
        assert!(RawHeader::parse(&wrong_sum).is_err());
        assert!(RawHeader::parse(&block(|header| header.as_old_mut().name[6] = b'x')).is_err(), "after the NUL");
        assert!(RawHeader::parse(&block(|header| header.as_mut_bytes()[257] = b'x')).is_err(), "the magic");
        assert!(RawHeader::parse(&block(|header| header.as_mut_bytes()[124] = b'9')).is_err(), "no octal digit");
        assert!(RawHeader::parse(&block(|header| header.as_mut_bytes()[124] = 0xff)).is_err(), "negative");
        let gnu = block(|header| {
            header.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0");
            header.as_mut_bytes()[345] = b'x';
        });
        assert!(RawHeader::parse(&gnu).is_err(), "a prefix that is none");
        let overflow = block(|header| header.as_mut_bytes()[124..136].copy_from_slice(&[0x80; 12]));
        assert!(RawHeader::parse(&overflow).is_err(), "more than 64 bits");
    }
}

//! The export as the wire sees it: fields by number, without losing those that this library does not know.
//!
//! prost drops unknown fields when it decodes. What is stored, hashed and forwarded must keep them, so the few changes
//! that are made to an export ([`portable`](super::portable)) and the comparison of two exports
//! ([`diff`](mod@super::diff)) work on the bytes. The format is that of the protobuf documentation, "Encoding".

mod edit;
mod map_table;
mod maps;
mod schema;

pub(super) use edit::{Editor, edit};
pub(super) use maps::sort_maps;
pub(super) use schema::{Role, Shape};

/// How deep messages may be nested. Python's protobuf runtime writes and reads 100 levels at most.
const DEEPEST: u32 = 200;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    /// A field is longer than what is left.
    #[error("it ends in the middle of a field")]
    Truncated,
    /// A number takes more than ten bytes.
    #[error("it holds a number that is too long")]
    Varint,
    /// A field number is 0 or too large.
    #[error("it holds a field number that cannot be")]
    Number,
    /// Wire types 3 and 4 (groups, which proto3 does not have), 6 and 7.
    #[error("it holds a field of a type that proto3 does not have")]
    Type,
    /// A message within a message within a message.
    #[error("it is nested too deep")]
    Depth,
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    /// Its number.
    pub(super) number: u32,
    /// What it holds.
    pub(super) value: Value<'a>,
    /// The whole field, with its tag and length.
    pub(super) raw: &'a [u8],
}

impl Field<'_> {
    /// The number that it holds as a varint; nothing for bytes and for numbers of a fixed size.
    pub(super) fn varint(&self) -> Option<u64> {
        let (tag, rest) = varint(self.raw).ok()?;
        if tag & 7 != 0 {
            return None;
        }
        Some(varint(rest).ok()?.0)
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// A number; its bytes are in [`Field::raw`].
    Number,
    /// A string, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
}

/// The fields of a message, in the order in which they stand.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of a message.
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Whether all of the bytes are fields. Only this level is looked at.
    pub(super) fn hold(message: &[u8]) -> bool {
        Fields::of(message).all(|field| field.is_ok())
    }

    fn read(&mut self) -> Result<Field<'a>, WireError> {
        let whole = self.rest;
        let (tag, mut rest) = varint(whole)?;
        let number = u32::try_from(tag >> 3).map_err(|_| WireError::Number)?;
        if number == 0 || number >= 1 << 29 {
            return Err(WireError::Number);
        }
        let value = match tag & 7 {
            0 => {
                rest = varint(rest)?.1;
                Value::Number
            }
            1 => {
                rest = rest.get(8..).ok_or(WireError::Truncated)?;
                Value::Number
            }
            2 => {
                let (length, after) = varint(rest)?;
                let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
                let (bytes, after) = after.split_at_checked(length).ok_or(WireError::Truncated)?;
                rest = after;
                Value::Bytes(bytes)
            }
            5 => {
                rest = rest.get(4..).ok_or(WireError::Truncated)?;
                Value::Number
            }
            _ => return Err(WireError::Type),
        };
        self.rest = rest;
        let raw = whole.get(..whole.len() - rest.len()).ok_or(WireError::Truncated)?;
        Ok(Field { number, value, raw })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Writes a field that holds bytes.
pub(super) fn put_bytes(to: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(to, u64::from(number) << 3 | 2);
    put_varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            to.push(low);
            return;
        }
        to.push(low | 0x80);
    }
}

fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), WireError> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        // The tenth byte has room for one bit.
        if at == 9 && *byte > 1 {
            return Err(WireError::Varint);
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((value, bytes.get(at + 1..).unwrap_or_default()));
        }
    }
    Err(if bytes.len() < 10 { WireError::Truncated } else { WireError::Varint })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_zero_field_numbers_and_endless_numbers_are_refused() {
        let refused = |bytes: &[u8]| Fields::of(bytes).find_map(Result::err);
        assert_eq!(refused(&[0x0b]), Some(WireError::Type));
        assert_eq!(refused(&[0x02, 0x00]), Some(WireError::Number));
        assert_eq!(
            refused(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]),
            Some(WireError::Varint)
        );
        assert_eq!(refused(&[0x0a, 0x05, 1, 2]), Some(WireError::Truncated));
        assert_eq!(refused(&[0x09, 1, 2, 3]), Some(WireError::Truncated));
        assert_eq!(refused(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), Some(WireError::Truncated));
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(number in 1_u32..(1 << 29), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut message = Vec::new();
            put_bytes(&mut message, number, &bytes);
            let fields: Vec<_> = Fields::of(&message).collect::<Result<_, _>>().expect("a field");
            prop_assert_eq!(fields.len(), 1);
            prop_assert_eq!(fields[0].number, number);
            prop_assert!(matches!(fields[0].value, Value::Bytes(read) if read == bytes));
        }

        #[test]
        fn the_fields_of_any_bytes_are_found_or_refused_without_a_gap(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut seen = Vec::new();
            let mut whole = true;
            for field in Fields::of(&bytes) {
                match field {
                    Ok(field) => seen.extend_from_slice(field.raw),
                    Err(_) => whole = false,
                }
            }
            prop_assert!(bytes.starts_with(&seen));
            prop_assert_eq!(whole, seen.len() == bytes.len());
        }
    }
}

//! Types of values (`chalk.arrow.v1.ArrowType`), as far as checks compare them.

mod crontab;
mod duration;

use std::fmt;

use super::wire::{Fields, Value};

pub(super) use crontab::defect_of_crontab;
pub(super) use duration::seconds_of_duration;

/// A type by the field of `ArrowType` that holds it. Parameters (the unit of a time, the fields of a struct) are not in
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ValueType(u8);

/// Types whose values can stand for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    Boolean,
    Integer,
    Fraction,
    Text,
    Binary,
    /// A point in time, or a day.
    Time,
    TimeOfDay,
    Duration,
    Structure,
    List,
    Map,
    Extension,
}

/// How a value of one type becomes one of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    /// As it is, or without a loss.
    Whole,
    /// With a loss, or by a rule that the platform decides.
    Lossy,
    /// In no way.
    Impossible,
}

impl ValueType {
    pub(super) const BOOLEAN: Self = Self(2);
    pub(super) const FLOAT: Self = Self(3);
    pub(super) const INTEGER: Self = Self(4);
    pub(super) const TEXT: Self = Self(5);

    /// The type that an `ArrowType` names; nothing for null and for types newer than this library.
    pub(super) fn of_type(message: &[u8]) -> Option<Self> {
        let mut found = None;
        for field in Fields::of(message) {
            let field = field.ok()?;
            found = u8::try_from(field.number).ok().map(Self).filter(|known| known.family().is_some());
        }
        found
    }

    /// The type of a `ScalarValue` by the number of its field; nothing for null.
    pub(super) fn of_value_field(number: u32) -> Option<Self> {
        // The numbers of `ScalarValue`, and those of `ArrowType` for the same.
        Some(Self(match number {
            2..=10 => u8::try_from(number).ok()?,
            16..=19 => 16,
            20 => 17,
            21..=29 => u8::try_from(number - 3).ok()?,
            30 => 27,
            31 => 28,
            32 => 29,
            33 => 30,
            34 => 36,
            35 => 31,
            36 => 32,
            37 => 33,
            38 => 34,
            39 => 35,
            40 => 37,
            _ => return None,
        }))
    }

    /// The type of a `ScalarValue`; nothing for null.
    pub(super) fn of_value(message: &[u8]) -> Option<Self> {
        let field = Fields::of(message).last()?.ok()?;
        Self::of_value_field(field.number)
    }

    pub(super) fn family(self) -> Option<Family> {
        Some(match self.0 {
            2 => Family::Boolean,
            4 | 18..=24 => Family::Integer,
            3 | 25 | 26 | 34 | 35 => Family::Fraction,
            5 | 17 => Family::Text,
            31..=33 => Family::Binary,
            6 | 7 | 27 => Family::Time,
            10 | 28 => Family::TimeOfDay,
            16 => Family::Duration,
            8 => Family::Structure,
            9 | 29 | 30 => Family::List,
            36 => Family::Map,
            37 => Family::Extension,
            _ => return None,
        })
    }

    /// Whether it can be the key of a feature set, as chalkpy's `_validate_primary_key` has it.
    pub(super) fn can_be_a_key(self) -> bool {
        matches!(self.family(), Some(Family::Integer | Family::Text))
    }

    /// How a value of this type becomes one of the other.
    pub(super) fn conversion_to(self, to: Self) -> Conversion {
        use Family::{Boolean, Extension, Fraction, Integer};
        match (self.family(), to.family()) {
            (None | Some(Extension), _) | (_, None | Some(Extension)) => Conversion::Whole,
            (Some(from), Some(into)) if from == into => {
                // A day and a point in time are one family and two things.
                let is_day = |one: Self| matches!(one.0, 7 | 27);
                if is_day(self) == is_day(to) { Conversion::Whole } else { Conversion::Lossy }
            }
            (Some(Integer), Some(Fraction)) => Conversion::Whole,
            (Some(Fraction), Some(Integer))
            | (Some(Boolean), Some(Integer | Fraction))
            | (Some(Integer | Fraction), Some(Boolean)) => Conversion::Lossy,
            _ => Conversion::Impossible,
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            2 => "bool",
            3 => "float64",
            4 => "int64",
            5 => "large_string",
            6 => "timestamp",
            7 => "date64",
            8 => "struct",
            9 => "large_list",
            10 => "time64",
            16 => "duration",
            17 => "string",
            18 => "int8",
            19 => "int16",
            20 => "int32",
            21 => "uint8",
            22 => "uint16",
            23 => "uint32",
            24 => "uint64",
            25 => "float16",
            26 => "float32",
            27 => "date32",
            28 => "time32",
            29 => "list",
            30 => "fixed_size_list",
            31 => "binary",
            32 => "large_binary",
            33 => "fixed_size_binary",
            34 => "decimal128",
            35 => "decimal256",
            36 => "map",
            37 => "extension",
            _ => "unknown",
        })
    }
}

/// Whether two `ArrowType`s are one type, parameters included: what chalkpy asks of both sides of a join.
pub(super) fn same_type(left: &[u8], right: &[u8]) -> bool {
    // Both come from one encoder; where the bytes differ, so does the type, or its parameters.
    left == right || (parameterless(left).is_some() && parameterless(left) == parameterless(right))
}

/// The type, if it has no parameters.
fn parameterless(message: &[u8]) -> Option<ValueType> {
    let mut fields = Fields::of(message);
    let (Some(Ok(field)), None) = (fields.next(), fields.next()) else { return None };
    matches!(field.value, Value::Bytes([])).then(|| ValueType::of_type(message)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_the_type_that_can_hold_it() {
        for (value, arrow) in
            [(2, 2), (3, 3), (4, 4), (5, 5), (18, 16), (20, 17), (21, 18), (29, 26), (30, 27), (40, 37)]
        {
            assert_eq!(ValueType::of_value_field(value), Some(ValueType(arrow)), "field {value}");
        }
        for value in (2..=10).chain(16..=40) {
            let of = ValueType::of_value_field(value).expect("a type");
            assert!(of.family().is_some() && of.to_string() != "unknown", "field {value}");
        }
        assert_eq!(ValueType::of_value_field(1), None, "null has every type");
    }

    #[test]
    fn what_can_stand_for_what_is_known() {
        use Conversion::{Impossible, Lossy, Whole};
        for (from, to, expected) in [
            (ValueType::INTEGER, ValueType::FLOAT, Whole),
            (ValueType::FLOAT, ValueType::INTEGER, Lossy),
            (ValueType::BOOLEAN, ValueType::INTEGER, Lossy),
            (ValueType::TEXT, ValueType(17), Whole),
            (ValueType::TEXT, ValueType::INTEGER, Impossible),
            (ValueType(6), ValueType(7), Lossy),
            (ValueType(6), ValueType::TEXT, Impossible),
        ] {
            assert_eq!(from.conversion_to(to), expected, "{from} to {to}");
        }
    }

    #[test]
    fn two_integers_of_different_width_are_two_types() {
        assert!(same_type(&[0x22, 0], &[0x22, 0]));
        assert!(!same_type(&[0x22, 0], &[0xa2, 1, 0]));
    }
}

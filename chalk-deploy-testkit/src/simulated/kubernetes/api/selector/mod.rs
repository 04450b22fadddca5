//! Selectors of labels and of fields.

mod field;
mod label;

pub(super) use self::field::FieldSelector;
pub(super) use self::label::LabelSelector;

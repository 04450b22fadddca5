//! The words in which the tables are written.

use super::{Field, Format, List, ListKind, Object, Patch, Schema};

pub(super) const ANY: Schema = Schema::Any;
pub(super) const BOOLEAN: Schema = Schema::Boolean;
pub(super) const BYTES: Schema = Schema::Text(Format::Bytes);
pub(super) const INT32: Schema = ranged(i32::MIN, i32::MAX);
pub(super) const INT64: Schema = ranged_wide(i64::MIN, i64::MAX);
pub(super) const INT_OR_STRING: Schema = Schema::IntOrString;
pub(super) const MICRO_TIME: Schema = Schema::Text(Format::MicroTime);
pub(super) const QUANTITY: Schema = Schema::Quantity;
pub(super) const STRING: Schema = Schema::Text(Format::Plain);
pub(super) const TIME: Schema = Schema::Text(Format::Time);

/// A 32 bit number between two others.
pub(super) const fn ranged(least: i32, most: i32) -> Schema {
    // `From` is not const; widening loses nothing.
    Schema::Integer { wide: false, least: least as i64, most: most as i64 }
}

/// A 64 bit number between two others.
pub(super) const fn ranged_wide(least: i64, most: i64) -> Schema {
    Schema::Integer { wide: true, least, most }
}

/// A text out of a few.
pub(super) const fn one_of(texts: &'static [&'static str]) -> Schema {
    Schema::Text(Format::OneOf(texts))
}

/// A map whose entries have owners.
pub(super) const fn map(values: &'static Schema) -> Schema {
    Schema::Map { values, atomic: false }
}

/// A map that has owners as a whole.
pub(super) const fn atomic_map(values: &'static Schema) -> Schema {
    Schema::Map { values, atomic: true }
}

const fn any_list(items: &'static Schema, kind: ListKind, patch: Option<Patch>) -> Schema {
    Schema::List(List { items, kind, patch })
}

/// A list that has owners as a whole.
pub(super) const fn list(items: &'static Schema) -> Schema {
    any_list(items, ListKind::Atomic, None)
}

/// A list that has owners as a whole, and that a strategic patch merges by a key all the same (`hostIPs`).
pub(super) const fn merged_list(key: &'static str, items: &'static Schema) -> Schema {
    any_list(items, ListKind::Atomic, Some(Patch { merge_key: Some(key), retain_keys: false }))
}

/// A list of distinct values, each with owners.
pub(super) const fn set(items: &'static Schema) -> Schema {
    any_list(items, ListKind::Set, None)
}

/// A set that a strategic patch adds to.
pub(super) const fn merged_set(items: &'static Schema) -> Schema {
    any_list(items, ListKind::Set, Some(Patch { merge_key: None, retain_keys: false }))
}

/// A list of objects told apart by some fields, of which a strategic patch looks at the first only.
pub(super) const fn by(keys: &'static [&'static str], items: &'static Schema) -> Schema {
    any_list(items, ListKind::Map(keys), Some(Patch { merge_key: Some(keys[0]), retain_keys: false }))
}

/// A list of objects told apart by some fields, which a strategic patch replaces or does not know.
pub(super) const fn keyed(keys: &'static [&'static str], items: &'static Schema) -> Schema {
    any_list(items, ListKind::Map(keys), None)
}

/// [`by`] for a union: what a strategic patch does not name of an item goes (`volumes`).
pub(super) const fn by_retaining(keys: &'static [&'static str], items: &'static Schema) -> Schema {
    any_list(items, ListKind::Map(keys), Some(Patch { merge_key: Some(keys[0]), retain_keys: true }))
}

impl Object {
    pub(super) const fn new(name: &'static str, fields: &'static [Field]) -> Self {
        Self { name, fields, required: &[], atomic: false, retain_keys: false, replaced: false }
    }

    pub(super) const fn requires<const N: usize>(mut self, required: &'static [&'static str; N]) -> Self {
        self.required = required;
        self
    }

    pub(super) const fn atomic(mut self) -> Self {
        self.atomic = true;
        self
    }

    pub(super) const fn retain_keys(mut self) -> Self {
        self.retain_keys = true;
        self
    }

    pub(super) const fn replaced(mut self) -> Self {
        self.replaced = true;
        self
    }
}

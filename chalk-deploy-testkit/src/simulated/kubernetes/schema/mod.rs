//! What the fields of each kind are, and how their parts merge.
//!
//! - `table`: the kinds, as data.
//! - [`validate`], [`validate_change`], [`duplicate_fields`]: whether an object is one of its kind; [`unreadable`] and
//!   [`invalid`] say so as the API server does.
//! - [`fill_defaults`]: the defaults that custom resources declare.
//! - [`openapi_v2`], [`openapi_v3`]: the kinds as clients ask for them.
//! - `quantity`: amounts.

mod build;
mod check;
mod defaults;
mod duplicates;
mod names;
mod openapi;
mod problem;
pub mod quantity;
mod rules;
mod table;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use self::defaults::fill_defaults;
pub use self::duplicates::duplicate_fields;
pub use self::openapi::{openapi_v2, openapi_v2_protobuf, openapi_v3, openapi_v3_index};
pub(super) use self::problem::shown;
pub use self::problem::{Problem, ProblemKind, invalid, unreadable};
use super::resource::Resource;

/// The shape of a value, and how it merges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schema {
    /// A text.
    Text(Format),
    /// A whole number.
    Integer {
        /// Whether it has 64 bits, rather than 32.
        wide: bool,
        /// The least that is allowed.
        least: i64,
        /// The greatest that is allowed.
        most: i64,
    },
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A number, or a text such as a percentage or the name of a port.
    IntOrString,
    /// An amount, as a text or a number.
    Quantity,
    /// An object with fields of its own.
    Object(&'static Object),
    /// An object with keys that its author chooses.
    Map {
        /// What every value is.
        values: &'static Self,
        /// Whether it has owners as a whole (`x-kubernetes-map-type`).
        atomic: bool,
    },
    /// A list.
    List(List),
    /// Anything (`x-kubernetes-preserve-unknown-fields`). Objects inside are merged key by key, lists are not.
    Any,
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Any.
    Plain,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A time of RFC 3339, to the second.
    Time,
    /// A time of RFC 3339, to the microsecond.
    MicroTime,
    /// Bytes in base64.
    Bytes,
}

/// An object with fields of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    /// The name of its definition; empty where it is described in place, as in custom resources.
    pub name: &'static str,
    /// Its fields, by name.
    pub fields: &'static [Field],
    /// The fields that must be there.
    pub required: &'static [&'static str],
    /// Whether it has owners as a whole (`x-kubernetes-map-type`).
    pub atomic: bool,
    /// Whether a strategic patch drops what it does not list under `$retainKeys`.
    pub retain_keys: bool,
    /// Whether a strategic patch replaces it.
    pub replaced: bool,
}

/// A field of an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub schema: Schema,
    /// What it is where it is absent, as JSON.
    pub default: Option<&'static str>,
}

/// A list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct List {
    /// What every item is.
    pub items: &'static Schema,
    /// How it merges.
    pub kind: ListKind,
    /// How a strategic patch merges it; it replaces the list where there is nothing here.
    pub patch: Option<Patch>,
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// It has owners as a whole.
    Atomic,
    /// Its values are distinct, and each has owners.
    Set,
    /// Its objects are told apart by these fields.
    Map(&'static [&'static str]),
}

/// How a strategic patch merges a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// The field that tells objects apart; without one the list holds values.
    pub merge_key: Option<&'static str>,
    /// Whether an item loses what its patch does not list under `$retainKeys`.
    pub retain_keys: bool,
}

impl Object {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Schema {
    /// What stands under a name, if this is an object that may have it.
    pub fn at(&self, name: &str) -> Option<&'static Self> {
        match self {
            Self::Object(object) => object.field(name).map(|field| &field.schema),
            Self::Map { values, .. } => Some(values),
            Self::Any => Some(&Self::Any),
            _ => None,
        }
    }

    /// What every item is, if this is a list.
    pub fn items(&self) -> Option<&'static Self> {
        match self {
            Self::List(list) => Some(list.items),
            _ => None,
        }
    }

    /// The object that it describes.
    pub fn object(&self) -> Option<&'static Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

/// The schema of a kind.
///
/// # Panics
/// Never for the resources of [`RESOURCES`](super::resource::RESOURCES): a test goes through them.
pub fn schema_of(resource: &Resource) -> &'static Schema {
    let known = table::KINDS.iter().find(|(kind, _)| kind == resource);
    known.map_or(&Schema::Any, |(_, schema)| schema)
}

/// Whether a kind is a custom resource, which strategic patches do not know.
pub fn is_custom(resource: &Resource) -> bool {
    schema_of(resource).object().is_none_or(|object| !object.name.starts_with("io.k8s.api."))
}

/// What is wrong with an object.
///
/// Unknown fields are told beside all else, because the API server lets `fieldValidation` decide about them. Values are
/// only looked at where the object can be read.
pub fn validate(resource: &Resource, object: &Value) -> Vec<Problem> {
    let mut problems = check::check(schema_of(resource), object, is_custom(resource));
    if problems.iter().all(|problem| problem.kind != ProblemKind::WrongType) {
        rules::metadata(resource, object, &mut problems);
        rules::of_kind(resource, object, &mut problems);
    }
    problems
}

/// What is wrong with changing one valid object into another: what may not change any more.
pub fn validate_change(resource: &Resource, before: &Value, after: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    rules::changed(resource, before, after, &mut problems);
    problems
}

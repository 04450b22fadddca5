//! The rules that the tables cannot say, of those that a manifest of a deployment can break.

mod change;
mod container;
mod kinds;
mod metadata;
mod pod;

pub(super) use self::change::changed;
pub(super) use self::kinds::of_kind;
pub(super) use self::metadata::metadata;

use serde_json::{Map, Value};

use super::Problem;

/// A part of an object with its place, to walk through it and to say what is wrong there.
#[derive(Debug, Clone)]
struct Part<'v> {
    value: &'v Value,
    at: String,
}

impl<'v> Part<'v> {
    fn root(object: &'v Value) -> Self {
        Self { value: object, at: String::new() }
    }

    /// A field; null where there is none.
    fn at(&self, name: &str) -> Self {
        let at = if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) };
        Self { value: self.value.get(name).unwrap_or(&Value::Null), at }
    }

    /// A field behind fields.
    fn path(&self, names: &[&str]) -> Self {
        names.iter().fold(self.clone(), |part, name| part.at(name))
    }

    fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        let part = |(position, value)| Self { value, at: format!("{}[{position}]", self.at) };
        items.iter().enumerate().map(part).collect()
    }

    fn is_there(&self) -> bool {
        !self.value.is_null()
    }

    fn text(&self) -> Option<&'v str> {
        self.value.as_str()
    }

    fn number(&self) -> Option<i64> {
        self.value.as_i64()
    }

    fn map(&self) -> Option<&'v Map<String, Value>> {
        self.value.as_object()
    }

    fn is_empty(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        }
    }

    fn invalid(&self, why: &str) -> Problem {
        Problem::invalid(self.at.as_str(), self.value, why)
    }

    fn required(&self, why: &str) -> Problem {
        Problem::required(self.at.as_str(), why)
    }

    fn duplicate(&self) -> Problem {
        Problem::duplicate(self.at.as_str(), self.value)
    }

    fn not_supported(&self, supported: &[&str]) -> Problem {
        Problem::not_supported(self.at.as_str(), self.value, supported)
    }
}

/// A number may not be below zero.
fn not_negative(part: &Part<'_>, problems: &mut Vec<Problem>) {
    if part.number().is_some_and(|number| number < 0) {
        problems.push(part.invalid("must be greater than or equal to 0"));
    }
}

/// One of a few texts, if it is there. An empty one is not there, in Go.
fn one_of(part: &Part<'_>, texts: &[&str], problems: &mut Vec<Problem>) {
    if part.text().is_some_and(|text| !text.is_empty() && !texts.contains(&text)) {
        problems.push(part.not_supported(texts));
    }
}

/// The number of a port, if it is one.
fn port(part: &Part<'_>, problems: &mut Vec<Problem>) {
    if part.number().is_some_and(|number| !(1..=65535).contains(&number)) {
        problems.push(part.invalid("must be between 1 and 65535, inclusive"));
    }
}

/// The number or the name of a port.
fn port_or_name(part: &Part<'_>, problems: &mut Vec<Problem>) {
    port(part, problems);
    if part.text().is_some_and(|text| !super::names::is_port_name(text)) {
        problems.push(part.invalid("must be a port name: at most 15 lower case letters, digits and single '-'"));
    }
}

/// A field that no two items may share.
fn distinct(items: &[Part<'_>], name: &str, problems: &mut Vec<Problem>) {
    let mut seen = std::collections::BTreeSet::new();
    for field in items.iter().map(|item| item.at(name)).filter(|field| !field.is_empty()) {
        if !seen.insert(field.value.to_string()) {
            problems.push(field.duplicate());
        }
    }
}

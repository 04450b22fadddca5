//! How a value is walked: what is a leaf, what a list's items are called, whether it is of its type at all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::Step;
use super::set::Set;
use crate::simulated::kubernetes::schema::{List, ListKind, Schema, quantity, shown};

/// What merging sees in a value.
pub(super) enum Shape<'v> {
    /// One thing, with owners as a whole.
    Leaf,
    /// Entries with owners of their own.
    Fields(&'v Map<String, Value>),
    /// Items with owners of their own.
    Items(&'static List, &'v [Value]),
}

/// The shape of a value. Where it is not of its schema's type, it is a leaf.
pub(super) fn shape_of<'v>(schema: &'static Schema, value: &'v Value) -> Shape<'v> {
    match (schema, value) {
        (Schema::Object(object), Value::Object(map)) if !object.atomic => Shape::Fields(map),
        (Schema::Map { atomic: false, .. } | Schema::Any, Value::Object(map)) => Shape::Fields(map),
        (Schema::List(list), Value::Array(items)) if list.kind != ListKind::Atomic => Shape::Items(list, items),
        _ => Shape::Leaf,
    }
}

/// What an item of a list is called; the reason if it cannot be.
pub(super) fn name_of(list: &'static List, item: &Value) -> Result<Step, String> {
    match list.kind {
        ListKind::Map(keys) => key_of(keys, list.items, item),
        ListKind::Set | ListKind::Atomic => match item {
            Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
            scalar => Ok(Step::value(scalar)),
        },
    }
}

fn key_of(keys: &'static [&'static str], items: &'static Schema, item: &Value) -> Result<Step, String> {
    let fields = match item {
        Value::Object(fields) => fields,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let default = |key: &str| {
        let default = items.object()?.field(key)?.default?;
        serde_json::from_str::<Value>(default).ok()
    };
    let found: Vec<_> =
        keys.iter().filter_map(|key| Some((*key, fields.get(*key).cloned().or_else(|| default(key))?))).collect();
    if found.is_empty() {
        let keys = keys.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(" ");
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{keys}] (and doesn't have default \
             values for any key fields)"
        ));
    }
    Ok(Step::key(found))
}

/// The items under their names; those that cannot be named are left out.
pub(super) fn by_name<'v>(list: &'static List, items: &'v [Value]) -> BTreeMap<Step, Vec<&'v Value>> {
    let mut named: BTreeMap<Step, Vec<&'v Value>> = BTreeMap::new();
    for item in items {
        if let Ok(name) = name_of(list, item) {
            named.entry(name).or_default().push(item);
        }
    }
    named
}

/// The paths that an applied document claims.
pub(super) fn claims(schema: &'static Schema, value: &Value) -> Set {
    let mut set = Set::default();
    claim(schema, value, &mut Vec::new(), &mut set);
    set
}

fn claim(schema: &'static Schema, value: &Value, path: &mut Vec<Step>, set: &mut Set) {
    match shape_of(schema, value) {
        // Nothing is known of the items of a null, which are none.
        Shape::Leaf => set.insert(path),
        Shape::Fields(map) => {
            for (name, below) in map {
                path.push(Step::field(name));
                let named = schema.object().is_some_and(|object| object.field(name).is_some());
                let hollow = below.is_null() || below.as_object().is_some_and(Map::is_empty);
                if !named || hollow {
                    set.insert(path);
                }
                claim(schema.at(name).unwrap_or(&Schema::Any), below, path, set);
                path.pop();
            }
        }
        Shape::Items(list, items) => {
            for (name, items) in by_name(list, items) {
                path.push(name);
                set.insert(path);
                // Of items that are there twice only the name is known.
                if let [item] = items[..] {
                    claim(list.items, item, path, set);
                }
                path.pop();
            }
        }
    }
}

/// Why a document is not of its type, in the words of the API server: a path and a reason each.
pub(super) fn untyped(schema: &'static Schema, value: &Value) -> Vec<String> {
    let mut reasons = Vec::new();
    check(schema, value, "", &mut reasons);
    reasons
}

fn check(schema: &'static Schema, value: &Value, at: &str, reasons: &mut Vec<String>) {
    let mut expected = |what: &str| reasons.push(format!("{at}: expected {what}, got {}", shown(value)));
    match (schema, value) {
        (Schema::Any, _)
        | (_, Value::Null)
        | (Schema::Text(_), Value::String(_))
        | (Schema::Integer { .. } | Schema::Number, Value::Number(_))
        | (Schema::Boolean, Value::Bool(_))
        | (Schema::IntOrString | Schema::Quantity, Value::String(_) | Value::Number(_) | Value::Bool(_)) => {}
        (Schema::Object(_) | Schema::Map { .. }, Value::Object(map)) => {
            for (name, below) in map {
                match schema.at(name) {
                    Some(schema) => check(schema, below, &format!("{at}.{name}"), reasons),
                    None => reasons.push(format!("{at}.{name}: field not declared in schema")),
                }
            }
        }
        (Schema::List(list), Value::Array(items)) => check_items(list, items, at, reasons),
        (Schema::Object(_) | Schema::Map { .. }, _) => expected("map"),
        (Schema::List(_), _) => expected("list"),
        (Schema::Text(_), _) => expected("string"),
        (Schema::Integer { .. } | Schema::Number, _) => expected("numeric (int or float)"),
        (Schema::Boolean, _) => expected("boolean"),
        (Schema::IntOrString | Schema::Quantity, _) => expected("any scalar"),
    }
}

fn check_items(list: &'static List, items: &[Value], at: &str, reasons: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (position, item) in items.iter().enumerate() {
        let step = if list.kind == ListKind::Atomic {
            Step::Index(position)
        } else {
            match name_of(list, item) {
                Ok(step) => step,
                Err(why) => {
                    reasons.push(format!("{at}: element {position}: {why}"));
                    return;
                }
            }
        };
        check(list.items, item, &format!("{at}{step}"), reasons);
        if seen.contains(&step) {
            reasons.push(format!("{at}: duplicate entries for key {step}"));
        }
        seen.insert(step);
    }
}

/// Whether two leaves are the same, whatever way they are written.
pub(super) fn same(schema: &Schema, one: &Value, other: &Value) -> bool {
    match (schema, one, other) {
        (Schema::Quantity, _, _) if one != other => {
            quantity::parse(one).is_some_and(|amount| quantity::parse(other) == Some(amount))
        }
        (_, Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => {
            one.as_f64() == other.as_f64()
        }
        _ => one == other,
    }
}

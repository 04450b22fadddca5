//! Merging an applied document into an object, and taking paths out of one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::Step;
use super::set::Set;
use super::shape::{Shape, name_of, same, shape_of};
use crate::simulated::kubernetes::schema::{List, Schema};

/// The live value with the applied one laid over it.
pub(super) fn merge(schema: &'static Schema, live: &Value, applied: &Value) -> Value {
    match (shape_of(schema, live), shape_of(schema, applied)) {
        (Shape::Fields(live), Shape::Fields(applied)) => Value::Object(merge_fields(schema, live, applied)),
        (Shape::Items(list, live), Shape::Items(_, applied)) => Value::Array(merge_items(list, live, applied)),
        // What is the same stays as it is written.
        _ if same(schema, live, applied) => live.clone(),
        _ => applied.clone(),
    }
}

fn merge_fields(
    schema: &'static Schema,
    live: &Map<String, Value>,
    applied: &Map<String, Value>,
) -> Map<String, Value> {
    let mut merged = live.clone();
    for (name, applied) in applied {
        let value = match live.get(name) {
            Some(live) => merge(schema.at(name).unwrap_or(&Schema::Any), live, applied),
            None => applied.clone(),
        };
        merged.insert(name.clone(), value);
    }
    merged
}

/// What both have goes in the order of the applied list; what only the live one has stays before what it stood before.
fn merge_items(list: &'static List, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let live: Vec<_> = live.iter().map(|item| (name_of(list, item).ok(), item)).collect();
    let applied: Vec<_> = applied.iter().filter_map(|item| Some((name_of(list, item).ok()?, item))).collect();
    let mut live_by_name: BTreeMap<&Step, &Value> = BTreeMap::new();
    for (name, item) in &live {
        if let Some(name) = name {
            live_by_name.entry(name).or_insert(item);
        }
    }
    let applied_names: BTreeSet<&Step> = applied.iter().map(|(name, _)| name).collect();
    let mut shared = applied.iter().map(|(name, _)| name).filter(|name| live_by_name.contains_key(name)).peekable();
    let over = |(name, item): &(Step, &Value)| {
        live_by_name.get(name).map_or_else(|| (*item).clone(), |live| merge(list.items, live, item))
    };
    let (mut merged, mut rest) = (Vec::with_capacity(live.len()), &applied[..]);
    for (name, item) in &live {
        match name {
            Some(name) if applied_names.contains(name) => {
                if shared.next_if(|next| *next == name).is_some() {
                    let upto = rest.iter().position(|(other, _)| other == name).map_or(0, |position| position + 1);
                    let (now, later) = rest.split_at(upto);
                    merged.extend(now.iter().map(over));
                    rest = later;
                }
            }
            _ => merged.push((*item).clone()),
        }
    }
    merged.extend(rest.iter().map(over));
    merged
}

/// The value without some paths; none if nothing is left of what was a map or a list.
pub(super) fn without(schema: &'static Schema, value: &Value, paths: &Set) -> Option<Value> {
    match shape_of(schema, value) {
        Shape::Fields(map) if !map.is_empty() => {
            let left = map.iter().filter_map(|(name, below)| {
                let schema = schema.at(name).unwrap_or(&Schema::Any);
                Some((name.clone(), left_of(&Step::field(name), schema, below, paths)?))
            });
            Some(left.collect::<Map<_, _>>()).filter(|map| !map.is_empty()).map(Value::Object)
        }
        Shape::Items(list, items) if !items.is_empty() => {
            let left = items.iter().filter_map(|item| match name_of(list, item) {
                Ok(name) => left_of(&name, list.items, item, paths),
                Err(_) => Some(item.clone()),
            });
            Some(left.collect::<Vec<_>>()).filter(|items| !items.is_empty()).map(Value::Array)
        }
        _ => Some(value.clone()),
    }
}

fn left_of(step: &Step, schema: &'static Schema, value: &Value, paths: &Set) -> Option<Value> {
    match paths.below(step) {
        _ if paths.has(step) => None,
        Some(below) => without(schema, value, below),
        None => Some(value.clone()),
    }
}

/// Takes away the nulls of an applied document, which say that there shall be nothing; gives their paths.
pub(super) fn take_nulls(schema: &'static Schema, value: &mut Value) -> Set {
    let mut nulls = Set::default();
    take(schema, value, &mut Vec::new(), &mut nulls);
    nulls
}

fn take(schema: &'static Schema, value: &mut Value, path: &mut Vec<Step>, nulls: &mut Set) {
    if matches!(shape_of(schema, value), Shape::Leaf) {
        return;
    }
    match (schema, value) {
        (Schema::List(list), Value::Array(items)) => {
            for item in items {
                if let Ok(name) = name_of(list, item) {
                    path.push(name);
                    take(list.items, item, path, nulls);
                    path.pop();
                }
            }
        }
        // In what has no schema a null may mean something.
        (Schema::Object(_) | Schema::Map { .. }, Value::Object(map)) => {
            map.retain(|name, below| {
                path.push(Step::field(name));
                let keep = !below.is_null();
                if keep {
                    take(schema.at(name).unwrap_or(&Schema::Any), below, path, nulls);
                } else {
                    nulls.insert(path);
                }
                path.pop();
                keep
            });
        }
        _ => {}
    }
}

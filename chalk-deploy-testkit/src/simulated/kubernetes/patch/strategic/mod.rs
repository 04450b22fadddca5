//! Strategic merge patch, as kubectl sends it for Kubernetes' own types.
//!
//! Objects are merged and nulls take away, as in a merge patch. Lists are merged by the key that the schema names, or as
//! sets of values, or else replaced. Directives say what that cannot: `$patch` (`replace`, `delete`, `merge`),
//! `$retainKeys`, `$deleteFromPrimitiveList/…` and `$setElementOrder/…`.

mod list;

use serde_json::{Map, Value};

use super::Refusal;
use crate::simulated::kubernetes::schema::{List, Schema};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// The document with the patch merged into it by the strategies of its schema.
pub fn strategic_patch(schema: &'static Schema, document: &Value, patch: &Value) -> Result<Value, Refusal> {
    match (document, patch) {
        (Value::Object(document), Value::Object(patch)) => merge(schema, document.clone(), patch).map(Value::Object),
        _ => Err(Refusal::Malformed("a strategic merge patch and what it patches are objects".to_owned())),
    }
}

fn merge(
    schema: &'static Schema,
    mut document: Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, Refusal> {
    match patch.get(PATCH) {
        None => {}
        Some(directive) if directive == "merge" => {}
        Some(directive) if directive == "delete" => return Ok(Map::new()),
        Some(directive) if directive == "replace" => {
            return Ok(plain_object(patch));
        }
        Some(directive) => return Err(Refusal::Malformed(format!("unknown patch type: {directive}"))),
    }
    if let Some(keys) = patch.get(RETAIN_KEYS) {
        retain(&mut document, patch, keys)?;
    }
    for (name, instruction) in patch {
        if let Some(name) = name.strip_prefix(DELETE_FROM) {
            let values = list::of(instruction, DELETE_FROM, name)?;
            if let Some(Value::Array(items)) = document.get_mut(name) {
                items.retain(|item| !values.contains(item));
            }
        }
    }
    for (name, value) in patch.iter().filter(|(name, _)| !is_directive(name)) {
        let order = patch.get(&format!("{ORDER}{name}"));
        merge_field(schema, &mut document, name, value, order)?;
    }
    for (name, order) in patch {
        let Some(name) = name.strip_prefix(ORDER).filter(|name| !patch.contains_key(*name)) else { continue };
        let order = list::of(order, ORDER, name)?;
        if let (Some(Schema::List(list)), Some(Value::Array(items))) = (schema.at(name), document.get_mut(name)) {
            *items = list::ordered(list, items.clone(), items, order)?;
        }
    }
    Ok(document)
}

fn merge_field(
    schema: &'static Schema,
    document: &mut Map<String, Value>,
    name: &str,
    value: &Value,
    order: Option<&Value>,
) -> Result<(), Refusal> {
    let below = schema.at(name).unwrap_or(&Schema::Any);
    let merged = match (below, document.remove(name), value) {
        (_, _, Value::Null) => return Ok(()),
        (Schema::Object(object), Some(Value::Object(_)), value) if object.replaced => plain(value),
        (_, Some(Value::Object(before)), Value::Object(value)) => Value::Object(merge(below, before, value)?),
        (Schema::List(list @ List { patch: Some(_), .. }), before, Value::Array(items)) => {
            let before = match before {
                Some(Value::Array(before)) => before,
                _ => Vec::new(),
            };
            let merged = list::merge(list, before.clone(), items)?;
            match order {
                Some(order) => {
                    let order = list::of(order, ORDER, name)?;
                    list::check_order(list, items, order)?;
                    Value::Array(list::ordered(list, merged, &before, order)?)
                }
                // Without a wish, the patch's own order holds.
                None => Value::Array(list::ordered(list, merged, &before, &list::without_directives(items))?),
            }
        }
        (_, _, value) => plain(value),
    };
    document.insert(name.to_owned(), merged);
    Ok(())
}

/// What is new is taken without what only says how to merge.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => plain_object(map).into(),
        Value::Array(items) => {
            let deleted = |item: &&Value| item.get(PATCH).is_some_and(|directive| directive == "delete");
            let marker = |item: &&Value| item.as_object().is_some_and(|map| map.len() == 1 && map.contains_key(PATCH));
            items.iter().filter(|item| !deleted(item) && !marker(item)).map(plain).collect()
        }
        scalar => scalar.clone(),
    }
}

fn plain_object(map: &Map<String, Value>) -> Map<String, Value> {
    let kept = map.iter().filter(|(name, value)| !is_directive(name) && !value.is_null());
    kept.map(|(name, value)| (name.clone(), plain(value))).collect()
}

fn is_directive(name: &str) -> bool {
    name == PATCH || name == RETAIN_KEYS || name.starts_with(DELETE_FROM) || name.starts_with(ORDER)
}

/// Drops what is not named; for unions, of which only one member may be there.
fn retain(document: &mut Map<String, Value>, patch: &Map<String, Value>, keys: &Value) -> Result<(), Refusal> {
    let malformed = || Refusal::Malformed("invalid patch format of retainKeys".to_owned());
    let keys: Vec<&str> =
        keys.as_array().and_then(|keys| keys.iter().map(Value::as_str).collect()).ok_or_else(malformed)?;
    let all_named = patch
        .iter()
        .filter(|(name, value)| !is_directive(name) && !value.is_null())
        .all(|(name, _)| keys.contains(&name.as_str()));
    if !all_named {
        return Err(malformed());
    }
    document.retain(|name, _| keys.contains(&name.as_str()));
    Ok(())
}

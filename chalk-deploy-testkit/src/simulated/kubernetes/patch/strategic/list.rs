//! Lists in strategic merge patches.

use serde_json::Value;

use super::{PATCH, merge as merge_objects, plain};
use crate::simulated::kubernetes::patch::Refusal;
use crate::simulated::kubernetes::schema::List;

/// The list that a directive must hold.
pub(super) fn of<'v>(value: &'v Value, directive: &str, name: &str) -> Result<&'v [Value], Refusal> {
    let items = value.as_array().map(Vec::as_slice);
    items.ok_or_else(|| Refusal::Malformed(format!("{directive}{name} is no list")))
}

fn merge_key(list: &List) -> Option<&'static str> {
    list.patch.and_then(|patch| patch.merge_key)
}

/// What tells an item from the others: its merge key's value, or itself.
fn identity<'v>(list: &List, item: &'v Value) -> Result<&'v Value, Refusal> {
    match merge_key(list) {
        None => Ok(item),
        Some(key) => item
            .get(key)
            .ok_or_else(|| Refusal::Malformed(format!("map: {item} does not contain declared merge key: {key}"))),
    }
}

/// The items with those of the patch merged into them.
pub(super) fn merge(list: &'static List, mut items: Vec<Value>, patch: &[Value]) -> Result<Vec<Value>, Refusal> {
    let directive = |item: &Value| item.get(PATCH).cloned();
    if patch.iter().any(|item| directive(item).is_some_and(|directive| directive == "replace")) {
        let marker = |item: &&Value| directive(item).is_some_and(|directive| directive == "replace");
        return Ok(patch.iter().filter(|item| !marker(item)).map(plain).collect());
    }
    for item in patch {
        match directive(item) {
            None => {}
            Some(word) if word == "merge" => {}
            Some(word) if word == "delete" && merge_key(list).is_some() => {
                let identity_of_gone = identity(list, item)?;
                let key = merge_key(list).unwrap_or_default();
                items.retain(|other| other.get(key) != Some(identity_of_gone));
                continue;
            }
            Some(word) => return Err(Refusal::Malformed(format!("unknown patch type: {word}"))),
        }
        let wanted = identity(list, item)?;
        match items.iter().position(|other| identity(list, other).is_ok_and(|other| other == wanted)) {
            None => items.push(plain(item)),
            Some(position) => {
                if let (Value::Object(before), Value::Object(patch)) = (&items[position], item) {
                    items[position] = Value::Object(merge_objects(list.items, before.clone(), patch)?);
                }
            }
        }
    }
    Ok(items)
}

/// Whether the items of a patch stand in the order that it asks for, and all are in it.
pub(super) fn check_order(list: &List, patch: &[Value], order: &[Value]) -> Result<(), Refusal> {
    let mut rest = order.iter();
    for item in patch.iter().filter(|item| item.get(PATCH).is_none()) {
        let wanted = identity(list, item)?;
        if !rest.any(|other| identity(list, other).is_ok_and(|other| other == wanted)) {
            return Err(Refusal::Malformed(
                "invalid patch format of setElementOrder list: an item of the patch is not in it, or in another order"
                    .to_owned(),
            ));
        }
    }
    Ok(())
}

/// The items of a patch that say what to merge, not how.
pub(super) fn without_directives(patch: &[Value]) -> Vec<Value> {
    patch.iter().filter(|item| item.get(PATCH).is_none_or(|directive| directive == "merge")).cloned().collect()
}

/// The items in the order that is asked for. Those that it does not name stay where they stood before the next that it
/// does.
pub(super) fn ordered(
    list: &List,
    items: Vec<Value>,
    before: &[Value],
    order: &[Value],
) -> Result<Vec<Value>, Refusal> {
    let order = order.iter().map(|item| identity(list, item)).collect::<Result<Vec<_>, _>>()?;
    let place = |item: &Value, places: &[&Value]| {
        let identity = identity(list, item).ok()?;
        places.iter().position(|other| *other == identity)
    };
    let stood: Vec<&Value> = before.iter().filter_map(|item| identity(list, item).ok()).collect();
    let (mut named, others): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| place(item, &order).is_some());
    named.sort_by_key(|item| place(item, &order));
    let mut all = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    while let (Some(wanted), Some(other)) = (named.peek(), others.peek()) {
        let stood_before =
            place(other, &stood).zip(place(wanted, &stood)).is_some_and(|(other, wanted)| other < wanted);
        all.extend(if stood_before { others.next() } else { named.next() });
    }
    all.extend(named);
    all.extend(others);
    Ok(all)
}

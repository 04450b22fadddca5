//! Reading objects. What is missing or of another type reads as nothing, because objects come from strangers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::simulated::kubernetes::objects::Key;
use crate::simulated::kubernetes::resource::Resource;

/// What lies at a path such as `/spec/containers/0/image`. As `Value::pointer`, without its escapes and what they cost:
/// every pass reads every object.
pub(crate) fn at<'object>(object: &'object Value, path: &str) -> Option<&'object Value> {
    path.split('/').skip(1).try_fold(object, |value, part| match value {
        Value::Object(map) => map.get(part),
        Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// A text at a JSON pointer; empty where there is none.
pub(crate) fn text<'object>(object: &'object Value, pointer: &str) -> &'object str {
    at(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number that is not negative.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<u32> {
    let number = at(object, pointer)?.as_u64()?;
    Some(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A number that counts something; zero where there is none.
pub(crate) fn count(object: &Value, pointer: &str) -> u32 {
    number(object, pointer).unwrap_or_default()
}

/// Whether a field is `true`.
pub(crate) fn flag(object: &Value, pointer: &str) -> bool {
    at(object, pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// The items of a list; none where there is no list.
pub(crate) fn items<'object>(object: &'object Value, pointer: &str) -> &'object [Value] {
    at(object, pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The texts of a map.
pub(crate) fn texts(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let Some(map) = at(object, pointer).and_then(Value::as_object) else { return BTreeMap::new() };
    map.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// `metadata.name`.
pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// `metadata.namespace`.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// `metadata.uid`.
pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// Whether somebody has asked for its removal.
pub(crate) fn is_deleting(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

/// Where it lies.
pub(crate) fn key(resource: Resource, object: &Value) -> Key {
    Key::new(resource, namespace(object), name(object))
}

/// Its labels.
pub(crate) fn labels(object: &Value) -> BTreeMap<String, String> {
    texts(object, "/metadata/labels")
}

/// An annotation; empty where there is none.
pub(crate) fn annotation<'object>(object: &'object Value, name: &str) -> &'object str {
    at(object, "/metadata/annotations").and_then(|all| all.get(name)).and_then(Value::as_str).unwrap_or_default()
}

/// The owner that manages it.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    items(object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true)
}

/// Whether it is managed by the owner of this uid.
pub(crate) fn is_controlled_by(object: &Value, uid: &str) -> bool {
    controller(object).is_some_and(|owner| owner["uid"] == uid)
}

/// The reference by which an object says that `owner` manages it.
pub(crate) fn controller_reference(resource: Resource, owner: &Value) -> Value {
    json!({
        "apiVersion": resource.api_version(),
        "kind": resource.kind,
        "name": name(owner),
        "uid": uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// A condition of its status.
pub(crate) fn condition<'object>(object: &'object Value, kind: &str) -> Option<&'object Value> {
    items(object, "/status/conditions").iter().find(|condition| condition["type"] == kind)
}

/// Whether a condition of its status is `True`.
pub(crate) fn holds(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// The map in a field, which is made if there is none.
pub(crate) fn map<'object>(object: &'object mut Value, field: &str) -> &'object mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let inner = &mut object[field];
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    match inner {
        Value::Object(map) => map,
        _ => unreachable!("it was made a map just now"),
    }
}

/// Sets an annotation.
pub(crate) fn annotate(object: &mut Value, name: &str, value: impl Into<Value>) {
    map(object, "metadata");
    map(&mut object["metadata"], "annotations").insert(name.to_owned(), value.into());
}

/// Sets a condition among others. The time of its last transition stays while its status does.
pub(crate) fn set_condition(conditions: &mut Vec<Value>, mut condition: Value, now: &str) {
    let place = conditions.iter().position(|other| other["type"] == condition["type"]);
    let since = match place.map(|place| &conditions[place]) {
        Some(old) if old["status"] == condition["status"] && old["lastTransitionTime"].is_string() => {
            old["lastTransitionTime"].clone()
        }
        _ => now.into(),
    };
    condition["lastTransitionTime"] = since;
    match place {
        Some(place) => conditions[place] = condition,
        None => conditions.push(condition),
    }
}

/// Takes a field away when it holds nothing: what `omitempty` does.
pub(crate) fn without_nothing(mut object: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.retain(|_, value| match value {
            Value::Null => false,
            Value::Number(number) => number.as_u64() != Some(0),
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        });
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_of_another_type_reads_as_nothing() {
        let object = json!({"metadata": "text", "spec": {"replicas": -1, "names": {"one": 1, "two": "2"}}});
        assert_eq!((name(&object), uid(&object), is_deleting(&object)), ("", "", false));
        assert_eq!(number(&object, "/spec/replicas"), None);
        assert_eq!(texts(&object, "/spec/names"), BTreeMap::from([("two".to_owned(), "2".to_owned())]));
        assert!(controller(&object).is_none() && condition(&object, "Ready").is_none());
    }

    #[test]
    fn a_map_is_made_where_a_stranger_put_something_else() {
        let mut object = json!({"metadata": {"annotations": [1]}});
        annotate(&mut object, "one", "1");
        assert_eq!(annotation(&object, "one"), "1");
        let mut object = json!({"metadata": 7});
        annotate(&mut object, "one", "1");
        assert_eq!(annotation(&object, "one"), "1");
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_transition_while_its_status_stays() {
        let mut conditions = Vec::new();
        set_condition(&mut conditions, json!({"type": "Ready", "status": "True"}), "then");
        set_condition(&mut conditions, json!({"type": "Ready", "status": "True", "reason": "Other"}), "now");
        assert_eq!(conditions[0]["lastTransitionTime"], "then");
        set_condition(&mut conditions, json!({"type": "Ready", "status": "False"}), "now");
        assert_eq!((conditions.len(), &conditions[0]["lastTransitionTime"]), (1, &json!("now")));
    }
}

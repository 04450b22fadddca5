//! What a write can own at all, and whose word counts for what was owned before.

use serde_json::{Map, Value, json};

use super::compare::compare;
use super::managers::Managers;
use super::path::Step;
use super::set::Set;
use super::{Conflict, Manager, shape, without_managers};
use crate::simulated::kubernetes::schema::Schema;

/// What says which object it is, or is kept by the server. Nobody owns it.
pub(super) fn never_owned() -> Set {
    let mut set = Set::of(["apiVersion"]).union(&Set::of(["kind"])).union(&Set::of(["metadata"]));
    for name in ["name", "namespace"].into_iter().chain(KEPT_BY_SERVER) {
        set.insert(&[Step::field("metadata"), Step::field(name)]);
    }
    set
}

const KEPT_BY_SERVER: [&str; 6] =
    ["creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion"];

/// What a write to a (sub)resource leaves as it is, whatever it says: `status` where it has a way of its own, and all
/// else on that way.
pub(super) fn ignored(schema: &Schema, subresource: Option<&str>) -> Set {
    let Some(object) = schema.object() else { return Set::default() };
    let of_status = subresource == Some("status");
    let fields = object.fields.iter().filter(|field| of_status != (field.name == "status"));
    fields.fold(Set::default(), |set, field| set.union(&Set::of([field.name])))
}

/// What is left of an applied document that it may say anything about.
pub(super) fn of_document(applied: &Value, ignored: &Set) -> Value {
    let Value::Object(fields) = applied else { return json!({}) };
    let identity = |metadata: &Map<String, Value>| -> Value {
        let names = metadata.iter().filter(|(name, _)| matches!(name.as_str(), "name" | "namespace"));
        names.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
    };
    let described = |metadata: &Map<String, Value>| -> Value {
        let kept = metadata.iter().filter(|(name, _)| !KEPT_BY_SERVER.contains(&name.as_str()));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
    };
    let kept = fields.iter().filter_map(|(name, value)| {
        let out = ignored.has(&Step::field(name));
        let value = match (name.as_str(), value) {
            ("metadata", Value::Object(metadata)) if out => identity(metadata),
            ("metadata", Value::Object(metadata)) => described(metadata),
            ("apiVersion" | "kind", value) => value.clone(),
            (_, value) if !out => value.clone(),
            _ => return None,
        };
        Some((name.clone(), value))
    });
    Value::Object(kept.collect())
}

/// The managers that a write starts from: those that it brings along if they make sense and are any, else those of the
/// live object. A write to a subresource brings none.
pub(super) fn managers_of_write(live: Option<&Value>, next: &Value, manager: &Manager) -> Managers {
    let entries = next.pointer("/metadata/managedFields");
    let plain = manager.subresource.as_deref().unwrap_or_default().is_empty();
    if plain && entries.is_some_and(|entries| *entries == json!([{}])) {
        return Managers::default();
    }
    let brought = Managers::of(next).filter(|managers| plain && !managers.0.is_empty());
    brought.or_else(|| live.and_then(Managers::of)).unwrap_or_default()
}

/// The value with the objects that Kubernetes' own types always have, be they empty, so that nobody owns that they are
/// there.
pub(super) fn with_hollows(schema: &'static Schema, value: &Value) -> Value {
    match (schema, value) {
        (Schema::Object(object), Value::Object(map)) if !object.atomic => {
            let mut map: Map<_, _> = map
                .iter()
                .map(|(name, below)| (name.clone(), with_hollows(schema.at(name).unwrap_or(&Schema::Any), below)))
                .collect();
            for field in object.fields.iter().filter(|field| is_hollow(object.name, field.name)) {
                if map.contains_key(field.name) {
                    continue;
                }
                match field.schema {
                    Schema::Object(inner) if !inner.atomic => {
                        map.insert(field.name.to_owned(), with_hollows(&field.schema, &json!({})));
                    }
                    Schema::List(_) => drop(map.insert(field.name.to_owned(), json!([]))),
                    _ => {}
                }
            }
            map.into()
        }
        (Schema::List(list), Value::Array(items)) => items.iter().map(|item| with_hollows(list.items, item)).collect(),
        (_, value) => value.clone(),
    }
}

/// Whether a field of a type is no pointer in Go, or a list that Go writes also when it is empty.
fn is_hollow(object: &str, field: &str) -> bool {
    object.starts_with("io.k8s.api.")
        && (matches!(field, "metadata" | "spec" | "status" | "strategy" | "template" | "resources" | "loadBalancer")
            || (object, field) == ("io.k8s.api.core.v1.PodSpec", "containers"))
}

/// The conflicts that are left for a manager. kubectl may take what the object's annotation says that kubectl applied on
/// the client, and that still is as it was: that is how its users come to server-side apply.
pub(super) fn left_over(
    schema: &'static Schema,
    live: Option<&Value>,
    manager: &Manager,
    conflicts: Vec<Conflict>,
) -> Vec<Conflict> {
    let annotation = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
    let Some(live) = live.filter(|_| manager.name == "kubectl" && !conflicts.is_empty()) else { return conflicts };
    let last = live.pointer(annotation).and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
    let Some(last) = last.filter(|last| shape::untyped(schema, last).is_empty()) else { return conflicts };
    let change = compare(schema, &last, &without_managers(live.clone()));
    let own = shape::claims(schema, &last).difference(&change.written()).difference(&change.removed);
    conflicts.into_iter().filter(|conflict| !own.contains(&conflict.path.0)).collect()
}

//! What a server fills in where a manifest says nothing, and the addresses that it gives out.
//!
//! The values are those of the API reference. Custom resources carry their defaults in their schemas.

mod service;
mod workload;

use serde_json::{Map, Value, json};

pub(super) use self::service::{allocate, keep_allocated};
use crate::simulated::kubernetes::resource::Resource;
use crate::simulated::kubernetes::schema::{Schema, fill_defaults, quantity, schema_of};

/// Fills in the defaults of a kind. The controllers use it for what they make.
pub fn complete(resource: &Resource, object: &mut Value) {
    match (resource.group, resource.kind) {
        ("", "Namespace") => namespace(object),
        ("", "Pod") => workload::pod(object),
        ("", "Service") => service::service(object),
        ("", "Secret") => secret(object),
        ("apps", "Deployment") => workload::deployment(object),
        ("apps", "ReplicaSet") => workload::replica_set(object),
        ("batch", "Job") => workload::job(object),
        ("policy", "PodDisruptionBudget") => disruption_budget(object),
        ("autoscaling", "HorizontalPodAutoscaler") => default(&mut object["spec"], "minReplicas", 1),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => binding(object),
        _ => {}
    }
    fill_defaults(schema_of(resource), object);
    if resource.is_custom() {
        // Their metadata is of Go's type all the same.
        if let (Some(schema), Some(metadata)) = (schema_of(resource).at("metadata"), object.get_mut("metadata")) {
            canonical(schema, metadata);
        }
    } else {
        canonical(schema_of(resource), object);
    }
}

/// Brings an object into the form in which Go's types write it: empty lists and maps that may be left out are, and
/// amounts stand in their shortest form.
fn canonical(schema: &Schema, value: &mut Value) {
    match (schema, value) {
        (Schema::Object(object), Value::Object(fields)) => {
            for field in object.fields {
                if let Some(value) = fields.get_mut(field.name) {
                    canonical(&field.schema, value);
                }
            }
            fields.retain(|name, value| {
                let droppable = object.field(name).is_some_and(|field| {
                    matches!(field.schema, Schema::List(_) | Schema::Map { .. })
                        && !ALWAYS_WRITTEN.contains(&field.name)
                });
                let empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
                !(droppable && empty)
            });
        }
        (Schema::Map { values, .. }, Value::Object(map)) => {
            map.values_mut().for_each(|value| canonical(values, value));
        }
        (Schema::List(list), Value::Array(items)) => items.iter_mut().for_each(|item| canonical(list.items, item)),
        (Schema::Quantity, amount) => {
            if let Some(text) = quantity::canonical(amount) {
                *amount = text.into();
            }
        }
        _ => {}
    }
}

/// Lists that Go writes also when they are empty.
const ALWAYS_WRITTEN: &[&str] = &["containers", "rules", "endpoints", "addresses", "currentMetrics", "images"];

/// Sets a field that is not there. What should be an object and is none stays: validation says so.
fn default(object: &mut Value, field: &str, value: impl Into<Value>) {
    let Some(fields) = object.as_object_mut() else { return };
    if fields.get(field).is_none_or(Value::is_null) {
        fields.insert(field.to_owned(), value.into());
    }
}

/// The objects of a list.
fn each(list: &mut Value) -> impl Iterator<Item = &mut Value> {
    list.as_array_mut().into_iter().flatten()
}

/// A part of an object, made if it is not there.
fn part<'v>(object: &'v mut Value, field: &str) -> Option<&'v mut Value> {
    let fields = object.as_object_mut()?;
    let part = fields.entry(field).or_insert_with(|| json!({}));
    if part.is_null() {
        *part = json!({});
    }
    part.is_object().then_some(part)
}

/// A part of an object, if it is there.
fn existing<'v>(object: &'v mut Value, field: &str) -> Option<&'v mut Value> {
    object.as_object_mut()?.get_mut(field).filter(|part| !part.is_null())
}

/// The numbers of its status are written also when they are nothing.
fn disruption_budget(object: &mut Value) {
    part(object, "spec");
    if let Some(status) = part(object, "status") {
        for number in ["currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"] {
            default(status, number, 0);
        }
    }
}

fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if let Some(metadata) = part(object, "metadata")
        && let Some(labels) = part(metadata, "labels").and_then(Value::as_object_mut)
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
    let new = object["metadata"]["deletionTimestamp"].is_null();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|_, value| !value.is_null());
    }
    if new {
        if let Some(spec) = part(object, "spec") {
            default(spec, "finalizers", json!(["kubernetes"]));
        }
        if let Some(status) = part(object, "status") {
            default(status, "phase", "Active");
        }
    }
}

/// Text becomes bytes, and is gone.
fn secret(object: &mut Value) {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    default(object, "type", "Opaque");
    let Some(fields) = object.as_object_mut() else { return };
    let Some(Value::Object(texts)) = fields.remove("stringData") else { return };
    if let Value::Object(data) = fields.entry("data").or_insert_with(|| Map::new().into()) {
        for (key, text) in texts {
            data.insert(key, STANDARD.encode(text.as_str().unwrap_or_default()).into());
        }
    }
}

fn binding(object: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    if let Some(role) = existing(object, "roleRef") {
        default(role, "apiGroup", GROUP);
    }
    for subject in each(&mut object["subjects"]) {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            default(subject, "apiGroup", GROUP);
        }
    }
    drop_null(object, "subjects");
}

/// Indexing an object makes the field: an absent one must stay absent.
fn drop_null(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut()
        && fields.get(field).is_some_and(Value::is_null)
    {
        fields.remove(field);
    }
}

//! What an object says of itself, against what the path says.

use serde_json::{Value, json};

use crate::simulated::kubernetes::api::path::Place;
use crate::simulated::kubernetes::status::Status;

/// Holds an object to the kind, the name and the namespace of its path, and fills in what it leaves out.
///
/// # Errors
/// 400 for another kind, name or namespace.
pub(super) fn hold_to(place: &Place, object: &mut Value) -> Result<(), Status> {
    let resource = place.resource;
    let kind = object["kind"].as_str().unwrap_or_default();
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    if (!kind.is_empty() && kind != resource.kind) || (!api_version.is_empty() && api_version != resource.api_version())
    {
        return Err(Status::bad_request(format!(
            "{kind} in version {api_version:?} cannot be handled as a {}: the API version in the data ({api_version}) \
             does not match the expected API version ({})",
            resource.kind,
            resource.api_version()
        )));
    }
    if resource.is_custom() && (kind.is_empty() || api_version.is_empty()) {
        return Err(Status::bad_request("Object 'Kind' is missing in the body of the request"));
    }
    object["kind"] = resource.kind.into();
    object["apiVersion"] = resource.api_version().into();
    match &object["metadata"] {
        Value::Object(_) => {}
        Value::Null => object["metadata"] = json!({}),
        _ => return Err(Status::bad_request("metadata of the object is not an object")),
    }
    for field in ["name", "namespace", "generateName", "uid", "resourceVersion"] {
        if !object["metadata"][field].is_null() && !object["metadata"][field].is_string() {
            return Err(Status::bad_request(format!("metadata.{field} of the object is not a string")));
        }
    }
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let wanted = place.namespace.as_deref().unwrap_or_default();
    if !namespace.is_empty() && namespace != wanted {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if resource.namespaced {
        object["metadata"]["namespace"] = wanted.into();
    } else if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    if let Some(wanted) = &place.name {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            object["metadata"]["name"] = wanted.clone().into();
        } else if name != wanted {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({wanted})"
            )));
        }
    }
    Ok(())
}

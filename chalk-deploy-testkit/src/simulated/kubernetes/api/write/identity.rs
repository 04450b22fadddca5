//! What an object says of itself, against what the path says.

use std::collections::HashSet;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
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

/// The paths of fields that stand twice in the same object of a JSON text. The last one counts, as in every decoder;
/// validation wants to know.
pub(super) fn duplicates(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    // What cannot be read was refused before.
    let _ = deserializer.deserialize_any(Walk { path: String::new(), found: &mut found });
    found
}

struct Walk<'a> {
    path: String,
    found: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0_usize;
        while items.next_element_seed(Walk { path: format!("{}[{index}]", self.path), found: self.found })?.is_some() {
            index += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            if !seen.insert(name) {
                self.found.push(path.clone());
            }
            fields.next_value_seed(Walk { path, found: self.found })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_stands_twice_is_found_wherever_it_is() {
        let text = br#"{"a": {"b": 1, "b": 2}, "c": [{"d": 1}, {"d": 1, "d": null}], "a": true}"#;
        assert_eq!(duplicates(text), ["a.b", "c[1].d", "a"]);
        assert!(duplicates(br#"{"a": {"a": 1}, "b": {"a": 1}}"#).is_empty());
    }
}

//! Whether an object already is what would be applied. Pure.
//!
//! A server-side apply of what is there already still costs a write on some servers, and a new `resourceVersion` wakes
//! every watch. So the live object is compared with the document in both directions, along the fields that we own
//! (`managedFields`): nothing of the document may be missing or different, and we may own nothing that the document no
//! longer names. Whatever is not understood counts as different; then the API server decides.

use serde_json::Value;

use crate::cloud::FIELD_MANAGER;

/// Whether applying the document would change nothing.
pub(super) fn is_applied(live: &Value, document: &Value) -> bool {
    let Some(owned) = owned_by_us(live, &document["apiVersion"]) else { return false };
    let Some(mut document) = document.as_object().cloned() else { return false };
    // What names the object is owned by nobody.
    document.remove("apiVersion");
    document.remove("kind");
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("name");
        metadata.remove("namespace");
    }
    is_same(&Value::Object(document), live, owned)
}

/// The fields of our own applies. A subresource's are not ours.
fn owned_by_us<'live>(live: &'live Value, api_version: &Value) -> Option<&'live Value> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let ours = entries.iter().find(|entry| {
        entry["manager"] == FIELD_MANAGER
            && entry["operation"] == "Apply"
            && entry["apiVersion"] == *api_version
            && entry["subresource"].as_str().unwrap_or_default().is_empty()
    })?;
    ours.get("fieldsV1")
}

fn is_same(wanted: &Value, live: &Value, owned: &Value) -> bool {
    let Some(owned) = owned.as_object() else { return false };
    // A leaf, or a list or map that is owned as a whole.
    if owned.keys().all(|key| key == ".") {
        return wanted == live && !wanted.is_null();
    }
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            let names = owned.keys().filter(|key| *key != ".");
            let is_wanted = |key: &String| key.strip_prefix("f:").is_some_and(|name| wanted.contains_key(name));
            names.into_iter().all(is_wanted)
                && wanted.iter().all(|(name, wanted)| match (live.get(name), owned.get(&format!("f:{name}"))) {
                    (Some(live), Some(owned)) => is_same(wanted, live, owned),
                    _ => false,
                })
        }
        (Value::Array(wanted), Value::Array(live)) => {
            let keys: Vec<_> = owned.iter().filter(|(key, _)| *key != ".").collect();
            keys.len() == wanted.len()
                && keys.into_iter().all(|(key, owned)| match (element(wanted, key), element(live, key)) {
                    (Some(wanted), Some(live)) => is_same(wanted, live, owned),
                    _ => false,
                })
        }
        _ => false,
    }
}

/// The element that a path of `managedFields` means: by the fields that identify it, or by its value.
fn element<'list>(list: &'list [Value], key: &str) -> Option<&'list Value> {
    if let Some(fields) = key.strip_prefix("k:") {
        let fields: serde_json::Map<String, Value> = serde_json::from_str(fields).ok()?;
        return list.iter().find(|element| fields.iter().all(|(name, value)| element.get(name) == Some(value)));
    }
    let value: Value = serde_json::from_str(key.strip_prefix("v:")?).ok()?;
    list.iter().find(|element| **element == value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "a", "uid": "1", "labels": {"x": "1", "theirs": "2"},
                "managedFields": [
                    {"manager": "someone", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"f:metadata": {}}},
                    {"manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": "v1", "fieldsV1": {
                        "f:metadata": {"f:labels": {"f:x": {}}},
                        "f:spec": {
                            "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:protocol": {}}},
                            "f:selector": {},
                        },
                    }},
                ],
            },
            "spec": {
                "clusterIP": "10.0.0.1", "selector": {"app": "a"},
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            },
        })
    }

    fn document() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "labels": {"x": "1"}},
            "spec": {"selector": {"app": "a"}, "ports": [{"port": 80, "protocol": "TCP"}]},
        })
    }

    #[test]
    fn an_object_that_holds_the_document_among_the_work_of_others_is_applied() {
        assert!(is_applied(&live(), &document()));
    }

    #[test]
    fn every_difference_in_either_direction_is_seen() {
        type Change = fn(&mut Value, &mut Value);
        let changes: [(&str, Change); 9] = [
            ("another value wanted", |_, wanted| wanted["metadata"]["labels"]["x"] = json!("2")),
            ("another value stored", |live, _| live["metadata"]["labels"]["x"] = json!("2")),
            ("a new field", |_, wanted| wanted["metadata"]["labels"]["theirs"] = json!("2")),
            ("a field no longer named", |_, wanted| wanted["metadata"] = json!({"name": "a"})),
            ("a list that has grown", |_, wanted| {
                wanted["spec"]["ports"] = json!([{"port": 80, "protocol": "TCP"}, {"port": 81}]);
            }),
            ("a list that is another", |_, wanted| wanted["spec"]["ports"] = json!([{"port": 81, "protocol": "TCP"}])),
            ("an atomic map that is another", |live, _| live["spec"]["selector"]["more"] = json!("x")),
            ("nothing of ours", |live, _| live["metadata"]["managedFields"][1]["manager"] = json!("someone")),
            ("an unknown path", |live, _| {
                live["metadata"]["managedFields"][1]["fieldsV1"]["f:spec"]["f:ports"] = json!({"i:0": {}});
            }),
        ];
        for (what, change) in changes {
            let (mut live, mut wanted) = (live(), document());
            change(&mut live, &mut wanted);
            assert!(!is_applied(&live, &wanted), "{what}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_managed_fields_of_a_stranger_make_it_panic(key in ".{0,20}", value in ".{0,20}") {
            let mut hostile = live();
            hostile["metadata"]["managedFields"][1]["fieldsV1"] = json!({"f:spec": {"f:ports": {key.clone(): {}}, key: value}});
            assert!(!is_applied(&hostile, &document()));
        }
    }
}

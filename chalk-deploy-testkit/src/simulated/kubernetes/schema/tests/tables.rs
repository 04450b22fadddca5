use std::collections::BTreeSet;

use k8s_openapi::serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::super::{Field, List, ListKind, Object, Schema, fill_defaults, is_custom, schema_of, validate};
use super::{full_deployment, told};
use crate::simulated::kubernetes::resource::{self, RESOURCES};

fn each_object(schema: &'static Schema, visit: &mut impl FnMut(&'static Object)) {
    match schema {
        Schema::Object(object) => {
            visit(object);
            object.fields.iter().for_each(|field| each_object(&field.schema, visit));
        }
        Schema::Map { values, .. } => each_object(values, visit),
        Schema::List(list) => each_object(list.items, visit),
        _ => {}
    }
}

#[test]
fn every_kind_has_a_schema_with_its_name() {
    for resource in RESOURCES {
        let object = schema_of(resource).object().expect("a kind is an object");
        assert!(object.name.ends_with(&format!(".{}.{}", resource.version, resource.kind)), "{}", object.name);
        for name in ["apiVersion", "kind", "metadata"] {
            assert!(object.field(name).is_some(), "{} has no {name}", resource.kind);
        }
        // What decides whose business the status is rests on this.
        assert_eq!(object.field("status").is_some(), resource.subresources.contains(&"status"), "{}", resource.kind);
        assert_eq!(
            is_custom(resource),
            resource.group.contains('.')
                && !resource.group.ends_with("authorization.k8s.io")
                && resource.group != "discovery.k8s.io"
        );
    }
}

#[test]
fn the_tables_are_sound() {
    let mut seen = 0;
    for resource in RESOURCES {
        each_object(schema_of(resource), &mut |object| {
            seen += 1;
            let names: BTreeSet<_> = object.fields.iter().map(|field| field.name).collect();
            assert_eq!(names.len(), object.fields.len(), "{} names a field twice", object.name);
            for required in object.required {
                assert!(names.contains(required), "{} requires {required}", object.name);
            }
            for Field { name, schema, default } in object.fields {
                if let Some(default) = default {
                    let parsed = serde_json::from_str::<Value>(default);
                    assert!(parsed.is_ok(), "the default of {name} in {} is no JSON: {default}", object.name);
                }
                let Schema::List(List { items, kind: ListKind::Map(keys), patch }) = schema else { continue };
                let item = items.object().expect("only objects have keys");
                assert!(keys.iter().all(|key| item.field(key).is_some()), "{name} in {} has other keys", object.name);
                let merge_key = patch.and_then(|patch| patch.merge_key);
                assert!(
                    merge_key.is_none_or(|key| keys[0] == key),
                    "{name} in {} is merged by another key",
                    object.name
                );
            }
        });
    }
    assert!(seen > 500, "only {seen} objects were looked at");
}

/// What the types of k8s-openapi keep of an object.
fn through<T: Serialize + DeserializeOwned>(object: &Value) -> Value {
    let typed: T = serde_json::from_value(object.clone()).expect("it is of its type");
    serde_json::to_value(typed).expect("it can be written")
}

#[test]
fn a_full_deployment_passes_and_is_one_by_another_description_too() {
    let object = full_deployment();
    assert_eq!(told(&resource::DEPLOYMENT, &object), Vec::<String>::new());
    let mut normal = object.clone();
    // The one thing that the other writes in another way.
    normal["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = json!("2");
    assert_eq!(through::<k8s_openapi::api::apps::v1::Deployment>(&normal), normal);
}

#[test]
fn one_of_each_other_kind_passes() {
    let objects: Vec<Value> = serde_json::from_str(include_str!("kinds.json")).expect("it is JSON");
    for object in &objects {
        let text = |name: &str| object[name].as_str().expect("it is written above");
        let resource = resource::Resource::of_kind(text("apiVersion"), text("kind")).expect("it is served");
        assert_eq!(told(resource, object), Vec::<String>::new(), "{}", resource.kind);
    }
    assert_eq!(objects.len() + 1, RESOURCES.len(), "with the deployment above there is one of each kind");
}

#[test]
fn custom_resources_get_their_defaults() {
    let mut route =
        json!({"spec": {"rules": [{"backendRefs": [{"name": "blue", "port": 80}]}], "parentRefs": [{"name": "g"}]}});
    fill_defaults(schema_of(&resource::HTTP_ROUTE), &mut route);
    assert_eq!(
        route["spec"],
        json!({
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"}],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"group": "", "kind": "Service", "name": "blue", "port": 80, "weight": 1}],
            }],
        })
    );
    assert!(validate(&resource::HTTP_ROUTE, &json!({"metadata": {"name": "a"}, "spec": route["spec"]})).is_empty());
}

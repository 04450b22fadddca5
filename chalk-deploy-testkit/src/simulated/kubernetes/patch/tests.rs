use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Refusal, json_patch, merge_patch, strategic_patch};
use crate::simulated::kubernetes::resource;
use crate::simulated::kubernetes::schema::{List, Schema, schema_of};

fn patched(document: &Value, operations: &Value) -> Value {
    json_patch(document, operations).expect("the patch fits")
}

#[test]
fn the_operations_of_rfc_6902_do_what_it_says() {
    for (document, operation, expected) in [
        (json!({"a": 1}), json!({"op": "add", "path": "/b", "value": 2}), json!({"a": 1, "b": 2})),
        (json!({"a": [1, 3]}), json!({"op": "add", "path": "/a/1", "value": 2}), json!({"a": [1, 2, 3]})),
        (json!({"a": [1]}), json!({"op": "add", "path": "/a/-", "value": 2}), json!({"a": [1, 2]})),
        (json!({"a": 1}), json!({"op": "add", "path": "/a", "value": null}), json!({"a": null})),
        (json!({"a": 1}), json!({"op": "add", "path": "", "value": [1]}), json!([1])),
        (json!({"a": [1, 2]}), json!({"op": "remove", "path": "/a/0"}), json!({"a": [2]})),
        (json!({"a/b": 1, "c~d": 2}), json!({"op": "remove", "path": "/a~1b"}), json!({"c~d": 2})),
        (json!({"c~1d": 2}), json!({"op": "replace", "path": "/c~01d", "value": 3}), json!({"c~1d": 3})),
        (json!({"a": {"b": 1}}), json!({"op": "move", "from": "/a/b", "path": "/c"}), json!({"a": {}, "c": 1})),
        (
            json!({"a": {"b": 1}}),
            json!({"op": "copy", "from": "/a", "path": "/c"}),
            json!({"a": {"b": 1}, "c": {"b": 1}}),
        ),
        (json!({"a": 1}), json!({"op": "test", "path": "/a", "value": 1}), json!({"a": 1})),
        (json!({"a": 1}), json!({"op": "test", "path": "/b", "value": null}), json!({"a": 1})),
    ] {
        assert_eq!(patched(&document, &json!([operation])), expected, "{operation}");
    }
}

#[test]
fn an_operation_that_does_not_fit_names_what_failed() {
    let document = json!({"a": [1], "b": {"c": 1}});
    for (operation, why) in [
        (
            json!({"op": "remove", "path": "/x"}),
            "remove operation does not apply: doc is missing path: /x: missing value",
        ),
        (
            json!({"op": "replace", "path": "/x/y", "value": 1}),
            "replace operation does not apply: doc is missing path: /x/y: missing value",
        ),
        (
            json!({"op": "add", "path": "/x/y", "value": 1}),
            "add operation does not apply: doc is missing path: /x/y: missing value",
        ),
        (
            json!({"op": "add", "path": "/a/7", "value": 1}),
            "add operation does not apply: unable to access invalid index: 7: invalid index referenced",
        ),
        (
            json!({"op": "add", "path": "/a/01", "value": 1}),
            "add operation does not apply: unable to access invalid index: 01: invalid index referenced",
        ),
        (
            json!({"op": "remove", "path": "/a/-"}),
            "remove operation does not apply: doc is missing path: /a/-: missing value",
        ),
        (
            json!({"op": "move", "from": "/b", "path": "/b/c"}),
            "move operation does not apply: /b cannot be moved into itself",
        ),
        (json!({"op": "test", "path": "/b/c", "value": 2}), "testing value /b/c failed: test failed"),
    ] {
        let refusal = json_patch(&document, &json!([operation])).expect_err("it does not fit");
        assert_eq!(refusal, Refusal::DoesNotFit(why.to_owned()));
        let status = refusal.status();
        assert_eq!(status.code, http::StatusCode::UNPROCESSABLE_ENTITY);
        assert!(status.message.contains(why));
    }
}

#[test]
fn what_is_no_json_patch_is_malformed() {
    for operations in [
        json!({}),
        json!([1]),
        json!([{"op": "grow", "path": "/a"}]),
        json!([{"op": "remove"}]),
        json!([{"op": "remove", "path": "a"}]),
        json!([{"op": "add", "path": "/a"}]),
        json!([{"op": "move", "path": "/a"}]),
    ] {
        let refusal = json_patch(&json!({"a": 1}), &operations).expect_err("it is no patch");
        assert_eq!(refusal.status().code, http::StatusCode::BAD_REQUEST, "{operations}");
    }
}

#[test]
fn patches_that_grow_without_bounds_are_stopped() {
    let many = Value::from(vec![json!({"op": "test", "path": "/x", "value": null}); 10_001]);
    assert!(matches!(json_patch(&json!({}), &many), Err(Refusal::TooLarge(_))));
    let doubling = Value::from(vec![json!({"op": "copy", "from": "/a", "path": "/a/-"}); 64]);
    assert!(matches!(json_patch(&json!({"a": ["x".repeat(100)]}), &doubling), Err(Refusal::TooLarge(_))));
    let deep = Value::from(vec![json!({"op": "copy", "from": "/a", "path": "/a/a"}); 1000]);
    assert!(matches!(json_patch(&json!({"a": {}}), &deep), Err(Refusal::TooLarge(_))));
    let path = "/a".repeat(200);
    let deeper: Value = (1..=200).map(|depth| json!({"op": "add", "path": path[..2 * depth], "value": {}})).collect();
    assert!(matches!(json_patch(&json!({}), &deeper), Err(Refusal::TooLarge(_))));
}

#[test]
fn the_examples_of_rfc_7386_hold() {
    for (document, patch, expected) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(null), json!(null)),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ] {
        assert_eq!(merge_patch(&document, &patch), expected);
    }
}

fn pod(spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": "engine"}});
    pod["spec"] = spec;
    pod
}

fn strategic(before: Value, patch: Value) -> Value {
    strategic_patch(schema_of(&resource::POD), &pod(before), &pod(patch)).expect("the patch fits")["spec"].clone()
}

#[test]
fn lists_are_merged_by_the_keys_of_the_schema() {
    let before = json!({"containers": [{"name": "a", "image": "1", "args": ["x", "y"]}, {"name": "b", "image": "1"}]});
    let after = strategic(
        before,
        json!({"containers": [{"name": "b", "image": "2"}, {"name": "a", "args": ["z"]}, {"name": "c"}]}),
    );
    assert_eq!(
        after,
        json!({"containers": [{"name": "b", "image": "2"}, {"name": "a", "image": "1", "args": ["z"]}, {"name": "c"}]}),
        "in the order of the patch"
    );
}

#[test]
fn directives_delete_replace_and_merge() {
    let before = || json!({"containers": [{"name": "a"}, {"name": "b"}], "nodeSelector": {"zone": "1"}});
    let after = strategic(
        before(),
        json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "gone", "$patch": "delete"}]}),
    );
    assert_eq!(after["containers"], json!([{"name": "b"}]));
    let after = strategic(before(), json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}));
    assert_eq!(after["containers"], json!([{"name": "c"}]));
    let after = strategic(before(), json!({"containers": [{"name": "a", "image": "1", "$patch": "merge"}]}));
    assert_eq!(after["containers"], json!([{"name": "a", "image": "1"}, {"name": "b"}]));
    let after = strategic(before(), json!({"nodeSelector": {"$patch": "replace", "disk": "ssd"}}));
    assert_eq!(after["nodeSelector"], json!({"disk": "ssd"}));
    let after = strategic(before(), json!({"nodeSelector": {"$patch": "delete"}}));
    assert_eq!(after["nodeSelector"], json!({}));
    let after = strategic(before(), json!({"nodeSelector": null}));
    assert_eq!(after.get("nodeSelector"), None);
}

#[test]
fn sets_lose_and_gain_values() {
    let patch = json!({"metadata": {
        "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["b", "c"], "$setElementOrder/finalizers": ["c", "b"],
    }});
    let before = json!({"metadata": {"finalizers": ["a", "b"]}});
    let after = strategic_patch(schema_of(&resource::POD), &before, &patch);
    // What the patch lists must stand in the order that it asks for.
    assert!(matches!(after, Err(Refusal::Malformed(_))));
    let patch = json!({"metadata": {
        "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"], "$setElementOrder/finalizers": ["c", "b"],
    }});
    let after = strategic_patch(schema_of(&resource::POD), &before, &patch).expect("the patch fits");
    assert_eq!(after, json!({"metadata": {"finalizers": ["c", "b"]}}));
}

#[test]
fn the_order_is_that_of_the_patch_and_strangers_stay_where_they_stood() {
    let names = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Value>();
    let before = json!({"containers": names(&["a", "x", "b"])});
    let after = strategic(before.clone(), json!({"$setElementOrder/containers": names(&["b", "a"])}));
    assert_eq!(after["containers"], names(&["x", "b", "a"]));
    let patch = json!({"containers": names(&["n"]), "$setElementOrder/containers": names(&["a", "n", "b"])});
    assert_eq!(strategic(before, patch)["containers"], names(&["a", "n", "x", "b"]));
}

#[test]
fn a_union_keeps_only_what_is_retained() {
    let before = json!({"volumes": [{"name": "data", "emptyDir": {}}]});
    let patch =
        json!({"volumes": [{"name": "data", "configMap": {"name": "c"}, "$retainKeys": ["name", "configMap"]}]});
    assert_eq!(strategic(before.clone(), patch)["volumes"], json!([{"name": "data", "configMap": {"name": "c"}}]));
    let bad = json!({"volumes": [{"name": "data", "configMap": {}, "$retainKeys": ["name"]}]});
    let refusal =
        strategic_patch(schema_of(&resource::POD), &pod(before), &pod(bad)).expect_err("it contradicts itself");
    assert_eq!(refusal, Refusal::Malformed("invalid patch format of retainKeys".to_owned()));
}

#[test]
fn a_patch_that_cannot_be_told_apart_is_refused() {
    let refused = |patch: Value| {
        strategic_patch(schema_of(&resource::POD), &pod(json!({"nodeSelector": {"a": "b"}})), &pod(patch))
            .expect_err("it is refused")
    };
    let refusal = refused(json!({"containers": [{"image": "x"}]}));
    assert_eq!(refusal.to_string(), "map: {\"image\":\"x\"} does not contain declared merge key: name");
    assert_eq!(
        refused(json!({"nodeSelector": {"$patch": "grow"}})),
        Refusal::Malformed("unknown patch type: \"grow\"".to_owned())
    );
    assert_eq!(refused(json!({"$retainKeys": 1})).status().code, http::StatusCode::BAD_REQUEST);
}

/// The patch that makes one object of another, as kubectl computes it.
fn difference(schema: &'static Schema, before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in after.iter().filter(|(name, value)| before.get(*name) != Some(value)) {
        let below = schema.at(name).unwrap_or(&Schema::Any);
        match (below, before.get(name), value) {
            (Schema::List(list @ List { patch: Some(how), .. }), Some(Value::Array(old)), Value::Array(new)) => {
                let items = if let Some(key) = how.merge_key {
                    list_difference(list, key, old, new)
                } else {
                    let gone = old.iter().filter(|item| !new.contains(item)).cloned().collect();
                    patch.insert(format!("$deleteFromPrimitiveList/{name}"), gone);
                    new.iter().filter(|item| !old.contains(item)).cloned().collect()
                };
                let order = match how.merge_key {
                    Some(key) => new.iter().map(|item| json!({key: item[key]})).collect(),
                    None => value.clone(),
                };
                patch.insert(format!("$setElementOrder/{name}"), order);
                patch.insert(name.clone(), items.into());
            }
            (_, Some(Value::Object(old)), Value::Object(new)) => {
                patch.insert(name.clone(), difference(below, old, new).into());
            }
            (_, _, value) => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    patch
}

fn list_difference(list: &'static List, key: &str, old: &[Value], new: &[Value]) -> Vec<Value> {
    let find = |items: &[Value], item: &Value| items.iter().find(|other| other[key] == item[key]).cloned();
    let gone = old.iter().filter(|item| find(new, item).is_none());
    let mut items: Vec<Value> = gone.map(|item| json!({key: item[key], "$patch": "delete"})).collect();
    for item in new {
        match find(old, item) {
            None => items.push(item.clone()),
            Some(before) if before == *item => {}
            Some(before) => {
                let (Value::Object(before), Value::Object(after)) = (&before, item) else { continue };
                let mut patch = difference(list.items, before, after);
                patch.insert(key.to_owned(), item[key].clone());
                items.push(patch.into());
            }
        }
    }
    items
}

fn pods() -> impl Strategy<Value = Value> {
    let names = || prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4).prop_shuffle();
    let container = (names(), "[xy]", prop::option::of("[xy]"), names()).prop_map(|(env, value, image, args)| {
        let env: Value = env.into_iter().map(|name| json!({"name": name, "value": value})).collect();
        let mut container = json!({"env": env, "args": args});
        if let Some(image) = image {
            container["image"] = image.into();
        }
        container
    });
    let containers = (names(), prop::collection::vec(container, 4)).prop_map(|(names, containers)| {
        let with_name = |(name, mut container): (&str, Value)| {
            container["name"] = name.into();
            container
        };
        names.into_iter().zip(containers).map(with_name).collect::<Value>()
    });
    (containers, names(), prop::collection::btree_map("[abc]", "[xy]", 0..3)).prop_map(|(containers, finalizers, labels)| {
        json!({"metadata": {"finalizers": finalizers, "labels": labels}, "spec": {"containers": containers}})
    })
}

proptest! {
    #[test]
    fn the_difference_of_two_objects_makes_one_of_the_other(before in pods(), after in pods()) {
        let schema = schema_of(&resource::POD);
        let (Value::Object(old), Value::Object(new)) = (&before, &after) else { return Ok(()) };
        let patch = Value::Object(difference(schema, old, new));
        let patched = strategic_patch(schema, &before, &patch);
        prop_assert_eq!(patched, Ok(after), "{}", patch);
    }

    #[test]
    fn a_merge_patch_may_come_twice(document in json_values(), patch in json_values()) {
        let once = merge_patch(&document, &patch);
        prop_assert_eq!(merge_patch(&once, &patch), once);
    }

    #[test]
    fn no_patch_makes_it_panic(document in json_values(), patch in json_values(), operations in prop::collection::vec(operations(), 0..6)) {
        let _ = strategic_patch(schema_of(&resource::POD), &document, &patch);
        let _ = json_patch(&document, &patch);
        let _ = json_patch(&document, &operations.into());
    }
}

fn operations() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec!["add", "remove", "replace", "move", "copy", "test"]);
    (words, "(/(spec|containers|0|1|-|~1|~0|))*", "(/(spec|containers|0))*", json_values())
        .prop_map(|(op, path, from, value)| json!({"op": op, "path": path, "from": from, "value": value}))
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from)];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let names = prop::sample::select(vec![
            "spec",
            "containers",
            "name",
            "volumes",
            "metadata",
            "finalizers",
            "$patch",
            "$retainKeys",
            "$setElementOrder/containers",
            "$setElementOrder/finalizers",
            "$deleteFromPrimitiveList/finalizers",
        ]);
        let names = names.prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

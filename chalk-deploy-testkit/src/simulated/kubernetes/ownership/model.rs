//! Ownership against a model of it: leaves with values, and managers with the leaves that they applied.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::path::{Path, Step};
use super::set::Set;
use super::shape::{Shape, claims, name_of, shape_of};
use super::{Conflicts, Manager, apply, merge, update};
use crate::simulated::kubernetes::schema::{Field, Format, List, ListKind, Object, Schema};

const TEXT: Schema = Schema::Text(Format::Plain);
const NUMBER: Schema = Schema::Integer { wide: true, least: i64::MIN, most: i64::MAX };
const LABELS: Schema = Schema::Map { values: &TEXT, atomic: false };
const CHOICE: Schema = Schema::Object(&Object { atomic: true, ..object(&[field("a", TEXT), field("b", TEXT)]) });
const ITEM: Schema = Schema::Object(&object(&[
    field("name", TEXT),
    field("text", TEXT),
    field("labels", LABELS),
    field("choice", CHOICE),
]));
const PORT: Schema = Schema::Object(&object(&[
    field("port", NUMBER),
    Field { default: Some("\"TCP\""), ..field("protocol", TEXT) },
    field("text", TEXT),
]));
const INNER: Schema = Schema::Object(&object(&[field("text", TEXT), field("labels", LABELS)]));
const SPEC: Schema = Schema::Object(&object(&[
    field("text", TEXT),
    field("count", NUMBER),
    field("args", list(&TEXT, ListKind::Atomic)),
    field("tags", list(&TEXT, ListKind::Set)),
    field("labels", LABELS),
    field("choice", CHOICE),
    field("inner", INNER),
    field("items", list(&ITEM, ListKind::Map(&["name"]))),
    field("ports", list(&PORT, ListKind::Map(&["port", "protocol"]))),
]));
const METADATA: Schema = Schema::Object(&object(&[field("name", TEXT), field("labels", LABELS)]));
static THING: Schema = Schema::Object(&object(&[field("metadata", METADATA), field("spec", SPEC)]));

const fn object(fields: &'static [Field]) -> Object {
    Object { name: "", fields, required: &[], atomic: false, retain_keys: false, replaced: false }
}

const fn field(name: &'static str, schema: Schema) -> Field {
    Field { name, schema, default: None }
}

const fn list(items: &'static Schema, kind: ListKind) -> Schema {
    Schema::List(List { items, kind, patch: None })
}

/// A value of a schema, made from a stream of choices; none for what would be empty.
fn made(schema: &'static Schema, choices: &mut impl Iterator<Item = u8>) -> Option<Value> {
    let mut letter = || ["a", "b", "c"][usize::from(choices.next().unwrap_or(0)) % 3];
    match schema {
        Schema::Text(_) => Some(letter().into()),
        Schema::Integer { .. } => Some((choices.next().unwrap_or(0) % 3).into()),
        Schema::Map { values, .. } => {
            let keys = ["a", "b", "c"].into_iter().filter(|_| choices.next().unwrap_or(0) % 2 == 1).collect::<Vec<_>>();
            let entries: serde_json::Map<_, _> =
                keys.into_iter().filter_map(|key| Some((key.to_owned(), made(values, choices)?))).collect();
            Some(entries).filter(|entries| !entries.is_empty()).map(Value::Object)
        }
        Schema::Object(object) => {
            let mut map = serde_json::Map::new();
            for field in object.fields {
                let key = matches!(field.name, "name" | "port");
                if key || choices.next().unwrap_or(0) % 3 == 1 {
                    map.extend(made(&field.schema, choices).map(|value| (field.name.to_owned(), value)));
                }
            }
            Some(map).filter(|map| !map.is_empty()).map(Value::Object)
        }
        Schema::List(list) => {
            let count = choices.next().unwrap_or(0) % 4;
            let mut items: Vec<Value> = (0..count).filter_map(|_| made(list.items, choices)).collect();
            if list.kind == ListKind::Atomic {
                return Some(items.into());
            }
            let mut seen = BTreeSet::new();
            items.retain(|item| name_of(list, item).is_ok_and(|name| seen.insert(name)));
            Some(items).filter(|items| !items.is_empty()).map(Value::Array)
        }
        _ => None,
    }
}

fn document(choices: &[u8]) -> Value {
    let mut choices = choices.iter().copied();
    let mut document = json!({"metadata": {"name": "thing"}});
    if let Some(labels) = made(&LABELS, &mut choices) {
        document["metadata"]["labels"] = labels;
    }
    if let Some(spec) = made(&SPEC, &mut choices) {
        document["spec"] = spec;
    }
    document
}

fn documents() -> impl Strategy<Value = Value> {
    prop::collection::vec(any::<u8>(), 0..80).prop_map(|choices| document(&choices))
}

/// The leaves of a value with what they hold. An item of a list is one too, so that it is there without any.
fn leaves(schema: &'static Schema, value: &Value) -> BTreeMap<Path, Value> {
    fn gather(schema: &'static Schema, value: &Value, path: &mut Vec<Step>, leaves: &mut BTreeMap<Path, Value>) {
        match shape_of(schema, value) {
            Shape::Leaf => {
                leaves.insert(Path(path.clone()), value.clone());
            }
            Shape::Fields(map) => {
                for (name, below) in map {
                    path.push(Step::field(name));
                    gather(schema.at(name).unwrap_or(&Schema::Any), below, path, leaves);
                    path.pop();
                }
            }
            Shape::Items(list, items) => {
                for item in items {
                    path.push(name_of(list, item).expect("made items have names"));
                    leaves.insert(Path(path.clone()), Value::Null);
                    gather(list.items, item, path, leaves);
                    path.pop();
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    gather(schema, value, &mut Vec::new(), &mut found);
    let bare = ["managedFields", "name"].map(|name| Path(vec![Step::field("metadata"), Step::field(name)]));
    found.retain(|path, _| !bare.iter().any(|bare| path.0.starts_with(&bare.0)));
    found
}

fn manager(name: &str) -> Manager {
    Manager { name: name.to_owned(), api_version: "test/v1".to_owned(), subresource: None }
}

fn owned(object: &Value) -> BTreeMap<String, Set> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let owned = |entry: &Value| {
        let name = entry["manager"].as_str().expect("a manager has a name").to_owned();
        (name, Set::of_fields_v1(&entry["fieldsV1"]).expect("what was written can be read"))
    };
    entries.iter().map(owned).collect()
}

#[derive(Default)]
struct Model {
    values: BTreeMap<Path, Value>,
    owners: BTreeMap<String, BTreeSet<Path>>,
}

impl Model {
    fn contested(&self, name: &str, wanted: &BTreeMap<Path, Value>) -> BTreeSet<Path> {
        let others = self.owners.iter().filter(|(other, _)| *other != name).flat_map(|(_, paths)| paths);
        let differs = |path: &&Path| wanted.get(path).is_some_and(|value| self.values.get(path) != Some(value));
        others.filter(differs).cloned().collect()
    }

    fn apply(&mut self, name: &str, wanted: &BTreeMap<Path, Value>) {
        let contested = self.contested(name, wanted);
        for (_, paths) in self.owners.iter_mut().filter(|(other, _)| *other != name) {
            paths.retain(|path| !contested.contains(path));
        }
        self.values.extend(wanted.iter().map(|(path, value)| (path.clone(), value.clone())));
        self.owners.insert(name.to_owned(), wanted.keys().cloned().collect());
        let all: BTreeSet<&Path> = self.owners.values().flatten().collect();
        self.values.retain(|path, _| all.contains(path));
        self.owners.retain(|_, paths| !paths.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_run_of_applies_is_that_of_the_model(
        steps in prop::collection::vec((0..3_usize, any::<bool>(), documents()), 1..8)
    ) {
        let mut model = Model::default();
        let mut live: Option<Value> = None;
        for (who, force, document) in steps {
            let name = ["one", "two", "three"][who];
            let wanted = leaves(&THING, &document);
            match apply(&THING, live.as_ref(), &document, &manager(name), force, "now") {
                Err(Conflicts::Owned(conflicts)) => {
                    let told: BTreeSet<Path> = conflicts.into_iter().map(|conflict| conflict.path).collect();
                    prop_assert!(!force);
                    prop_assert_eq!(told, model.contested(name, &wanted));
                }
                Err(refusal) => prop_assert!(false, "a document of its type is not refused: {refusal:?}"),
                Ok(next) => {
                    prop_assert!(force || model.contested(name, &wanted).is_empty());
                    model.apply(name, &wanted);
                    prop_assert_eq!(&leaves(&THING, &next), &model.values);
                    let owned = owned(&next);
                    prop_assert_eq!(owned.keys().collect::<Vec<_>>(), model.owners.keys().collect::<Vec<_>>());
                    for (name, paths) in &model.owners {
                        prop_assert_eq!(&owned[name].paths().into_iter().collect::<BTreeSet<_>>(), paths);
                    }
                    live = Some(next);
                }
            }
        }
    }

    #[test]
    fn applying_twice_is_applying_once(before in documents(), document in documents()) {
        let live = update(&THING, None, before, &manager("creator"), "then");
        let once = apply(&THING, Some(&live), &document, &manager("one"), true, "now").expect("force is stronger");
        let twice = apply(&THING, Some(&once), &document, &manager("one"), false, "later").expect("it owns what it says");
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_is_owned_is_there(before in documents(), document in documents(), after in documents()) {
        let live = update(&THING, None, before, &manager("creator"), "then");
        let live = apply(&THING, Some(&live), &document, &manager("one"), true, "now").expect("force is stronger");
        // Whoever updates sends the whole object, with its managed fields.
        let mut after = after;
        after["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
        for object in [update(&THING, Some(&live), after, &manager("editor"), "later"), live] {
            let mut all = claims(&THING, &object);
            for path in all.clone().paths() {
                (1..path.0.len()).for_each(|length| all.insert(&path.0[..length]));
            }
            for (name, set) in owned(&object) {
                let gone = set.difference(&all);
                prop_assert!(gone.is_empty(), "{name} owns what is not there: {:?}", gone.paths());
            }
        }
    }

    #[test]
    fn an_update_owns_exactly_what_it_changed(before in documents(), after in documents()) {
        let live = update(&THING, None, before.clone(), &manager("creator"), "then");
        let next = update(&THING, Some(&live), after.clone(), &manager("editor"), "now");
        let (before, after) = (leaves(&THING, &before), leaves(&THING, &after));
        let tracked = !self::owned(&live).is_empty();
        let owned = owned(&next);
        prop_assert!(tracked || owned.is_empty(), "owners are tracked from the beginning or not at all");
        for (path, value) in after.iter().filter(|_| tracked) {
            let owner = if before.get(path) == Some(value) { "creator" } else { "editor" };
            for name in ["creator", "editor"] {
                let owns = owned.get(name).is_some_and(|set| set.contains(&path.0));
                prop_assert_eq!(owns, name == owner, "{} of {}", name, path);
            }
        }
    }

    #[test]
    fn merging_lays_one_over_the_other(live in documents(), applied in documents()) {
        let merged = merge::merge(&THING, &live, &applied);
        let mut expected = leaves(&THING, &live);
        expected.extend(leaves(&THING, &applied));
        prop_assert_eq!(leaves(&THING, &merged), expected);
        prop_assert_eq!(&merge::merge(&THING, &merged, &applied), &merged);
    }

    #[test]
    fn fields_v1_is_read_as_it_was_written(document in documents()) {
        let set = claims(&THING, &document);
        prop_assert_eq!(Set::of_fields_v1(&set.fields_v1()), Some(set));
    }

    #[test]
    fn sets_of_paths_are_sets(one in documents(), other in documents()) {
        let (one, other) = (claims(&THING, &one), claims(&THING, &other));
        let plain = |set: &Set| set.paths().into_iter().collect::<BTreeSet<_>>();
        let (first, second) = (plain(&one), plain(&other));
        prop_assert_eq!(plain(&one.union(&other)), first.union(&second).cloned().collect());
        prop_assert_eq!(plain(&one.intersection(&other)), first.intersection(&second).cloned().collect());
        prop_assert_eq!(plain(&one.difference(&other)), first.difference(&second).cloned().collect());
        let below = |path: &&Path| !second.iter().any(|other| path.0.starts_with(&other.0));
        prop_assert_eq!(plain(&one.outside(&other)), first.iter().filter(below).cloned().collect());
        prop_assert_eq!(one.difference(&one), Set::default());
        prop_assert_eq!(first.into_iter().collect::<Set>(), one);
    }

    #[test]
    fn no_object_and_no_managed_fields_make_it_panic(
        live in hostile(), applied in hostile(), entries in hostile(), force in any::<bool>()
    ) {
        let mut object = json!({"metadata": {"name": "thing", "managedFields": entries}, "spec": live.clone()});
        for live in [live, object.clone()] {
            let _ = apply(&THING, Some(&live), &applied, &manager("one"), force, "now");
            let document = json!({"spec": applied});
            let _ = apply(&THING, Some(&live), &document, &manager("one"), force, "now");
            let _ = update(&THING, Some(&live), document, &manager("one"), "now");
        }
        object["metadata"]["managedFields"] = json!([{
            "manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": entries,
        }]);
        let _ = apply(&THING, Some(&object), &json!({"spec": {}}), &manager("x"), force, "now");
    }
}

/// Any JSON, with the names that mean something.
fn hostile() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z:.{}\"]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let names = prop_oneof![
            Just("spec".to_owned()),
            Just("metadata".to_owned()),
            Just("items".to_owned()),
            Just("name".to_owned()),
            Just("ports".to_owned()),
            Just("tags".to_owned()),
            Just("f:spec".to_owned()),
            Just("k:{\"name\":\"a\"}".to_owned()),
            Just("k:[]".to_owned()),
            Just("v:".to_owned()),
            Just("i:-1".to_owned()),
            Just(".".to_owned()),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

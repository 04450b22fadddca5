//! What changed between two objects, as sets of paths.

use std::collections::BTreeSet;

use serde_json::Value;

use super::path::Step;
use super::set::Set;
use super::shape::{Shape, by_name, same, shape_of};
use crate::simulated::kubernetes::schema::{List, Schema};

/// What changed. A path that came or went counts with all that lies below it; one whose leaf changed counts alone.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: Set,
    pub(super) modified: Set,
    pub(super) removed: Set,
}

impl Comparison {
    /// What the change wrote.
    pub(super) fn written(&self) -> Set {
        self.added.union(&self.modified)
    }

    /// Without what lies below some paths.
    pub(super) fn outside(&self, ignored: &Set) -> Self {
        Self {
            added: self.added.outside(ignored),
            modified: self.modified.outside(ignored),
            removed: self.removed.outside(ignored),
        }
    }
}

/// Compares two objects.
pub(super) fn compare(schema: &'static Schema, before: &Value, after: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    Walk { path: Vec::new(), comparison: &mut comparison }.both(schema, Some(before), Some(after));
    comparison
}

struct Walk<'c> {
    path: Vec<Step>,
    comparison: &'c mut Comparison,
}

impl Walk<'_> {
    fn both(&mut self, schema: &'static Schema, before: Option<&Value>, after: Option<&Value>) {
        let shape = |value: Option<&'_ Value>| -> Side { value.map_or(Side::Nothing, |value| side(schema, value)) };
        match (shape(before), shape(after)) {
            // Two that are empty are leaves too: whether there is nothing or an empty one is a difference of its own.
            (Side::Leaf, _) | (_, Side::Leaf) | (Side::Nothing | Side::Empty, Side::Nothing | Side::Empty) => {
                self.leaf(schema, before, after);
            }
            _ => self.inner(schema, before, after),
        }
    }

    fn leaf(&mut self, schema: &'static Schema, before: Option<&Value>, after: Option<&Value>) {
        match (before, after) {
            (None, None) => {}
            (None, Some(_)) => self.comparison.added.insert(&self.path),
            (Some(before), None) => {
                // What it held had owners of its own, if it was no leaf.
                if !matches!(shape_of(schema, before), Shape::Leaf) {
                    self.inner(schema, Some(before), None);
                }
                self.comparison.removed.insert(&self.path);
            }
            (Some(before), Some(after)) => {
                if !same(schema, before, after) {
                    self.comparison.modified.insert(&self.path);
                    // The other side may be no leaf: null where there was a map, another type in what has no schema.
                    if !matches!(shape_of(schema, before), Shape::Leaf) {
                        self.inner(schema, Some(before), None);
                        self.comparison.removed = self.comparison.removed.difference(&single(&self.path));
                    }
                    if !matches!(shape_of(schema, after), Shape::Leaf) {
                        self.inner(schema, None, Some(after));
                        self.comparison.added = self.comparison.added.difference(&single(&self.path));
                    }
                }
            }
        }
    }

    fn inner(&mut self, schema: &'static Schema, before: Option<&Value>, after: Option<&Value>) {
        match schema {
            Schema::List(list) => self.items(list, before, after),
            _ => self.fields(schema, before, after),
        }
        match (before, after) {
            (None, Some(_)) => self.comparison.added.insert(&self.path),
            (Some(_), None) => self.comparison.removed.insert(&self.path),
            _ => {}
        }
    }

    fn fields(&mut self, schema: &'static Schema, before: Option<&Value>, after: Option<&Value>) {
        let fields = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
        let (before, after) = (fields(before), fields(after));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            self.path.push(Step::field(name));
            self.both(schema.at(name).unwrap_or(&Schema::Any), before.get(name), after.get(name));
            self.path.pop();
        }
    }

    fn items(&mut self, list: &'static List, before: Option<&Value>, after: Option<&Value>) {
        let items = |value: Option<&'_ Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
        let (before, after) = (items(before), items(after));
        let (before, after) = (by_name(list, &before), by_name(list, &after));
        let names: BTreeSet<&Step> = before.keys().chain(after.keys()).collect();
        for name in names {
            let before = before.get(name).map_or(&[][..], Vec::as_slice);
            let after = after.get(name).map_or(&[][..], Vec::as_slice);
            self.path.push(name.clone());
            match (before, after) {
                ([] | [_], [] | [_]) => self.both(list.items, before.first().copied(), after.first().copied()),
                // Items that share a name are one leaf.
                (before, after) => {
                    if before.is_empty() {
                        self.comparison.added.insert(&self.path);
                    } else if after.is_empty() {
                        self.comparison.removed.insert(&self.path);
                    } else if before != after {
                        self.comparison.modified.insert(&self.path);
                    }
                }
            }
            self.path.pop();
        }
    }
}

enum Side {
    Nothing,
    Empty,
    Leaf,
    Full,
}

fn side(schema: &'static Schema, value: &Value) -> Side {
    match shape_of(schema, value) {
        Shape::Leaf => Side::Leaf,
        Shape::Fields(map) if map.is_empty() => Side::Empty,
        Shape::Items(_, []) => Side::Empty,
        Shape::Fields(_) | Shape::Items(..) => Side::Full,
    }
}

fn single(path: &[Step]) -> Set {
    let mut set = Set::default();
    set.insert(path);
    set
}

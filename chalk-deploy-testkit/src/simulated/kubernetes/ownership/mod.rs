//! Who owns which field: server-side apply as `structured-merge-diff` does it.
//!
//! Every manager owns a set of paths, kept in `metadata.managedFields`. [`apply`] merges a document into the object,
//! takes away what its manager applied before and nobody else owns, and is refused where it would change what another
//! owns. [`update`] records what any other write changed.
//!
//! - [`path`], [`set`]: paths and sets of them, in the form `FieldsV1`.
//! - `shape`: which parts of a value have owners of their own.
//! - `compare`, `merge`: the two walks over a pair of values.
//! - `managers`: the entries of `managedFields`.
//! - [`Conflicts`]: why an apply is refused.

mod compare;
mod managers;
mod merge;
#[cfg(test)]
mod model;
pub mod path;
mod refusal;
mod scope;
pub mod set;
mod shape;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use self::compare::{Comparison, compare};
use self::managers::{Entry, Managers, Operation};
pub use self::refusal::{Conflict, Conflicts};
use self::set::Set;
use super::schema::Schema;

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// The field manager.
    pub name: String,
    /// The version in which it speaks of the object.
    pub api_version: String,
    /// The subresource that it writes to, such as `status`.
    pub subresource: Option<String>,
}

/// Applies a document: the object as it is to be stored, with its managed fields. What changes nothing gives the live
/// object as it was.
pub fn apply(
    schema: &'static Schema,
    live: Option<&Value>,
    applied: &Value,
    manager: &Manager,
    force: bool,
    now: &str,
) -> Result<Value, Conflicts> {
    if applied.pointer("/metadata/managedFields").is_some_and(|entries| !entries.is_null()) {
        return Err(Conflicts::ManagedFields);
    }
    let reasons = shape::untyped(schema, applied);
    if !reasons.is_empty() {
        return Err(Conflicts::Untyped { object: describe(applied), reasons });
    }
    let ignored = scope::ignored(schema, manager.subresource.as_deref());
    let applied = scope::of_document(applied, &ignored);
    let (bare, mut managers) = opened(schema, live, manager, now);

    let me = Entry::new(manager, Operation::Apply, now);
    let before = managers.find(&me).cloned();
    let claims = shape::claims(schema, &applied);
    managers.put(Entry { fields: claims.clone(), ..me.clone() });
    let mut next = merge::merge(schema, &bare, &applied);
    if let Some(before) = &before {
        next = pruned(schema, &next, &before.fields, &managers);
    }

    let change = compare(schema, &bare, &next).outside(&ignored);
    if !force {
        let conflicts = scope::left_over(schema, live, manager, contested(&managers, &me, &change));
        if !conflicts.is_empty() {
            return Err(Conflicts::Owned(conflicts));
        }
    }
    for other in managers.0.iter_mut().filter(|entry| !entry.is(&me)) {
        other.fields = other.fields.difference(&change.written()).difference(&change.removed);
    }

    // What is null shall not be there, so nobody owns it.
    let nulls = merge::take_nulls(schema, &mut next);
    let fields = claims.difference(&nulls).difference(&scope::never_owned());
    // Only a change of the object is timed: who first applies what is there already has no time.
    let time = if next == bare { before.and_then(|before| before.time) } else { me.time.clone() };
    managers.put(Entry { time, fields, ..me });
    Ok(closed(next, managers))
}

/// Records a write that was no apply: the object as it is to be stored, with its managed fields.
///
/// Managed fields that `next` brings along are believed, as long as they make sense; `[{}]` forgets all.
pub fn update(schema: &'static Schema, live: Option<&Value>, next: Value, manager: &Manager, now: &str) -> Value {
    let ignored = scope::ignored(schema, manager.subresource.as_deref());
    let bare = live.map_or_else(|| json!({}), |live| without_managers(live.clone()));
    let mut managers = scope::managers_of_write(live, &next, manager);
    let next = without_managers(next);
    if live.is_some() && managers.0.is_empty() {
        // Owners are tracked from the creation on or from the first apply on.
        return next;
    }

    let change = compare(schema, &scope::with_hollows(schema, &bare), &scope::with_hollows(schema, &next));
    let change = change.outside(&ignored);
    let me = Entry::new(manager, Operation::Update, now);
    for entry in &mut managers.0 {
        entry.fields = entry.fields.difference(&change.removed);
        if !entry.is(&me) {
            entry.fields = entry.fields.difference(&change.written());
        }
    }
    let written = change.written().difference(&scope::never_owned());
    if !written.is_empty() {
        let before = managers.find(&me).map_or_else(Set::default, |entry| entry.fields.clone());
        managers.put(Entry { fields: before.union(&written), ..me });
    }
    closed(next, managers)
}

/// The live object without its managed fields, and those.
fn opened(schema: &'static Schema, live: Option<&Value>, manager: &Manager, now: &str) -> (Value, Managers) {
    let Some(live) = live else { return (json!({}), Managers::default()) };
    let bare = without_managers(live.clone());
    let mut managers = Managers::of(live).unwrap_or_default();
    if managers.0.is_empty() {
        // Somebody wrote it before owners were tracked. Without an owner they would lose it to the first who applies.
        let manager = Manager { name: "before-first-apply".to_owned(), subresource: None, ..manager.clone() };
        let fields =
            compare(schema, &scope::with_hollows(schema, &json!({})), &scope::with_hollows(schema, &bare)).added;
        let fields = fields.outside(&scope::ignored(schema, None)).difference(&scope::never_owned());
        managers.put(Entry { fields, ..Entry::new(&manager, Operation::Update, now) });
    }
    (bare, managers)
}

/// The object to be stored.
fn closed(mut object: Value, mut managers: Managers) -> Value {
    managers.settle();
    if let Value::Object(fields) = &mut object {
        let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(metadata) = metadata
            && !managers.0.is_empty()
        {
            metadata.insert("managedFields".to_owned(), managers.encode());
        }
    }
    object
}

fn without_managers(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// Takes away what the manager owned before, claims no more, and nobody else owns.
fn pruned(schema: &'static Schema, merged: &Value, before: &Set, managers: &Managers) -> Value {
    let ensured = |set: &Set| set.with_named_parents(schema);
    let less = |paths: &Set| merge::without(schema, merged, paths).unwrap_or_else(|| json!({}));
    let before = ensured(before);
    let owned = managers.0.iter().fold(Set::default(), |all, entry| all.union(&entry.fields));
    let present = ensured(&shape::claims(schema, merged));

    // Without all that it owned, then again with what anybody owns now.
    let kept = ensured(&shape::claims(schema, &less(&before))).union(&ensured(&owned));
    let kept = ensured(&shape::claims(schema, &less(&present.difference(&kept))));
    // What went beyond its own on the way comes back.
    less(&present.difference(&kept).intersection(&before))
}

/// What a change would write that others own.
fn contested(managers: &Managers, me: &Entry, change: &Comparison) -> Vec<Conflict> {
    let written = change.written();
    let mut conflicts: Vec<_> = managers
        .0
        .iter()
        .filter(|entry| !entry.is(me))
        .flat_map(|entry| {
            let contested = entry.fields.intersection(&written).paths();
            contested.into_iter().map(|path| Conflict { manager: entry.describe(), path })
        })
        .collect();
    // The paths of a manager stay in their order.
    conflicts.sort_by(|one, other| one.manager.cmp(&other.manager));
    conflicts
}

/// `default/engine; apps/v1, Kind=Deployment`.
fn describe(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = match text("/metadata/namespace") {
        "" => format!("/{}", text("/metadata/name")),
        namespace => format!("{namespace}/{}", text("/metadata/name")),
    };
    format!("{name}; {}, Kind={}", text("/apiVersion"), text("/kind"))
}

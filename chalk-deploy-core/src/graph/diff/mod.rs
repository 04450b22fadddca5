//! What changes between two graphs.
//!
//! Definitions are compared field by field as the wire holds them, so that a field which this library does not know
//! counts too. Where a definition stands (files, lines), the ids of expression nodes and the ids of captured values are
//! no part of it; nor is the order of an export. What chalkpy makes by itself is not compared: it follows from what was
//! written.
//!
//! A definition that is gone, and one that is new with the same content under another name, are one that was renamed,
//! when there is exactly one of each ([`rename`]). Every change is safe, or risky for reasons that it names ([`risk`]).

mod assess;
mod change;
mod definition;
mod readers;
mod rename;
mod shown;
mod text;

use std::cmp::Ordering;

use super::FeatureGraph;
use super::diagnostic::shown_name;
use definition::{Definition, Definitions, Item};

pub use change::{Change, ChangeKind, Entity, FieldChange, GraphDiff, Risk};

/// What `after` changes. Without a graph before, everything is added.
pub fn diff(before: Option<&FeatureGraph>, after: &FeatureGraph) -> GraphDiff {
    if before.is_some_and(|before| before.digest() == after.digest()) {
        return GraphDiff::default();
    }
    let old = before.map(Definitions::of).unwrap_or_default();
    let new = Definitions::of(after);
    let found = rename::recognise(compare(&old, &new), &old, &new);
    let mut changes: Vec<Change> = found.iter().map(Found::change).collect();
    if let Some(before) = before {
        assess::assess(&found, &mut changes, before, after);
    }
    changes.sort_by(|one, other| one.key().cmp(&other.key()));
    GraphDiff { changes }
}

/// A difference, before it is put into words.
#[derive(Debug)]
enum Found<'i> {
    Added(&'i Item<'i>),
    Removed(&'i Item<'i>),
    Modified { before: (&'i Item<'i>, Definition), after: (&'i Item<'i>, Definition) },
    Renamed { before: &'i Item<'i>, after: &'i Item<'i> },
}

impl Found<'_> {
    fn change(&self) -> Change {
        let of = |change, item: &Item<'_>| Change {
            change,
            entity: item.entity,
            name: shown_name(&item.name),
            former_name: None,
            risk: Risk::Safe,
            reasons: Vec::new(),
            fields: Vec::new(),
        };
        match self {
            Self::Added(item) => of(ChangeKind::Added, item),
            Self::Removed(item) => of(ChangeKind::Removed, item),
            Self::Renamed { before, after } => {
                Change { former_name: Some(shown_name(&before.name)), ..of(ChangeKind::Renamed, after) }
            }
            Self::Modified { before: (_, old), after: (item, new) } => {
                Change { fields: changed_fields(old, new), ..of(ChangeKind::Modified, item) }
            }
        }
    }
}

/// Walks both sides, which are sorted by name.
fn compare<'i>(old: &'i Definitions<'i>, new: &'i Definitions<'i>) -> Vec<Found<'i>> {
    let same_ids = old.means_the_same_as(new);
    let mut found = Vec::new();
    let (mut left, mut right) = (old.items.as_slice(), new.items.as_slice());
    loop {
        let order = match (left.first(), right.first()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.key().cmp(&other.key()),
        };
        let (mut gone, mut came): (&[Item<'_>], &[Item<'_>]) = (&[], &[]);
        if order.is_le() {
            (gone, left) = of_one_name(left);
        }
        if order.is_ge() {
            (came, right) = of_one_name(right);
        }
        if let ([before], [after]) = (gone, came)
            && same_ids
            && before.is_bytes_of(after)
        {
            continue;
        }
        compare_of_one_name((old, gone), (new, came), &mut found);
    }
}

fn of_one_name<'a, 'i>(items: &'a [Item<'i>]) -> (&'a [Item<'i>], &'a [Item<'i>]) {
    let count = items.first().map_or(0, |first| items.iter().take_while(|item| item.key() == first.key()).count());
    items.split_at(count)
}

/// Among several of one name, equal ones are the same in whatever order; the others are compared in the order of the
/// exports.
fn compare_of_one_name<'i>(
    (old, gone): (&Definitions<'_>, &'i [Item<'i>]),
    (new, came): (&Definitions<'_>, &'i [Item<'i>]),
    found: &mut Vec<Found<'i>>,
) {
    if gone.is_empty() {
        return found.extend(came.iter().map(Found::Added));
    }
    if came.is_empty() {
        return found.extend(gone.iter().map(Found::Removed));
    }
    let said = |all: &Definitions<'_>, items: &'i [Item<'i>]| -> Vec<(&'i Item<'i>, Definition)> {
        items.iter().map(|item| (item, all.definition(item))).collect()
    };
    let (mut gone, mut came) = (said(old, gone), said(new, came));
    let mut of_before = definition::counts(gone.iter().map(|(_, said)| said.clone()));
    let mut common = std::collections::HashMap::new();
    came.retain(|(_, said)| match of_before.get_mut(said) {
        Some(count) if *count > 0 => {
            *count -= 1;
            *common.entry(said.clone()).or_insert(0_usize) += 1;
            false
        }
        _ => true,
    });
    gone.retain(|(_, said)| match common.get_mut(said) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    let (mut gone, mut came) = (gone.into_iter(), came.into_iter());
    loop {
        found.push(match (gone.next(), came.next()) {
            (Some(before), Some(after)) => Found::Modified { before, after },
            (Some((item, _)), None) => Found::Removed(item),
            (None, Some((item, _))) => Found::Added(item),
            (None, None) => return,
        });
    }
}

/// The fields of which the bytes that count differ, in the order of the contract. A field that was renumbered, such as
/// a duration that was a text once, is one field.
fn changed_fields(old: &Definition, new: &Definition) -> Vec<FieldChange> {
    if old.shape != new.shape {
        let kind = |said: &Definition| shown::kind(said.shape).map(str::to_owned);
        return vec![FieldChange { field: "kind".to_owned(), before: kind(old), after: kind(new) }];
    }
    let mut changes: Vec<FieldChange> = Vec::new();
    let numbers: std::collections::BTreeSet<u32> = old.fields.keys().chain(new.fields.keys()).copied().collect();
    for number in numbers {
        let (was, is) = (old.fields.get(&number), new.fields.get(&number));
        if was == is {
            continue;
        }
        let field = field_name(new, number);
        let shown = |bytes: Option<&Vec<u8>>| bytes.map(|bytes| shown::value(&field, bytes));
        let (before, after) = (shown(was), shown(is));
        match changes.iter_mut().find(|known| known.field == field) {
            None => changes.push(FieldChange { field, before, after }),
            Some(known) => {
                known.before = known.before.take().or(before);
                known.after = known.after.take().or(after);
            }
        }
    }
    changes
}

fn field_name(said: &Definition, number: u32) -> String {
    said.shape.field_name(number).map_or_else(|| format!("field {number}"), str::to_owned)
}

#[cfg(test)]
mod tests;

//! Which definitions are the same ones under other names.
//!
//! A name that is gone and one that is new are one definition renamed when everything else that they say is the same,
//! and no further one that is gone or new says it too: of several that could be meant none is chosen. So a rename never
//! hides a change. What counts as the name:
//!
//! - of a feature, its name and attribute; it stays in its set, or in the set that was renamed;
//! - of a feature set, its name, when the features in it are all the same;
//! - of a resolver, its module and function, and the name behind `def` in its source;
//! - of a named query, its name; another version is another query;
//! - of everything else, its name.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::super::wire::{Fields, Shape, Value, put_bytes};
use super::definition::{Definition, Definitions, Item, contents, text_at};
use super::{Entity, Found};

/// Something that is gone or new, with what it says beside its name.
struct Candidate<'i> {
    /// Among what was found.
    place: usize,
    item: &'i Item<'i>,
    said: Definition,
}

/// Puts renames in place of what is gone and what is new.
pub(super) fn recognise<'i>(found: Vec<Found<'i>>, old: &Definitions<'_>, new: &Definitions<'_>) -> Vec<Found<'i>> {
    let (mut gone, mut came) = (Vec::new(), Vec::new());
    for (place, found) in found.iter().enumerate() {
        match found {
            Found::Removed(item) => gone.push((place, *item)),
            Found::Added(item) => came.push((place, *item)),
            _ => {}
        }
    }
    if gone.is_empty() || came.is_empty() {
        return found;
    }
    let (gone, came) = (candidates(old, gone), candidates(new, came));

    let mut pairs = Vec::new();
    let mut renamed_sets: HashMap<&str, &str> = HashMap::new();
    for (before, after) in pairs_of(sets(&gone).into_iter(), sets(&came).into_iter()) {
        renamed_sets.insert(&before.item.name, &after.item.name);
        pairs.push((before.place, after.place));
    }
    // The features of a renamed set by their own names, and then the rest.
    let in_set = |set: &str, candidate: &Candidate<'i>| (set.to_owned(), short_name(candidate.item).to_owned());
    let features = |all: &'_ [Candidate<'i>]| -> Vec<usize> {
        (0..all.len()).filter(|at| all[*at].item.entity == Entity::Feature).collect()
    };
    let moved = pairs_of(
        features(&gone).into_iter().filter_map(|at| {
            let candidate = &gone[at];
            Some((in_set(renamed_sets.get(candidate.item.namespace())?, candidate), candidate))
        }),
        features(&came).into_iter().map(|at| (in_set(came[at].item.namespace(), &came[at]), &came[at])),
    );
    pairs.extend(moved.into_iter().map(|(before, after)| (before.place, after.place)));

    let taken: HashSet<usize> = pairs.iter().flat_map(|(before, after)| [*before, *after]).collect();
    let rest = |all: &'_ [Candidate<'i>]| -> Vec<usize> {
        let is_left = |at: &usize| all[*at].item.entity != Entity::FeatureSet && !taken.contains(&all[*at].place);
        (0..all.len()).filter(is_left).collect()
    };
    let others = pairs_of(
        rest(&gone).into_iter().map(|at| {
            let scope = scope(gone[at].item);
            let scope = renamed_sets.get(scope).copied().unwrap_or(scope);
            ((gone[at].item.entity, scope, &gone[at].said), &gone[at])
        }),
        rest(&came).into_iter().map(|at| ((came[at].item.entity, scope(came[at].item), &came[at].said), &came[at])),
    );
    pairs.extend(others.into_iter().map(|(before, after)| (before.place, after.place)));
    replaced(found, &pairs)
}

fn replaced<'i>(found: Vec<Found<'i>>, pairs: &[(usize, usize)]) -> Vec<Found<'i>> {
    let items: HashMap<usize, &'i Item<'i>> = found
        .iter()
        .enumerate()
        .filter_map(|(place, found)| match found {
            Found::Removed(item) | Found::Added(item) => Some((place, *item)),
            _ => None,
        })
        .collect();
    let names: HashMap<usize, usize> = pairs.iter().copied().collect();
    let replaced: HashSet<usize> = pairs.iter().map(|(_, after)| *after).collect();
    let all = found.into_iter().enumerate().filter(|(place, _)| !replaced.contains(place));
    all.map(|(place, found)| {
        let pair = names.get(&place).and_then(|after| Some((*items.get(&place)?, *items.get(after)?)));
        pair.map_or(found, |(before, after)| Found::Renamed { before, after })
    })
    .collect()
}

fn candidates<'i>(all: &Definitions<'_>, items: Vec<(usize, &'i Item<'i>)>) -> Vec<Candidate<'i>> {
    let candidate = |(place, item)| Candidate { place, item, said: without_names(all.definition(item)) };
    items.into_iter().map(candidate).collect()
}

/// Those that say the same, where there is one on each side.
fn pairs_of<'c, 'i, K: Hash + Eq>(
    gone: impl Iterator<Item = (K, &'c Candidate<'i>)>,
    came: impl Iterator<Item = (K, &'c Candidate<'i>)>,
) -> Vec<(&'c Candidate<'i>, &'c Candidate<'i>)> {
    type Same<'c, 'i> = (Vec<&'c Candidate<'i>>, Vec<&'c Candidate<'i>>);
    let mut groups: HashMap<K, Same<'c, 'i>> = HashMap::new();
    for (said, candidate) in gone {
        groups.entry(said).or_default().0.push(candidate);
    }
    for (said, candidate) in came {
        // What nothing says that is gone is no rename.
        if let Some(group) = groups.get_mut(&said) {
            group.1.push(candidate);
        }
    }
    let mut pairs: Vec<_> = groups
        .into_values()
        .filter_map(|group| match (&group.0[..], &group.1[..]) {
            ([before], [after]) => Some((*before, *after)),
            _ => None,
        })
        .collect();
    pairs.sort_unstable_by_key(|(before, _)| before.place);
    pairs
}

/// What a set says: its own fields, and its features by their names.
type SaidBySet<'c> = (&'c Definition, Vec<(&'c str, &'c Definition)>);

fn sets<'c, 'i>(all: &'c [Candidate<'i>]) -> Vec<(SaidBySet<'c>, &'c Candidate<'i>)> {
    let mut features: HashMap<&str, Vec<(&str, &Definition)>> = HashMap::new();
    for candidate in all.iter().filter(|candidate| candidate.item.entity == Entity::Feature) {
        let named = (short_name(candidate.item), &candidate.said);
        features.entry(candidate.item.namespace()).or_default().push(named);
    }
    let sets = all.iter().filter(|candidate| candidate.item.entity == Entity::FeatureSet);
    sets.map(|set| {
        let mut own = features.get(set.item.name.as_str()).cloned().unwrap_or_default();
        // Features stand by name; several of one name in the order of the export.
        own.sort_by_key(|(name, _)| *name);
        ((&set.said, own), set)
    })
    .collect()
}

fn short_name<'i>(item: &'i Item<'_>) -> &'i str {
    let prefix = item.namespace().len() + 1;
    item.name.get(prefix..).unwrap_or_default()
}

/// Where a name must stay.
fn scope<'i>(item: &Item<'i>) -> &'i str {
    match item.entity {
        Entity::Feature => item.namespace(),
        Entity::NamedQuery => item.text(2),
        _ => "",
    }
}

fn without_names(mut said: Definition) -> Definition {
    let names: &[u32] = match said.shape {
        Shape::Scalar => &[1, 2, 23, 28],
        Shape::HasOne | Shape::HasMany => &[1, 2, 10, 11],
        Shape::FeatureTime => &[1, 2, 7],
        Shape::Windowed => &[1, 2, 5, 6],
        Shape::GroupBy => &[1, 2, 14, 15],
        Shape::DatabaseSource | Shape::StreamSource => &[2],
        _ => &[1],
    };
    said.fields.retain(|number, _| !names.contains(number));
    let function = match said.shape {
        Shape::Resolver => 16,
        Shape::StreamResolver => 15,
        Shape::SinkResolver => 14,
        _ => return said,
    };
    if let Some(bytes) = said.fields.get_mut(&function) {
        *bytes = contents(bytes).flat_map(|(_, content)| function_without_names(content)).collect();
    }
    said
}

/// A `FunctionReference` without the names of the function and its module.
fn function_without_names(function: &[u8]) -> Vec<u8> {
    let (name, source) = (text_at(function, 1), text_at(function, 4));
    let mut without = Vec::with_capacity(function.len());
    for field in Fields::of(function).flatten() {
        match (field.number, field.value) {
            (1 | 2, _) => {}
            (4, Value::Bytes(_)) => {
                let source = source.replacen(&format!("def {name}("), "def (", 1);
                put_bytes(&mut without, 4, source.as_bytes());
            }
            _ => without.extend_from_slice(field.raw),
        }
    }
    without
}

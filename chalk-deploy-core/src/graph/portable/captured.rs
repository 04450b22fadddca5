//! The ids of captured values: `chalk.graph.v1.Graph.captured_global_values`.
//!
//! chalkpy keeps what functions use from their modules once, under the SHA-256 of its bytes, sorted by that id. A value
//! names its file, so its id depends on where the project lies, and so do the ids of the values that refer to it. After
//! the paths are rewritten the ids are made anew, by the same rule.

use std::collections::{BTreeMap, HashMap};

use super::super::wire::{Editor, Fields, Role, Shape, Value, WireError, edit, put_bytes};
use crate::model::Digest;

/// The field of `Export` that holds the graph.
const GRAPH: u32 = 1;
/// The field of `Graph` that holds the captured values.
const VALUES: u32 = 13;
/// The fields of `CapturedGlobalValue`.
const ID: u32 = 1;
const CONTENT: u32 = 2;

/// Something for each id of a captured value.
pub(in crate::graph) type ValueIds = HashMap<Vec<u8>, Vec<u8>>;

/// Whether there are captured values, and the ids of all of them are what chalkpy makes them. Other ids are nobody's to
/// change.
pub(super) fn ids_are_digests(export: &[u8]) -> Result<bool, WireError> {
    let values = values(export)?;
    Ok(!values.is_empty() && values.iter().all(|value| value.id == Digest::of(value.content).hex().as_bytes()))
}

/// Gives every captured value the id that its bytes have now, everywhere.
pub(super) fn rekey(export: &[u8]) -> Result<Option<Vec<u8>>, WireError> {
    let ids = digests_of_values(export, |known, value| edit(value, Some(Shape::Captured), &mut Replace(known)))?;
    if ids.iter().all(|(old, new)| old == new) {
        return Ok(None);
    }
    let Some(mut export) = edit(export, Some(Shape::Export), &mut Replace(&ids))? else { return Ok(None) };
    if let Some(sorted) = sort(&export)? {
        export = sorted;
    }
    Ok(Some(export))
}

struct Captured<'a> {
    id: &'a [u8],
    content: &'a [u8],
}

fn values(export: &[u8]) -> Result<Vec<Captured<'_>>, WireError> {
    let mut values = Vec::new();
    for graph in contents(export, GRAPH) {
        for value in contents(graph?, VALUES) {
            let value = value?;
            let first = |number| contents(value, number).next().transpose().map(Option::unwrap_or_default);
            values.push(Captured { id: first(ID)?, content: first(CONTENT)? });
        }
    }
    Ok(values)
}

fn contents(message: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], WireError>> {
    Fields::of(message).filter_map(move |field| match field {
        Ok(field) if field.number == number => match field.value {
            Value::Bytes(content) => Some(Ok(content)),
            Value::Number => None,
        },
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// A digest for every captured value, of what `content` makes of its bytes (nothing meaning that they stay). What a value
/// refers to comes first, so that `content` can put its digest in place of its id. A ring of values cannot be made with
/// digests; one that a stranger made is cut where it was entered.
pub(in crate::graph) fn digests_of_values(
    export: &[u8],
    content: impl Fn(&ValueIds, &[u8]) -> Result<Option<Vec<u8>>, WireError>,
) -> Result<ValueIds, WireError> {
    let values = values(export)?;
    let places: HashMap<&[u8], usize> = values.iter().enumerate().map(|(place, value)| (value.id, place)).collect();
    let mut references = Vec::with_capacity(values.len());
    for value in &values {
        let mut found = Collect(Vec::new());
        edit(value.content, Some(Shape::Captured), &mut found)?;
        references.push(found.0.iter().filter_map(|id| places.get(id.as_slice()).copied()).collect::<Vec<_>>());
    }
    let mut digests = ValueIds::new();
    let mut entered = vec![false; values.len()];
    for start in 0..values.len() {
        // A stack of our own: a chain of references may be as long as the export.
        let mut stack = vec![(start, 0)];
        while let Some((place, next)) = stack.pop() {
            let (Some(value), Some(references), Some(entered)) =
                (values.get(place), references.get(place), entered.get_mut(place))
            else {
                continue;
            };
            if next == 0 && std::mem::replace(entered, true) {
                continue;
            }
            if let Some(reference) = references.get(next) {
                stack.push((place, next + 1));
                stack.push((*reference, 0));
                continue;
            }
            let changed = content(&digests, value.content)?;
            let digest = Digest::of(changed.as_deref().unwrap_or(value.content));
            digests.insert(value.id.to_vec(), digest.hex().into_bytes());
        }
    }
    Ok(digests)
}

/// Puts the values in the order of their ids, each once.
fn sort(export: &[u8]) -> Result<Option<Vec<u8>>, WireError> {
    let mut sorted = Vec::with_capacity(export.len());
    for field in Fields::of(export) {
        let field = field?;
        match field.value {
            Value::Bytes(graph) if field.number == GRAPH => {
                let mut by_id: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
                for field in Fields::of(graph) {
                    let field = field?;
                    if let (VALUES, Value::Bytes(value)) = (field.number, field.value) {
                        by_id.insert(contents(value, ID).next().transpose()?.unwrap_or_default(), field.raw);
                    }
                }
                let mut made = Vec::with_capacity(graph.len());
                for field in Fields::of(graph) {
                    let field = field?;
                    if field.number != VALUES {
                        made.extend_from_slice(field.raw);
                    } else if !by_id.is_empty() {
                        // All of them where the first one stood.
                        made.extend(std::mem::take(&mut by_id).into_values().flatten());
                    }
                }
                put_bytes(&mut sorted, GRAPH, &made);
            }
            _ => sorted.extend_from_slice(field.raw),
        }
    }
    Ok((sorted != export).then_some(sorted))
}

struct Replace<'i>(&'i ValueIds);

impl Editor for Replace<'_> {
    fn edit(&mut self, role: Role, _: u32, content: &[u8]) -> Option<Vec<u8>> {
        if role == Role::ValueId { self.0.get(content).filter(|new| *new != content).cloned() } else { None }
    }

    fn looks_into_opaque_bytes(&self) -> bool {
        false
    }
}

struct Collect(Vec<Vec<u8>>);

impl Editor for Collect {
    fn edit(&mut self, role: Role, _: u32, content: &[u8]) -> Option<Vec<u8>> {
        if role == Role::ValueId {
            self.0.push(content.to_vec());
        }
        None
    }

    fn looks_into_opaque_bytes(&self) -> bool {
        false
    }
}

//! Puts the entries of every map in the order of their keys.
//!
//! Protobuf leaves the order of a map's entries open, and Python's runtime writes them in the order of a hash table that
//! is seeded with an address: another one in every process. So two exports of one project differ even on one machine.
//! Which fields are maps cannot be seen on the wire; a table says it ([`map_table`](super::map_table)). A map that Chalk adds later
//! keeps the order that it came in.

use std::borrow::Cow;

use super::map_table::MESSAGES;
use super::{DEEPEST, Fields, Value, WireError, put_bytes};

/// An export with sorted maps. Nothing is returned when all were sorted. Fails where a message that the table knows does
/// not hold.
pub(in crate::graph) fn sort_maps(export: &[u8]) -> Result<Option<Vec<u8>>, WireError> {
    sort_at(export, 0, 0)
}

fn sort_at(message: &[u8], place: usize, depth: u32) -> Result<Option<Vec<u8>>, WireError> {
    if depth > DEEPEST {
        return Err(WireError::Depth);
    }
    let Some((maps, ways)) = MESSAGES.get(place) else { return Ok(None) };
    // Nearly every message is in order, and then nothing is put aside.
    let mut changed: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut last_keys: Vec<(u32, &[u8])> = Vec::new();
    let mut in_order = true;
    for (at, field) in Fields::of(message).enumerate() {
        let field = field?;
        let Value::Bytes(content) = field.value else { continue };
        if maps.contains(&field.number) {
            let key = key_of(content)?;
            match last_keys.iter_mut().find(|(map, _)| *map == field.number) {
                Some((_, last)) => {
                    in_order &= *last <= key;
                    *last = key;
                }
                None => last_keys.push((field.number, key)),
            }
        }
        if let Some((_, inner)) = ways.iter().find(|(number, _)| *number == field.number)
            && let Some(sorted) = sort_at(content, *inner, depth + 1)?
        {
            changed.push((at, sorted));
        }
    }
    if in_order && changed.is_empty() {
        return Ok(None);
    }
    let mut made = MadeFields::default();
    let mut changed = changed.into_iter().peekable();
    for (at, field) in Fields::of(message).enumerate() {
        let field = field?;
        let key = match field.value {
            Value::Bytes(content) if maps.contains(&field.number) => Some((field.number, key_of(content)?)),
            _ => None,
        };
        let sorted = changed.next_if(|(of, _)| *of == at);
        made.add(field.raw, sorted.map(|(_, content)| (field.number, content)), key);
    }
    for map in *maps {
        made.sort(*map);
    }
    Ok(Some(made.fields.concat()))
}

/// The fields of a message that is made anew.
#[derive(Default)]
struct MadeFields<'a> {
    fields: Vec<Cow<'a, [u8]>>,
    /// For the entries of maps: the map, the key and the place in `fields`.
    entries: Vec<(u32, &'a [u8], usize)>,
}

impl<'a> MadeFields<'a> {
    fn add(&mut self, raw: &'a [u8], changed: Option<(u32, Vec<u8>)>, key: Option<(u32, &'a [u8])>) {
        self.entries.extend(key.map(|(map, key)| (map, key, self.fields.len())));
        let field = match changed {
            None => Cow::Borrowed(raw),
            Some((number, content)) => {
                let mut field = Vec::with_capacity(content.len() + 8);
                put_bytes(&mut field, number, &content);
                Cow::Owned(field)
            }
        };
        self.fields.push(field);
    }

    /// Entries change places with entries of their map only. Of two with one key the later one stays the later one,
    /// because it is the one that counts.
    fn sort(&mut self, map: u32) {
        let mut entries: Vec<_> = self.entries.iter().filter(|(of, _, _)| *of == map).collect();
        let places: Vec<usize> = entries.iter().map(|(_, _, place)| *place).collect();
        entries.sort_by_key(|(_, key, _)| *key);
        let sorted: Vec<_> =
            entries.iter().filter_map(|(_, _, place)| self.fields.get_mut(*place).map(std::mem::take)).collect();
        for (place, entry) in places.into_iter().zip(sorted) {
            if let Some(field) = self.fields.get_mut(place) {
                *field = entry;
            }
        }
    }
}

/// The key of a map's entry as it stands on the wire: field 1, text or a number.
fn key_of(entry: &[u8]) -> Result<&[u8], WireError> {
    let mut key: &[u8] = &[];
    for field in Fields::of(entry) {
        let field = field?;
        if field.number == 1 {
            key = match field.value {
                Value::Bytes(text) => text,
                Value::Number => field.raw,
            };
        }
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `Export.graph.named_queries.meta`.
    fn export(entries: &[(String, String)]) -> Vec<u8> {
        let (mut query, mut graph, mut export) = (Vec::new(), Vec::new(), Vec::new());
        put_bytes(&mut query, 1, b"name");
        for (key, value) in entries {
            let mut entry = Vec::new();
            put_bytes(&mut entry, 1, key.as_bytes());
            put_bytes(&mut entry, 2, value.as_bytes());
            put_bytes(&mut query, 8, &entry);
        }
        put_bytes(&mut query, 11, b"file");
        put_bytes(&mut graph, 7, &query);
        put_bytes(&mut export, 1, &graph);
        export
    }

    #[test]
    fn every_way_of_the_table_leads_to_a_message_of_it() {
        for (place, (maps, ways)) in MESSAGES.iter().enumerate() {
            assert!(!maps.is_empty() || !ways.is_empty(), "{place} leads nowhere");
            assert!(ways.iter().all(|(number, inner)| *number > 0 && *inner < MESSAGES.len()), "{place}");
        }
    }

    #[test]
    fn repeated_messages_that_are_no_map_keep_their_order() {
        let (mut query, mut graph, mut export) = (Vec::new(), Vec::new(), Vec::new());
        for feature in [b"z", b"a", b"m"] {
            put_bytes(&mut query, 3, feature);
        }
        put_bytes(&mut graph, 7, &query);
        put_bytes(&mut export, 1, &graph);
        assert_eq!(sort_maps(&export), Ok(None));
    }

    proptest! {
        #[test]
        fn any_order_of_entries_leads_to_the_same_bytes(
            entries in prop::collection::btree_map("[a-z]{1,4}", "[a-z]{0,4}", 0..8)
                .prop_flat_map(|map| {
                    let sorted: Vec<_> = map.into_iter().collect();
                    (Just(sorted.clone()), Just(sorted).prop_shuffle())
                })
        ) {
            let (sorted, shuffled) = entries;
            let expected = export(&sorted);
            let bytes = export(&shuffled);
            prop_assert_eq!(sort_maps(&bytes).expect("a message").unwrap_or(bytes), expected);
        }
    }
}

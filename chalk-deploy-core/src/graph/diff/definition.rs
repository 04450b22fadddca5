//! What a definition says, without where it stands.

use std::collections::{BTreeMap, HashMap};

use prost::Message as _;

use super::super::entry::{named_query_name, written_feature_name};
use super::super::portable::{ValueIds, digests_of_values, is_expression_id};
use super::super::proto::{FeatureType, NamedQuery};
use super::super::wire::{Editor, Fields, Role, Shape, Value, edit};
use super::{Entity, FeatureGraph};

/// What a definition is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) entity: Entity,
    pub(super) name: String,
    /// Which one, among several of the name.
    place: usize,
}

/// What a definition says: its fields by number, each with the bytes that count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) shape: Shape,
    pub(super) fields: BTreeMap<u32, Vec<u8>>,
}

/// Everything that a graph defines.
pub(super) fn definitions(graph: &FeatureGraph) -> BTreeMap<Key, Definition> {
    let mut collector = Collector { values: fingerprints(graph), found: BTreeMap::new(), seen: HashMap::new() };
    for (number, content) in contents(graph.bytes()) {
        match number {
            1 => collector.graph(content),
            2 => collector.add(Entity::ScheduledQuery, name_at(content, 1), Shape::Cron, content),
            _ => {}
        }
    }
    collector.found
}

struct Collector {
    values: ValueIds,
    found: BTreeMap<Key, Definition>,
    /// How often each name was seen.
    seen: HashMap<(Entity, String), usize>,
}

impl Collector {
    fn graph(&mut self, graph: &[u8]) {
        for (number, content) in contents(graph) {
            match number {
                1 => self.feature_set(content),
                2 => self.add(Entity::Resolver, name_at(content, 1), Shape::Resolver, content),
                3 => self.add(Entity::Resolver, name_at(content, 1), Shape::StreamResolver, content),
                4 => self.add(Entity::Resolver, name_at(content, 1), Shape::SinkResolver, content),
                7 => {
                    if let Ok(query) = NamedQuery::decode(content) {
                        self.add(Entity::NamedQuery, named_query_name(&query), Shape::NamedQuery, content);
                    }
                }
                8 => self.add(Entity::Source, name_at(content, 2), Shape::DatabaseSource, content),
                9 => self.add(Entity::Source, name_at(content, 2), Shape::StreamSource, content),
                _ => {}
            }
        }
    }

    fn feature_set(&mut self, set: &[u8]) {
        self.add(Entity::FeatureSet, name_at(set, 1), Shape::FeatureSet, set);
        for (_, feature) in contents(set).filter(|(number, _)| *number == FEATURES) {
            // What chalkpy makes by itself follows from what was written.
            let Some(name) = FeatureType::decode(feature).ok().as_ref().and_then(written_feature_name) else {
                continue;
            };
            for (number, content) in contents(feature) {
                if let Role::Message(shape) = Shape::FeatureType.role(number) {
                    self.add(Entity::Feature, name.clone(), shape, content);
                }
            }
        }
    }

    fn add(&mut self, entity: Entity, name: String, shape: Shape, message: &[u8]) {
        let edited = edit(message, Some(shape), &mut Content(&self.values)).unwrap_or_default();
        let mut fields: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for field in Fields::of(edited.as_deref().unwrap_or(message)).flatten() {
            // The features of a set are definitions of their own.
            if shape != Shape::FeatureSet || field.number != FEATURES {
                fields.entry(field.number).or_default().extend_from_slice(field.raw);
            }
        }
        let seen = self.seen.entry((entity, name.clone())).or_default();
        self.found.insert(Key { entity, name, place: *seen }, Definition { shape, fields });
        *seen += 1;
    }
}

/// The field of `FeatureSet` that holds the features.
const FEATURES: u32 = 2;

fn contents(message: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    // A graph was walked when it was decoded: there are no errors left.
    Fields::of(message).flatten().filter_map(|field| match field.value {
        Value::Bytes(content) => Some((field.number, content)),
        Value::Number => None,
    })
}

fn name_at(message: &[u8], number: u32) -> String {
    let name = contents(message).filter(|(found, _)| *found == number).last().map(|(_, name)| name);
    String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
}

/// For the id of each captured value, a digest of what it says without where it stands.
fn fingerprints(graph: &FeatureGraph) -> ValueIds {
    let content = |known: &ValueIds, value: &[u8]| edit(value, Some(Shape::Captured), &mut Content(known));
    // A graph was walked when it was decoded: there are no errors left.
    digests_of_values(graph.bytes(), content).unwrap_or_default()
}

/// Leaves out where things stand, and puts what is meant in place of ids.
struct Content<'v>(&'v ValueIds);

impl Editor for Content<'_> {
    fn edit(&mut self, role: Role, _: u32, content: &[u8]) -> Option<Vec<u8>> {
        if role == Role::ValueId { self.0.get(content).cloned() } else { None }
    }

    fn drops(&mut self, role: Role, number: u32, value: Value<'_>) -> bool {
        match (role, value) {
            (Role::Place(_) | Role::Path | Role::Line, _) => true,
            (Role::Opaque, Value::Bytes(content)) => is_expression_id(number, content),
            _ => false,
        }
    }
}

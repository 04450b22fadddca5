//! What a definition says, without where it stands.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::super::portable::{ValueIds, digests_of_values, is_expression_id};
use super::super::wire::{Editor, Field, Fields, Role, Shape, Value, edit};
use super::{Entity, FeatureGraph};

/// The field of `FeatureSet` that holds the features.
const FEATURES: u32 = 2;

/// A definition where it stands in an export.
#[derive(Debug, Clone)]
pub(super) struct Item<'g> {
    pub(super) entity: Entity,
    /// The full name.
    pub(super) name: String,
    pub(super) shape: Shape,
    /// The message.
    content: &'g [u8],
}

impl Item<'_> {
    pub(super) fn key(&self) -> (Entity, &str) {
        (self.entity, &self.name)
    }
}

/// What a definition says: its fields by number, each with the bytes that count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Definition {
    pub(super) shape: Shape,
    pub(super) fields: BTreeMap<u32, Vec<u8>>,
}

/// Everything that a graph defines, by kind and name.
#[derive(Default)]
pub(super) struct Definitions<'g> {
    pub(super) items: Vec<Item<'g>>,
    /// For the id of each captured value, a digest of what it says without where it stands.
    values: ValueIds,
}

impl<'g> Definitions<'g> {
    pub(super) fn of(graph: &'g FeatureGraph) -> Self {
        let mut items = Vec::new();
        for (number, content) in contents(graph.bytes()) {
            match number {
                1 => graph_items(content, &mut items),
                2 => items.push(Item::named(Entity::ScheduledQuery, Shape::Cron, content, 1)),
                3 => items.push(Item::named(Entity::Chart, Shape::Chart, content, 1)),
                4 => items.push(Item::named(Entity::ChangeSource, Shape::CdcSource, content, 1)),
                12 => items.push(Item::named(Entity::AggregateBackfill, Shape::AggregateBackfill, content, 1)),
                _ => {}
            }
        }
        // A stable sort: what has one name stays in the order of the export.
        items.sort_by(|one, other| one.key().cmp(&other.key()));
        let content = |known: &ValueIds, value: &[u8]| edit(value, Some(Shape::Captured), &mut Content(known));
        // A graph was walked when it was decoded: there are no errors left.
        let values = digests_of_values(graph.bytes(), content).unwrap_or_default();
        Self { items, values }
    }

    /// Whether an id stands for the same value in both, so that equal bytes say the same.
    pub(super) fn means_the_same_as(&self, other: &Self) -> bool {
        self.values.iter().all(|(id, value)| other.values.get(id).is_none_or(|known| known == value))
    }

    /// What an item says.
    pub(super) fn definition(&self, item: &Item<'_>) -> Definition {
        let shape = item.shape;
        let own = item.own_content();
        let edited = edit(&own, Some(shape), &mut Content(&self.values)).unwrap_or_default();
        let mut fields: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for field in Fields::of(edited.as_deref().unwrap_or(&own)).flatten() {
            fields.entry(field.number).or_default().extend_from_slice(field.raw);
        }
        Definition { shape, fields }
    }
}

impl<'g> Item<'g> {
    fn named(entity: Entity, shape: Shape, content: &'g [u8], number: u32) -> Self {
        Self { entity, name: text_at(content, number).to_owned(), shape, content }
    }

    /// Whether both are the same bytes.
    pub(super) fn is_bytes_of(&self, other: &Item<'_>) -> bool {
        self.shape == other.shape && (self.content == other.content || self.own_content() == other.own_content())
    }

    /// The message; of a set without its features, which are definitions of their own.
    fn own_content(&self) -> Cow<'g, [u8]> {
        if self.shape != Shape::FeatureSet {
            return Cow::Borrowed(self.content);
        }
        let own = Fields::of(self.content).flatten().filter(|field| field.number != FEATURES);
        Cow::Owned(own.flat_map(|field| field.raw.iter().copied()).collect())
    }

    /// The text of a field.
    pub(super) fn text(&self, number: u32) -> &'g str {
        text_at(self.content, number)
    }

    /// The texts of a repeated field.
    pub(super) fn texts(&self, number: u32) -> impl Iterator<Item = &'g str> + use<'g> {
        texts_at(self.content, number)
    }

    /// Whether it is the key of its set.
    pub(super) fn is_primary(&self) -> bool {
        self.shape == Shape::Scalar && flag_at(self.content, 5)
    }

    /// The name of the set that a feature stands in.
    pub(super) fn namespace(&self) -> &'g str {
        text_at(self.content, 2)
    }
}

fn graph_items<'g>(graph: &'g [u8], items: &mut Vec<Item<'g>>) {
    for (number, content) in contents(graph) {
        let (entity, shape, name) = match number {
            1 => {
                feature_items(content, items);
                (Entity::FeatureSet, Shape::FeatureSet, 1)
            }
            2 => (Entity::Resolver, Shape::Resolver, 1),
            3 => (Entity::StreamResolver, Shape::StreamResolver, 1),
            4 => (Entity::SinkResolver, Shape::SinkResolver, 1),
            7 => {
                let (name, version) = (text_at(content, 1), text_at(content, 2));
                let name = if version.is_empty() { name.to_owned() } else { format!("{name}@{version}") };
                items.push(Item { entity: Entity::NamedQuery, name, shape: Shape::NamedQuery, content });
                continue;
            }
            8 => (Entity::Source, Shape::DatabaseSource, 2),
            9 => (Entity::StreamSource, Shape::StreamSource, 2),
            10 => (Entity::SourceGroup, Shape::SourceGroup, 1),
            11 => (Entity::Model, Shape::ModelReference, 1),
            12 => (Entity::OnlineStore, Shape::OnlineStore, 1),
            15 => {
                let sets: Vec<&str> = texts_at(content, 1).collect();
                let name = sets.join("+");
                items.push(Item { entity: Entity::FeatureView, name, shape: Shape::FeatureView, content });
                continue;
            }
            _ => continue,
        };
        items.push(Item::named(entity, shape, content, name));
    }
}

fn feature_items<'g>(set: &'g [u8], items: &mut Vec<Item<'g>>) {
    for (_, feature) in contents(set).filter(|(number, _)| *number == FEATURES) {
        // Of several kinds the last one counts, as protobuf has it.
        let kind = contents(feature).filter_map(|(number, content)| match Shape::FeatureType.role(number) {
            Role::Message(shape) => Some((shape, content)),
            _ => None,
        });
        let Some((shape, content)) = kind.last() else { continue };
        // What chalkpy makes by itself follows from what was written.
        let made_by_chalkpy = match shape {
            Shape::HasOne => 6,
            Shape::HasMany => 5,
            Shape::GroupBy => 0,
            _ => 3,
        };
        if !flag_at(content, made_by_chalkpy) {
            let name = format!("{}.{}", text_at(content, 2), text_at(content, 1));
            items.push(Item { entity: Entity::Feature, name, shape, content });
        }
    }
}

/// The fields of a message that hold bytes.
pub(super) fn contents(message: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    // A graph was walked when it was decoded: there are no errors left.
    Fields::of(message).flatten().filter_map(|field| match field.value {
        Value::Bytes(content) => Some((field.number, content)),
        Value::Number => None,
    })
}

/// The texts of a repeated field.
pub(super) fn texts_at(message: &[u8], number: u32) -> impl Iterator<Item = &str> {
    contents(message).filter_map(move |(found, text)| (found == number).then(|| std::str::from_utf8(text).ok())?)
}

/// The text of a field; the last one, as protobuf has it.
pub(super) fn text_at(message: &[u8], number: u32) -> &str {
    texts_at(message, number).last().unwrap_or_default()
}

/// Whether a field is set to anything but zero.
pub(super) fn flag_at(message: &[u8], number: u32) -> bool {
    let fields = Fields::of(message).flatten().filter(|field| field.number == number);
    fields.filter_map(|field: Field<'_>| field.varint()).last().is_some_and(|value| value != 0)
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

/// How often each of these stands among them.
pub(super) fn counts<T: std::hash::Hash + Eq>(all: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut counts = HashMap::new();
    for one in all {
        *counts.entry(one).or_insert(0) += 1;
    }
    counts
}

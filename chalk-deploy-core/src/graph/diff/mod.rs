//! What changes between two graphs.
//!
//! Definitions are compared field by field as the wire holds them, so that a field which this library does not know
//! counts too. Where a definition stands (files, lines), the ids of expression nodes and the ids of captured values are
//! no part of it.

mod definition;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::FeatureGraph;
use super::diagnostic::shown_name;
use definition::{Definition, definitions};

/// What a graph defines, by the kind of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entity {
    /// A feature class, apart from its features.
    FeatureSet,
    /// A feature.
    Feature,
    /// A resolver of any form.
    Resolver,
    /// A named query.
    NamedQuery,
    /// A query that runs on a schedule.
    ScheduledQuery,
    /// A database or stream.
    Source,
}

impl fmt::Display for Entity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FeatureSet => "feature set",
            Self::Feature => "feature",
            Self::Resolver => "resolver",
            Self::NamedQuery => "named query",
            Self::ScheduledQuery => "scheduled query",
            Self::Source => "source",
        })
    }
}

/// What happened to a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another one under the same name.
    Modified,
}

/// One difference between two graphs. Its texts are safe to show. `Display` is one line: `~ resolver x.y (changed:
/// schedule)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// What happened.
    pub change: ChangeKind,
    /// To what kind of thing.
    pub entity: Entity,
    /// Its full name.
    pub name: String,
    /// For a modified one, the fields that changed, under the contract's names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.change {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Modified => '~',
        };
        write!(formatter, "{sign} {} {}", self.entity, self.name)?;
        if !self.fields.is_empty() {
            write!(formatter, " (changed: {})", self.fields.join(", "))?;
        }
        Ok(())
    }
}

/// The differences between two graphs, by kind of thing and name. `Display` is one line for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GraphDiff {
    /// Every difference.
    pub changes: Vec<Change>,
}

impl GraphDiff {
    /// Whether the two graphs define the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The differences of one kind.
    pub fn of(&self, change: ChangeKind) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |found| found.change == change)
    }
}

impl fmt::Display for GraphDiff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.write_str("no change");
        }
        for (place, change) in self.changes.iter().enumerate() {
            write!(formatter, "{}{change}", if place == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// What `after` changes. Without a graph before, everything is added.
pub fn diff(before: Option<&FeatureGraph>, after: &FeatureGraph) -> GraphDiff {
    if before.is_some_and(|before| before.digest() == after.digest()) {
        return GraphDiff::default();
    }
    let mut old = before.map(definitions).unwrap_or_default();
    let mut changes = BTreeMap::new();
    for (key, new) in definitions(after) {
        let (change, fields) = match old.remove(&key) {
            None => (ChangeKind::Added, Vec::new()),
            Some(old) => match changed_fields(&old, &new) {
                fields if fields.is_empty() => continue,
                fields => (ChangeKind::Modified, fields),
            },
        };
        changes.insert(key, (change, fields));
    }
    changes.extend(old.into_keys().map(|key| (key, (ChangeKind::Removed, Vec::new()))));
    let changes = changes.into_iter().map(|(key, (change, fields))| Change {
        change,
        entity: key.entity,
        name: shown_name(&key.name),
        fields,
    });
    GraphDiff { changes: changes.collect() }
}

fn changed_fields(old: &Definition, new: &Definition) -> Vec<String> {
    if old.shape != new.shape {
        return vec!["kind".to_owned()];
    }
    let mut names = Vec::new();
    let numbers = old.fields.keys().chain(new.fields.keys().filter(|number| !old.fields.contains_key(number)));
    for number in numbers {
        if old.fields.get(number) != new.fields.get(number) {
            let name = new.shape.field_name(*number).map_or_else(|| format!("field {number}"), str::to_owned);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests;

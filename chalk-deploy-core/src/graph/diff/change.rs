//! What a difference is called.

use std::fmt;

use serde::Serialize;

/// What a graph defines, by the kind of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entity {
    /// A feature class, apart from its features.
    FeatureSet,
    /// A feature.
    Feature,
    /// A resolver that runs when a query asks, or in bulk.
    Resolver,
    /// A resolver that reads a stream.
    StreamResolver,
    /// A resolver that writes elsewhere.
    SinkResolver,
    /// A named query.
    NamedQuery,
    /// A query that runs on a schedule.
    ScheduledQuery,
    /// What fills the buckets of aggregations on a schedule.
    AggregateBackfill,
    /// A database.
    Source,
    /// A stream.
    StreamSource,
    /// Databases under one name, told apart by tags.
    SourceGroup,
    /// The changes of the tables of a database, as a stream.
    ChangeSource,
    /// A model that features are fed to.
    Model,
    /// A store that features are kept in.
    OnlineStore,
    /// Features that are kept together, by the names of their sets.
    FeatureView,
    /// A chart, by its id.
    Chart,
}

impl fmt::Display for Entity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FeatureSet => "feature set",
            Self::Feature => "feature",
            Self::Resolver => "resolver",
            Self::StreamResolver => "stream resolver",
            Self::SinkResolver => "sink resolver",
            Self::NamedQuery => "named query",
            Self::ScheduledQuery => "scheduled query",
            Self::AggregateBackfill => "aggregate backfill",
            Self::Source => "source",
            Self::StreamSource => "stream source",
            Self::SourceGroup => "source group",
            Self::ChangeSource => "change source",
            Self::Model => "model",
            Self::OnlineStore => "online store",
            Self::FeatureView => "feature view",
            Self::Chart => "chart",
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
    /// It is the same one under another name.
    Renamed,
}

/// Whether a change can break what is deployed, or who uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Nothing that is known to use it breaks.
    Safe,
    /// Something breaks, or may; the reasons say what.
    Risky,
}

/// A field of a definition, before and after. Its texts are safe to show, and cut where they are long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldChange {
    /// Under the contract's name, or `field` with its number where this library knows none.
    pub field: String,
    /// What it said; nothing when it was not set. What has no short form is shown as its size and a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it says; nothing when it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// One difference between two graphs. Its texts are safe to show. `Display` is one line, `~ feature user.age (type:
/// int64 -> float64)`, without the reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// What happened.
    pub change: ChangeKind,
    /// To what kind of thing.
    pub entity: Entity,
    /// Its full name; after the change, where it has one.
    pub name: String,
    /// For a renamed one, the full name before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former_name: Option<String>,
    /// Whether it can break something.
    pub risk: Risk,
    /// Why it is risky: sentences, lower case, no full stop. Empty for a safe one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// For a modified one, the fields that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

impl Change {
    /// Whether it can break something.
    pub fn is_risky(&self) -> bool {
        self.risk == Risk::Risky
    }

    /// Adds why it is risky.
    pub(super) fn risk(&mut self, reason: String) {
        self.risk = Risk::Risky;
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    pub(super) fn key(&self) -> (Entity, &str, ChangeKind) {
        (self.entity, &self.name, self.change)
    }
}

/// The differences between two graphs, by kind of thing and name. `Display` is a text for people: the risky ones first,
/// with their reasons, and at most so many that they can be read.
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

    /// The differences that can break something.
    pub fn risky(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.is_risky())
    }
}

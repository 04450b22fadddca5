//! `metadata.managedFields`: who owns what.

use serde_json::{Value, json};

use super::Manager;
use super::set::Set;

/// How many managers may have written to an object by other means than applying before the oldest are thrown together,
/// as the API server does.
const MOST_UPDATERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What one manager owns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) subresource: Option<String>,
    pub(super) time: Option<String>,
    pub(super) fields: Set,
}

impl Entry {
    pub(super) fn new(manager: &Manager, operation: Operation, now: &str) -> Self {
        Self {
            manager: manager.name.clone(),
            operation,
            api_version: manager.api_version.clone(),
            subresource: manager.subresource.clone().filter(|name| !name.is_empty()),
            // The scale subresource works its owners out by itself, and puts no time to them.
            time: (manager.subresource.as_deref() != Some("scale")).then(|| now.to_owned()),
            fields: Set::default(),
        }
    }

    /// Whether both are the same manager. Who applies keeps their fields through a change of version.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// As messages name it.
    pub(super) fn describe(&self) -> String {
        let subresource = self.subresource.iter().map(|name| format!(" with subresource {name:?}"));
        let version = (self.operation == Operation::Update).then(|| format!(" using {}", self.api_version));
        std::iter::once(format!("{:?}", self.manager)).chain(subresource).chain(version).collect()
    }

    fn decode(entry: &Value) -> Option<Self> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
        if entry.get("fieldsType").and_then(Value::as_str) != Some("FieldsV1") {
            return None;
        }
        Some(Self {
            manager: text("manager").unwrap_or_default(),
            operation: match entry.get("operation").and_then(Value::as_str)? {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            },
            api_version: text("apiVersion").filter(|version| !version.is_empty())?,
            subresource: text("subresource").filter(|name| !name.is_empty()),
            time: text("time"),
            fields: Set::of_fields_v1(entry.get("fieldsV1")?)?,
        })
    }

    fn encode(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager,
            "operation": self.operation.name(),
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.fields_v1(),
        });
        if let Some(time) = &self.time {
            entry["time"] = time.as_str().into();
        }
        if let Some(subresource) = &self.subresource {
            entry["subresource"] = subresource.as_str().into();
        }
        entry
    }
}

/// All of an object's managers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Managers(pub(super) Vec<Entry>);

impl Managers {
    /// Those of an object; none if they make no sense.
    pub(super) fn of(object: &Value) -> Option<Self> {
        let Some(entries) = object.pointer("/metadata/managedFields").filter(|entries| !entries.is_null()) else {
            return Some(Self::default());
        };
        entries.as_array()?.iter().map(Entry::decode).collect::<Option<_>>().map(Self)
    }

    pub(super) fn find(&self, like: &Entry) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.is(like))
    }

    /// Puts an entry in the place of the one before.
    pub(super) fn put(&mut self, entry: Entry) {
        self.0.retain(|other| !other.is(&entry));
        self.0.push(entry);
    }

    /// Drops those that own nothing, and puts the rest in the order in which the API server keeps them.
    pub(super) fn settle(&mut self) {
        self.0.retain(|entry| !entry.fields.is_empty());
        self.order();
        self.cap();
        self.order();
    }

    fn order(&mut self) {
        self.0.sort_by(|one, other| {
            let key = |entry: &Entry| (entry.operation, entry.time.clone(), entry.manager.clone());
            let rest = |entry: &Entry| (entry.api_version.clone(), entry.subresource.clone());
            key(one).cmp(&key(other)).then_with(|| rest(one).cmp(&rest(other)))
        });
    }

    fn cap(&mut self) {
        let updaters = |entries: &[Entry]| entries.iter().filter(|entry| entry.operation == Operation::Update).count();
        while updaters(&self.0) > MOST_UPDATERS {
            // In order, so the first is the oldest; one of its version may have been thrown together before.
            let oldest = |entry: &Entry| entry.operation == Operation::Update && entry.manager != ANCIENT;
            let Some(position) = self.0.iter().position(oldest) else { return };
            let mut entry = self.0.remove(position);
            ANCIENT.clone_into(&mut entry.manager);
            entry.subresource = None;
            if let Some(before) = self.find(&entry) {
                entry.fields = entry.fields.union(&before.fields);
            }
            self.put(entry);
        }
    }

    pub(super) fn encode(&self) -> Value {
        self.0.iter().map(Entry::encode).collect()
    }
}

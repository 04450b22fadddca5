//! Sets of paths, as a tree.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::{Path, Step};
use crate::simulated::kubernetes::schema::Schema;

/// A set of paths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Set {
    // No node is empty: each is a member or has children.
    nodes: BTreeMap<Step, Node>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Node {
    /// Whether the path that ends here is in the set, beside those that go on from here.
    member: bool,
    children: Set,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

impl Set {
    /// The set of one path.
    pub fn of<const N: usize>(fields: [&str; N]) -> Self {
        let mut set = Self::default();
        set.insert(&fields.map(Step::field));
        set
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a path. The empty path is in no set.
    pub fn insert(&mut self, path: &[Step]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.nodes.entry(first.clone()).or_default();
        if rest.is_empty() {
            node.member = true;
        } else {
            node.children.insert(rest);
        }
    }

    /// Whether a path is in it.
    pub fn contains(&self, path: &[Step]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        self.nodes
            .get(first)
            .is_some_and(|node| if rest.is_empty() { node.member } else { node.children.contains(rest) })
    }

    /// Whether the path of this one step is in it.
    pub(super) fn has(&self, step: &Step) -> bool {
        self.nodes.get(step).is_some_and(|node| node.member)
    }

    /// The paths that go on from a step.
    pub(super) fn below(&self, step: &Step) -> Option<&Self> {
        self.nodes.get(step).map(|node| &node.children).filter(|children| !children.is_empty())
    }

    /// Every path: at each node first the paths that end there, then those that go on, as the API server lists them.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.gather(&mut Vec::new(), &mut paths);
        paths
    }

    fn gather(&self, prefix: &mut Vec<Step>, paths: &mut Vec<Path>) {
        for (step, _) in self.nodes.iter().filter(|(_, node)| node.member) {
            let mut path = prefix.clone();
            path.push(step.clone());
            paths.push(Path(path));
        }
        for (step, node) in &self.nodes {
            prefix.push(step.clone());
            node.children.gather(prefix, paths);
            prefix.pop();
        }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        for (step, node) in &other.nodes {
            let into = union.nodes.entry(step.clone()).or_default();
            into.member |= node.member;
            into.children = into.children.union(&node.children);
        }
        union
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(|step, node| {
            let other = other.nodes.get(step)?;
            Some(Node { member: node.member && other.member, children: node.children.intersection(&other.children) })
        })
    }

    /// What is in this one only.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(|step, node| match other.nodes.get(step) {
            None => Some(node.clone()),
            Some(other) => {
                Some(Node { member: node.member && !other.member, children: node.children.difference(&other.children) })
            }
        })
    }

    /// What is neither in the other nor below anything in it.
    #[must_use]
    pub fn outside(&self, other: &Self) -> Self {
        self.combine(|step, node| match other.nodes.get(step) {
            None => Some(node.clone()),
            Some(other) if other.member => None,
            Some(other) => Some(Node { member: node.member, children: node.children.outside(&other.children) }),
        })
    }

    fn combine(&self, mut with: impl FnMut(&Step, &Node) -> Option<Node>) -> Self {
        let nodes = self.nodes.iter().filter_map(|(step, node)| {
            let node = with(step, node).filter(|node| !node.is_empty())?;
            Some((step.clone(), node))
        });
        Self { nodes: nodes.collect() }
    }

    /// The same, with the fields on the way to a member as members too: those that the schema names, not the keys of
    /// maps and lists.
    #[must_use]
    pub(super) fn with_named_parents(&self, schema: &Schema) -> Self {
        self.combine(|step, node| {
            let (named, below) = match step {
                Step::Field(name) => {
                    (schema.object().is_some_and(|object| object.field(name).is_some()), schema.at(name))
                }
                _ => (false, schema.items()),
            };
            let children = node.children.with_named_parents(below.unwrap_or(&Schema::Any));
            Some(Node { member: node.member || named, children })
        })
    }

    /// As `FieldsV1`.
    pub fn fields_v1(&self) -> Value {
        let fields = self.nodes.iter().map(|(step, node)| {
            let mut below = node.children.fields_v1();
            if node.member && !node.children.is_empty() {
                below["."] = Value::Object(Map::new());
            }
            (step.text(), below)
        });
        Value::Object(fields.collect())
    }

    /// The set that `FieldsV1` tells; none if that is no `FieldsV1`.
    pub fn of_fields_v1(fields: &Value) -> Option<Self> {
        let mut nodes = BTreeMap::new();
        for (text, below) in fields.as_object()? {
            if text == "." {
                continue;
            }
            let children = Self::of_fields_v1(below)?;
            // A leaf is a member without having to say so.
            let member = children.is_empty() || below.get(".").is_some();
            nodes.insert(Step::parse(text)?, Node { member, children });
        }
        Some(Self { nodes })
    }
}

impl FromIterator<Path> for Set {
    fn from_iter<I: IntoIterator<Item = Path>>(paths: I) -> Self {
        let mut set = Self::default();
        paths.into_iter().for_each(|path| set.insert(&path.0));
        set
    }
}

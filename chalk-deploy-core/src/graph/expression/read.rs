//! What an expression reads, and of which type it is.
//!
//! Names are looked up where they stand: `_` is a row of the feature set; within `_.payments[...]` and within the
//! arguments of a method of rows it is a row of the set that the has-many leads to, and `__` the row outside. A function
//! that takes rows takes its other arguments for each of them (`F.max_by(_.payments[_.amount], _.at)`); what the set of
//! the rows does not have is then looked up outside. So chalkpy's own check of these names has it (its code 701).
//!
//! A type is inferred only where there is no doubt: features, literals, comparisons, arithmetic, counts and sums. What
//! a function returns is the platform's to know.

use super::super::catalog::{Catalog, FeatureId, NamespaceId};
use super::super::proto::feature_type;
use super::super::values::{Family, ValueType, seconds_of_duration};
use super::{Expression, Form, NodeId};

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::graph) enum Kind {
    /// Not told.
    Unknown,
    /// A row of a set, and the set in which names are looked up when it does not have them.
    Row(NamespaceId, Option<NamespaceId>),
    /// Rows of a set, and the column that was chosen.
    Rows(NamespaceId, Option<FeatureId>),
    /// A method of rows.
    Method(NamespaceId, Option<FeatureId>),
    /// A feature that is no join.
    Feature(FeatureId),
    /// A value.
    Value(ValueType),
}

/// Where names are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::graph) struct Scope {
    row: NamespaceId,
    outer: Option<NamespaceId>,
    fallback: Option<NamespaceId>,
}

impl Scope {
    /// In a feature set.
    pub(in crate::graph) fn of(row: NamespaceId) -> Self {
        Self { row, outer: None, fallback: None }
    }

    fn of_rows(self, rows: NamespaceId) -> Self {
        Self { row: rows, outer: Some(self.row), fallback: None }
    }
}

/// A name that the set does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::graph) struct Named<'e> {
    pub(in crate::graph) namespace: NamespaceId,
    pub(in crate::graph) name: &'e str,
}

/// What an expression says.
#[derive(Debug)]
pub(in crate::graph) struct Reading<'e> {
    /// The features that it reads, each once, in the order in which they stand.
    pub(in crate::graph) reads: Vec<FeatureId>,
    /// What it names, and no set has.
    pub(in crate::graph) unknown: Vec<Named<'e>>,
    /// Its type, where there is no doubt.
    pub(in crate::graph) value_type: Option<ValueType>,
}

/// Reads expressions of one graph.
#[derive(Debug)]
pub(in crate::graph) struct Reader<'c, 'g> {
    catalog: &'c Catalog<'g>,
}

enum Step {
    /// Look at a node; it may be the function of a call.
    Enter(NodeId, Scope, bool),
    /// Its first child was read: look at the others.
    Rest(NodeId, Scope),
    /// An argument was read: look at the next one.
    Argument(NodeId, NodeId, Scope),
    /// All children were read.
    Leave(NodeId, Scope, bool),
}

struct Walk<'c, 'g, 'e> {
    catalog: &'c Catalog<'g>,
    expression: &'c Expression<'e>,
    kinds: Vec<Kind>,
    steps: Vec<Step>,
    reads: Vec<FeatureId>,
    unknown: Vec<Named<'e>>,
}

impl<'c, 'g> Reader<'c, 'g> {
    pub(in crate::graph) fn new(catalog: &'c Catalog<'g>) -> Self {
        Self { catalog }
    }

    /// Reads an expression of a feature set.
    pub(in crate::graph) fn read<'e>(&self, expression: &Expression<'e>, scope: Scope) -> Reading<'e> {
        let mut walk = Walk {
            catalog: self.catalog,
            expression,
            kinds: vec![Kind::Unknown; expression.len()],
            steps: vec![Step::Enter(0, scope, false)],
            reads: Vec::new(),
            unknown: Vec::new(),
        };
        while let Some(step) = walk.steps.pop() {
            walk.step(&step);
        }
        let value_type = walk.type_of(walk.kind(0));
        let mut reads = walk.reads;
        let mut seen = std::collections::HashSet::with_capacity(reads.len());
        reads.retain(|feature| seen.insert(*feature));
        let mut unknown = walk.unknown;
        unknown.sort_by_key(|named| (named.namespace, named.name));
        unknown.dedup();
        Reading { reads, unknown, value_type }
    }
}

impl<'e> Walk<'_, '_, 'e> {
    fn kind(&self, node: NodeId) -> Kind {
        self.kinds.get(node as usize).copied().unwrap_or(Kind::Unknown)
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Enter(node, scope, called) => self.enter(node, scope, called),
            Step::Rest(node, scope) => self.rest(node, scope),
            Step::Argument(node, argument, scope) => self.next_argument(node, argument, scope),
            Step::Leave(node, scope, called) => {
                let kind = self.leave(node, scope, called);
                if let Some(place) = self.kinds.get_mut(node as usize) {
                    *place = kind;
                }
            }
        }
    }

    fn enter(&mut self, node: NodeId, scope: Scope, called: bool) {
        let children = self.expression.children(node);
        match self.expression.form(node) {
            form @ (Form::Subscript | Form::Call) if !children.is_empty() => {
                self.steps.push(Step::Rest(node, scope));
                self.steps.push(Step::Enter(children.start, scope, form == Form::Call));
            }
            _ => {
                self.steps.push(Step::Leave(node, scope, called));
                self.steps.extend(children.rev().map(|child| Step::Enter(child, scope, false)));
            }
        }
    }

    /// The other children of a subscript or a call, in the scope that the first one makes.
    fn rest(&mut self, node: NodeId, scope: Scope) {
        let children = self.expression.children(node);
        let is_function = matches!(self.expression.form(children.start), Form::Identifier(_));
        let inner = match self.kind(children.start) {
            Kind::Rows(rows, _) | Kind::Method(rows, _) => scope.of_rows(rows),
            _ => scope,
        };
        let rest = children.start + 1..children.end;
        self.steps.push(Step::Leave(node, scope, false));
        if is_function && !rest.is_empty() {
            self.steps.push(Step::Argument(node, rest.start, inner));
            self.steps.push(Step::Enter(rest.start, inner, false));
        } else {
            self.steps.extend(rest.rev().map(|child| Step::Enter(child, inner, false)));
        }
    }

    fn next_argument(&mut self, node: NodeId, argument: NodeId, scope: Scope) {
        let scope = match self.kind(argument) {
            Kind::Rows(rows, _) if scope.fallback.is_none() => {
                Scope { row: rows, outer: Some(scope.row), fallback: Some(scope.row) }
            }
            _ => scope,
        };
        let next = argument + 1;
        if next < self.expression.children(node).end {
            self.steps.push(Step::Argument(node, next, scope));
            self.steps.push(Step::Enter(next, scope, false));
        }
    }

    fn leave(&mut self, node: NodeId, scope: Scope, called: bool) -> Kind {
        let children = self.expression.children(node);
        match self.expression.form(node) {
            Form::Identifier("_") => Kind::Row(scope.row, scope.fallback),
            Form::Identifier("__") => scope.outer.map_or(Kind::Unknown, |outer| Kind::Row(outer, None)),
            Form::Attribute(name) => self.attribute(self.kind(children.start), name, called),
            Form::Column(namespace, name) => {
                let found = self.catalog.namespace(namespace).and_then(|of| self.catalog.named(of, name));
                found.map_or(Kind::Unknown, |feature| self.feature(feature, false))
            }
            Form::Literal(literal) => literal.value_type.map_or(Kind::Unknown, Kind::Value),
            Form::Cast(Some(value_type)) => Kind::Value(value_type),
            Form::Subscript => self.subscript(children),
            Form::Call => self.call(children),
            Form::Binary(operator) => self.operation(operator, children),
            Form::Identifier(_) | Form::Cast(None) | Form::Other => Kind::Unknown,
        }
    }

    fn attribute(&mut self, parent: Kind, name: &'e str, called: bool) -> Kind {
        match parent {
            Kind::Row(namespace, fallback) => {
                let found = self.catalog.attribute(namespace, name);
                let found = found.or_else(|| self.catalog.attribute(fallback?, name));
                if let Some(feature) = found {
                    return self.feature(feature, false);
                }
                // `_.chalk_now` and `_.chalk_window` are the platform's.
                if !called && !name.starts_with("chalk_") && self.catalog.has_set(namespace) {
                    self.unknown.push(Named { namespace, name });
                }
                Kind::Unknown
            }
            Kind::Rows(rows, chosen) => match self.catalog.attribute(rows, name).filter(|_| !called) {
                Some(feature) => self.feature(feature, true),
                None => Kind::Method(rows, chosen),
            },
            _ => Kind::Unknown,
        }
    }

    /// A feature that is read: of one row or of rows.
    fn feature(&mut self, feature: FeatureId, of_rows: bool) -> Kind {
        self.reads.push(feature);
        let foreign = self.catalog.foreign_namespace(feature);
        match self.catalog.kind(feature) {
            Some(feature_type::Kind::HasMany(_)) => foreign.map_or(Kind::Unknown, |rows| Kind::Rows(rows, None)),
            Some(feature_type::Kind::HasOne(_)) => {
                foreign.map_or(Kind::Unknown, |row| if of_rows { Kind::Rows(row, None) } else { Kind::Row(row, None) })
            }
            _ if of_rows => {
                self.catalog.namespace_of(feature).map_or(Kind::Unknown, |rows| Kind::Rows(rows, Some(feature)))
            }
            _ => Kind::Feature(feature),
        }
    }

    fn subscript(&mut self, mut children: std::ops::Range<NodeId>) -> Kind {
        let Some(parent) = children.next() else { return Kind::Unknown };
        match self.kind(parent) {
            Kind::Rows(rows, chosen) => {
                // Among filters stand at most some columns; the first one is what is aggregated.
                let column = children.find_map(|key| match self.kind(key) {
                    Kind::Feature(feature) if matches!(self.expression.form(key), Form::Attribute(_)) => Some(feature),
                    _ => None,
                });
                Kind::Rows(rows, column.or(chosen))
            }
            Kind::Feature(windowed) => {
                let Some(key) = children.next() else { return Kind::Unknown };
                let Form::Literal(literal) = self.expression.form(key) else { return Kind::Unknown };
                let window = literal.text.and_then(seconds_of_duration);
                let Some(feature) = window.and_then(|seconds| self.catalog.window(windowed, seconds)) else {
                    return Kind::Unknown;
                };
                // The window is read, and the others are not.
                if let Some(place) = self.reads.iter().rposition(|read| *read == windowed) {
                    self.reads.remove(place);
                }
                self.reads.push(feature);
                Kind::Feature(feature)
            }
            _ => Kind::Unknown,
        }
    }

    fn call(&mut self, mut children: std::ops::Range<NodeId>) -> Kind {
        let Some(function) = children.next() else { return Kind::Unknown };
        match (self.expression.form(function), self.kind(function)) {
            (Form::Identifier(operator), _) => self.operation(operator, children),
            (Form::Attribute(method), Kind::Method(rows, chosen)) => {
                let column = chosen.and_then(|feature| self.catalog.value_type(feature));
                let family = column.and_then(ValueType::family);
                match method {
                    "count" => Kind::Value(ValueType::INTEGER),
                    "mean" | "avg" | "std" | "stddev" | "var" => Kind::Value(ValueType::FLOAT),
                    "sum" => match family {
                        Some(Family::Integer) => Kind::Value(ValueType::INTEGER),
                        Some(Family::Fraction) => Kind::Value(ValueType::FLOAT),
                        _ => Kind::Unknown,
                    },
                    "min" | "max" => column.map_or(Kind::Unknown, Kind::Value),
                    // Filters and their like leave rows; what they are called is the platform's to say.
                    _ => Kind::Rows(rows, chosen),
                }
            }
            _ => Kind::Unknown,
        }
    }

    /// An operator, by its name in Python.
    fn operation(&self, operator: &str, operands: std::ops::Range<NodeId>) -> Kind {
        if matches!(operator, "==" | "!=" | "<" | "<=" | ">" | ">=") {
            return Kind::Value(ValueType::BOOLEAN);
        }
        if !matches!(operator, "+" | "-" | "*" | "/" | "//" | "%" | "&" | "|") || operands.len() != 2 {
            return Kind::Unknown;
        }
        let mut families = operands.map(|operand| self.type_of(self.kind(operand)).and_then(ValueType::family));
        let (Some(Some(left)), Some(Some(right))) = (families.next(), families.next()) else { return Kind::Unknown };
        Kind::Value(match (operator, left, right) {
            ("&" | "|", Family::Boolean, Family::Boolean) => ValueType::BOOLEAN,
            ("+", Family::Text, Family::Text) => ValueType::TEXT,
            ("&" | "|", _, _) => return Kind::Unknown,
            ("/", Family::Integer | Family::Fraction, Family::Integer | Family::Fraction)
            | (_, Family::Fraction, Family::Integer | Family::Fraction)
            | (_, Family::Integer, Family::Fraction) => ValueType::FLOAT,
            (_, Family::Integer, Family::Integer) => ValueType::INTEGER,
            _ => return Kind::Unknown,
        })
    }

    fn type_of(&self, kind: Kind) -> Option<ValueType> {
        match kind {
            Kind::Value(value_type) => Some(value_type),
            Kind::Feature(feature) => self.catalog.value_type(feature),
            _ => None,
        }
    }
}

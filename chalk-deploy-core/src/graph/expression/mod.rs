//! The expressions of a graph (`chalk.expression.v1.LogicalExprNode`), read from their wire bytes.
//!
//! An expression is a tree of any depth, so nothing here calls itself: [`Expression::parse`] keeps a queue and
//! [`read`](read::read) a stack of its own. prost would stop at 100 levels of messages, and a node takes two. How deep
//! an export may be nested at all is decided once, when it is decoded ([`wire`](super::wire)).
//!
//! Only what dependencies and types need is told apart; a node of any other kind is [`Form::Other`] with the expressions
//! found in it.

mod read;

use std::ops::Range;

use super::values::ValueType;
use super::wire::{Fields, Value, WireError};

pub(super) use read::{Reader, Reading, Scope};

/// A node by its place in [`Expression::nodes`].
pub(super) type NodeId = u32;

/// More nodes than this are not read; an export of 100 MiB could not hold more that say something.
const MOST_NODES: usize = 20_000_000;

/// A tree of nodes, the root first, children after their parents and next to each other.
#[derive(Debug)]
pub(super) struct Expression<'e> {
    nodes: Vec<Node<'e>>,
}

#[derive(Debug)]
pub(super) struct Node<'e> {
    pub(super) form: Form<'e>,
    children: Range<NodeId>,
}

/// What a node is. The children stand in the order of the fields that hold them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form<'e> {
    /// `_`, `__` or the name of a function or operator.
    Identifier(&'e str),
    /// The child's attribute.
    Attribute(&'e str),
    /// The first child's rows or windows, by the other children.
    Subscript,
    /// The first child, with the others as arguments.
    Call,
    /// A value.
    Literal(Literal<'e>),
    /// A feature of a feature set, as joins and filters name it: the set, then the feature.
    Column(&'e str, &'e str),
    /// Two or more children with an operator between them.
    Binary(&'e str),
    /// The child, as another type.
    Cast(Option<ValueType>),
    /// Anything else.
    Other,
}

/// A value in an expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Literal<'e> {
    /// What it is, unless it is null or newer than this library.
    pub(super) value_type: Option<ValueType>,
    /// The text of a string.
    pub(super) text: Option<&'e str>,
}

impl<'e> Expression<'e> {
    /// Reads all nodes.
    pub(super) fn parse(bytes: &'e [u8]) -> Result<Self, WireError> {
        let mut parsed = Self { nodes: vec![Node { form: Form::Other, children: 0..0 }] };
        // The bytes of the node of the same place, until it was read.
        let mut contents: Vec<&'e [u8]> = vec![bytes];
        let mut next = 0;
        while let Some(content) = contents.get(next).copied() {
            let first = contents.len();
            let form = node(content, &mut contents)?;
            if contents.len() > MOST_NODES {
                return Err(WireError::Depth);
            }
            let children = id(first)..id(contents.len());
            parsed.nodes.resize_with(contents.len(), || Node { form: Form::Other, children: 0..0 });
            if let Some(read) = parsed.nodes.get_mut(next) {
                *read = Node { form, children };
            }
            next += 1;
        }
        Ok(parsed)
    }

    pub(super) fn form(&self, node: NodeId) -> Form<'e> {
        self.nodes.get(node as usize).map_or(Form::Other, |node| node.form)
    }

    pub(super) fn children(&self, node: NodeId) -> Range<NodeId> {
        self.nodes.get(node as usize).map_or(0..0, |node| node.children.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }
}

fn id(place: usize) -> NodeId {
    NodeId::try_from(place).unwrap_or(NodeId::MAX)
}

/// Reads one node and puts the bytes of its children behind `contents`. The numbers are those of `LogicalExprNode` and
/// of the messages in it.
fn node<'e>(content: &'e [u8], contents: &mut Vec<&'e [u8]>) -> Result<Form<'e>, WireError> {
    let mut form = Form::Other;
    for field in Fields::of(content) {
        let field = field?;
        let Value::Bytes(inner) = field.value else { continue };
        match field.number {
            1 => form = column(inner)?,
            3 => form = Form::Literal(literal(inner)?),
            4 => {
                put(contents, inner, &[1])?;
                form = Form::Binary(text_at(inner, 3)?);
            }
            11 | 17 => {
                put(contents, inner, &[1])?;
                form = Form::Cast(bytes_at(inner, 2)?.and_then(ValueType::of_type));
            }
            35 | 41 => form = Form::Identifier(text_at(inner, 1)?),
            36 => {
                put(contents, inner, &[1])?;
                form = Form::Attribute(text_at(bytes_at(inner, 2)?.unwrap_or_default(), 1)?);
            }
            37 => {
                put(contents, inner, &[1])?;
                put(contents, inner, &[2])?;
                form = Form::Subscript;
            }
            38 => {
                put(contents, inner, &[1])?;
                put(contents, inner, &[2])?;
                // Arguments by name: the entries of a map.
                for entry in Fields::of(inner) {
                    let entry = entry?;
                    if let (3, Value::Bytes(entry)) = (entry.number, entry.value) {
                        put(contents, entry, &[2])?;
                    }
                }
                form = Form::Call;
            }
            39 => {
                let value = bytes_at(inner, 1)?.unwrap_or_default();
                form = Form::Literal(literal(value)?);
            }
            40 | 43 | 44 => {}
            number => other(number, inner, contents)?,
        }
    }
    Ok(form)
}

/// The kinds of nodes that only lead on to others.
fn other<'e>(number: u32, inner: &'e [u8], contents: &mut Vec<&'e [u8]>) -> Result<(), WireError> {
    match number {
        // alias, is_null and its like, negation, sort, indexed field, rollup, cube.
        2 | 6..=8 | 12 | 13 | 21 | 23..=30 => put(contents, inner, &[1]),
        // aggregate_expr
        5 => put(contents, inner, &[2, 4, 5]),
        // between, in_list, like and its like
        9 => put(contents, inner, &[1, 3, 4]),
        14 => put(contents, inner, &[1, 2]),
        31..=33 => put(contents, inner, &[2, 3]),
        // case, with its pairs of when and then
        10 => {
            put(contents, inner, &[1, 3])?;
            for pair in Fields::of(inner) {
                let pair = pair?;
                if let (2, Value::Bytes(pair)) = (pair.number, pair.value) {
                    put(contents, pair, &[1, 2])?;
                }
            }
            Ok(())
        }
        // functions of the engine
        16 | 20 | 42 => put(contents, inner, &[2]),
        18 => put(contents, inner, &[4, 5, 6]),
        19 => put(contents, inner, &[2, 3, 4]),
        _ => Ok(()),
    }
}

/// Puts the fields with these numbers behind the contents, in the order in which they stand.
fn put<'e>(contents: &mut Vec<&'e [u8]>, message: &'e [u8], numbers: &[u32]) -> Result<(), WireError> {
    for field in Fields::of(message) {
        let field = field?;
        if let Value::Bytes(content) = field.value
            && numbers.contains(&field.number)
        {
            contents.push(content);
        }
    }
    Ok(())
}

fn column(message: &[u8]) -> Result<Form<'_>, WireError> {
    let relation = text_at(bytes_at(message, 2)?.unwrap_or_default(), 1)?;
    Ok(Form::Column(relation, text_at(message, 1)?))
}

/// A `chalk.arrow.v1.ScalarValue`.
fn literal(message: &[u8]) -> Result<Literal<'_>, WireError> {
    let mut read = Literal { value_type: None, text: None };
    for field in Fields::of(message) {
        let field = field?;
        read.value_type = ValueType::of_value_field(field.number);
        read.text = match (field.number, field.value) {
            (5 | 20, Value::Bytes(text)) => std::str::from_utf8(text).ok(),
            _ => None,
        };
    }
    Ok(read)
}

/// The last field with a number, as protobuf has it.
fn bytes_at(message: &[u8], number: u32) -> Result<Option<&[u8]>, WireError> {
    let mut found = None;
    for field in Fields::of(message) {
        let field = field?;
        if let Value::Bytes(content) = field.value
            && field.number == number
        {
            found = Some(content);
        }
    }
    Ok(found)
}

fn text_at(message: &[u8], number: u32) -> Result<&str, WireError> {
    Ok(bytes_at(message, number)?.and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests;

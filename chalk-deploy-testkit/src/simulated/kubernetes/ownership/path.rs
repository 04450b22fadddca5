//! Where in an object: steps by field, by the key of a list's item, by a set's value, by position.

use std::fmt;

use serde_json::{Map, Value};

/// One step of a path. Scalars are kept as their JSON, which orders and prints them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// `f:`, a field or the key of a map.
    Field(String),
    /// `k:`, the item of a list that has these values in its key fields.
    Key(Vec<(String, String)>),
    /// `v:`, a value of a set.
    Value(String),
    /// `i:`, a position.
    Index(usize),
}

impl Step {
    /// A field.
    pub fn field(name: impl Into<String>) -> Self {
        Self::Field(name.into())
    }

    /// The item of a list with these key fields.
    pub fn key<'v>(fields: impl IntoIterator<Item = (&'v str, Value)>) -> Self {
        let mut fields: Vec<_> = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
        fields.sort();
        Self::Key(fields)
    }

    /// A value of a set.
    pub fn value(value: &Value) -> Self {
        Self::Value(value.to_string())
    }

    /// As it is written in `FieldsV1`.
    pub fn text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let fields = fields.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())));
                format!("k:{{{}}}", fields.collect::<Vec<_>>().join(","))
            }
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// The step that `FieldsV1` writes so.
    pub fn parse(text: &str) -> Option<Self> {
        let (mark, rest) = text.split_once(':')?;
        match mark {
            "f" => Some(Self::field(rest)),
            "k" => {
                let fields: Map<String, Value> = serde_json::from_str(rest).ok()?;
                Some(Self::key(fields.iter().map(|(name, value)| (name.as_str(), value.clone()))))
            }
            "v" => serde_json::from_str(rest).ok().map(|value: Value| Self::value(&value)),
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }
}

/// As the API server writes it in its messages.
impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(formatter, ".{name}"),
            Self::Key(fields) => {
                let fields = fields.iter().map(|(name, value)| format!("{name}={value}"));
                write!(formatter, "[{}]", fields.collect::<Vec<_>>().join(","))
            }
            Self::Value(value) => write!(formatter, "[={value}]"),
            Self::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

/// A whole path, such as `.spec.template.spec.containers[name="engine"].image`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(pub Vec<Step>);

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| step.fmt(formatter))
    }
}

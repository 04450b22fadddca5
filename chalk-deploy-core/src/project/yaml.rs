//! YAML from strangers as a tree of what stands in the file.
//!
//! The text is parsed twice: once to learn the shape, and once more along that shape to get every scalar as it is
//! spelled. So `no`, `on`, `1e3` and `0755` stay what was written where a string is meant, and `3.10` is never 3.1.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::text;

/// A node of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    Null,
    /// A scalar as it is spelled; `kind` says how YAML reads it.
    Scalar {
        text: String,
        kind: ScalarKind,
    },
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

/// How YAML reads a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScalarKind {
    String,
    Boolean,
    Number,
}

impl Tree {
    /// Parses one document. The error is one printable line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let readable = |error: serde_saphyr::Error| text::line(&error.to_string(), 300);
        let shape: Self = serde_saphyr::from_str_with_options(text, options()).map_err(readable)?;
        serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| {
            Spelled(&shape).deserialize(deserializer)
        })
        .map_err(readable)
    }

    /// What it is, for the sentence of an error.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Scalar { text, kind: ScalarKind::String } => format!("the text `{}`", text::line(text, 60)),
            Self::Scalar { text, kind: ScalarKind::Boolean } => format!("the boolean `{}`", text::line(text, 60)),
            Self::Scalar { text, kind: ScalarKind::Number } => format!("the number `{}`", text::line(text, 60)),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Far more than any real chalk.yaml needs, and far less than what an alias bomb wants.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_documents: 1,
            max_nodes: 50_000,
            max_events: 200_000,
            max_aliases: 1000,
            max_anchors: 1000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 50_000,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        ignore_binary_tag_for_string: true,
        with_snippet: false,
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl ShapeVisitor {
    fn scalar(text: impl Into<String>, kind: ScalarKind) -> Tree {
        Tree::Scalar { text: text.into(), kind }
    }
}

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping, a list or a scalar")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Self::scalar(value.to_string(), ScalarKind::Boolean))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Self::scalar(value.to_string(), ScalarKind::Number))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Tree, E> {
        Ok(Self::scalar(value.to_string(), ScalarKind::Number))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Self::scalar(value.to_string(), ScalarKind::Number))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Tree, E> {
        Ok(Self::scalar(value.to_string(), ScalarKind::Number))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Self::scalar(value.to_string(), ScalarKind::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Self::scalar(value, ScalarKind::String))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(child) = access.next_element()? {
            list.push(child);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = access.next_key::<String>()? {
            map.push((key, access.next_value()?));
        }
        Ok(Tree::Map(map))
    }
}

/// Reads the same node again, asking for strings where the first reading found scalars.
struct Spelled<'a>(&'a Tree);

impl<'de> DeserializeSeed<'de> for Spelled<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        match self.0 {
            // Quoted text and plain text that YAML reads as text come as they are.
            shape @ (Tree::Null | Tree::Scalar { kind: ScalarKind::String, .. }) => {
                serde::de::IgnoredAny::deserialize(deserializer)?;
                Ok(shape.clone())
            }
            Tree::Scalar { kind, .. } => {
                let text = String::deserialize(deserializer)?;
                let kind = if *kind == ScalarKind::Number && !is_number_everywhere(&text) {
                    ScalarKind::String
                } else {
                    *kind
                };
                Ok(Tree::Scalar { text, kind })
            }
            Tree::List(_) => deserializer.deserialize_seq(self),
            Tree::Map(_) => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Spelled<'_> {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the same document as before")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let Tree::List(shapes) = self.0 else { return Err(serde::de::Error::custom("the shape changed")) };
        let mut list = Vec::with_capacity(shapes.len());
        for shape in shapes {
            list.extend(access.next_element_seed(Spelled(shape))?);
        }
        // Asking for the end lets the parser check it.
        if access.next_element::<serde::de::IgnoredAny>()?.is_some() {
            return Err(serde::de::Error::custom("the shape changed"));
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let Tree::Map(shapes) = self.0 else { return Err(serde::de::Error::custom("the shape changed")) };
        let mut map = Vec::with_capacity(shapes.len());
        let mut shapes = shapes.iter();
        while let Some(key) = access.next_key::<String>()? {
            let (_, shape) = shapes.next().ok_or_else(|| serde::de::Error::custom("the shape changed"))?;
            map.push((key, access.next_value_seed(Spelled(shape))?));
        }
        Ok(Tree::Map(map))
    }
}

/// Whether every version of YAML, and everyone who reads it, takes the text for a number: decimal digits with at most
/// one point. `0755` and `1e3` are numbers to some and text to others; where a string is meant they are text.
fn is_number_everywhere(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !whole.is_empty() && all_digits(whole) && all_digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(text: &str, kind: ScalarKind) -> Tree {
        Tree::Scalar { text: text.to_owned(), kind }
    }

    fn value(yaml: &str) -> Tree {
        match Tree::parse(&format!("key: {yaml}")).expect("valid YAML") {
            Tree::Map(mut entries) => entries.remove(0).1,
            other => panic!("a mapping, not {other:?}"),
        }
    }

    #[test]
    fn what_only_some_versions_of_yaml_take_for_another_type_stays_the_text_that_was_written() {
        for text in ["no", "on", "off", "yes", "y", "1e3", "0755", "0x1f", "2024-01-01", "12:30:00", "v1", "1.2.3"] {
            assert_eq!(value(text), scalar(text, ScalarKind::String), "{text}");
        }
        for text in ["123", "-1", "3.10", "0", "0.5"] {
            assert_eq!(value(text), scalar(text, ScalarKind::Number), "{text}");
            assert_eq!(value(&format!("\"{text}\"")), scalar(text, ScalarKind::String), "{text} in quotes");
        }
        assert_eq!(value("true"), scalar("true", ScalarKind::Boolean));
        assert_eq!(value("'true'"), scalar("true", ScalarKind::String));
        for text in ["", "~", "null"] {
            assert_eq!(value(text), Tree::Null, "{text}");
        }
    }

    #[test]
    fn nesting_aliases_and_merges_keep_their_spelling() {
        let tree = Tree::parse("base: &b {x: 010, y: [1, no]}\nother: {<<: *b, z: 2}\nagain: *b").expect("valid YAML");
        let Tree::Map(entries) = tree else { panic!("a mapping") };
        let Tree::Map(other) = &entries[1].1 else { panic!("a mapping") };
        assert!(other.contains(&("x".to_owned(), scalar("010", ScalarKind::String))), "{other:?}");
        assert!(other.contains(&("z".to_owned(), scalar("2", ScalarKind::Number))), "{other:?}");
        assert_eq!(entries[2].1, entries[0].1);
    }

    #[test]
    fn hostile_documents_are_refused_with_one_printable_line() {
        let levels: String = (1..12).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
            let before = format!("*a{},", level - 1).repeat(9);
            format!("{text}a{level}: &a{level} [{before}]\n")
        });
        let deep = "[".repeat(10_000);
        let deep_blocks: String = (0..200).flat_map(|level| [" ".repeat(level), "k:\n".to_owned()]).collect();
        let cases = [
            ("an alias bomb", levels.as_str()),
            ("depth", deep.as_str()),
            ("depth in blocks", deep_blocks.as_str()),
            ("a duplicate key", "a: 1\na: 2"),
            ("two documents", "a: 1\n---\nb: 2"),
            ("a tag", "a: !!python/object/apply:os.system [ls]"),
            ("an own tag", "a: !mine 1"),
            ("an open bracket", "a: [1"),
            ("a tab", "a:\n\t- b"),
            ("an unknown alias", "a: *nothing"),
            ("an endless alias", "a: &a [*a]"),
            ("a mapping for a key", "{a: 1}: 2"),
        ];
        for (what, text) in cases {
            let error = Tree::parse(text).expect_err(what);
            assert!(!error.contains('\n') && !error.is_empty() && error.chars().count() <= 300, "{what}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[-\\[\\]{}:#&*!|>'\"%@`a0 \n\t\\\\,?~<=.]{0,60}") {
            let _ = Tree::parse(&text);
        }
    }
}

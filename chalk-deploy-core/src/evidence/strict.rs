//! JSON from strangers, of which there is one reading only.

use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// Reads a document in which no object has a name twice: two readers that take the first and the last of them would read
/// different documents, of which one was verified. What is nested deeper than `serde_json` follows is refused by it.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Strict>(bytes).map(|strict| strict.0)
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Strict(value) = members.next_value()?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("an object has a name twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":[{"c":1,"c":2}]}}"#,
            r#"[{"x":null,"x":null}]"#,
            // The same name, written in two ways.
            r#"{"payload":1,"p\u0061yload":2}"#,
        ] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.to_string().starts_with("an object has a name twice"), "{error}");
        }
        for text in ["", "{", "{} {}", "nul", "\u{feff}{}", &"[".repeat(10_000)] {
            parse(text.as_bytes()).expect_err("no document");
        }
    }

    proptest! {
        #[test]
        fn what_has_no_name_twice_is_read_as_everybody_reads_it(
            names in prop::collection::btree_set("[a-z\\\\\"é]{0,6}", 0..6),
            number in any::<i64>(),
            float in any::<f64>().prop_filter("JSON has no others", |float| float.is_finite()),
            flag in any::<bool>(),
        ) {
            let inner: Map<String, Value> = names.iter().map(|name| (name.clone(), number.into())).collect();
            let document = serde_json::json!({"a": inner, "b": [float, flag, null, "text"], "c": u64::MAX});
            prop_assert_eq!(parse(document.to_string().as_bytes()).expect("sound"), document);
        }
    }
}

//! Fields that a document gives twice, which only its text can tell.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Problem;

/// As many as are told; the rest is more of the same.
const MOST_TOLD: usize = 32;

/// The fields that a document in JSON gives twice. Of a text that is no JSON, those before its error.
pub fn duplicate_fields(text: &[u8]) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(text);
    // What is no JSON is refused where it is read in earnest.
    let _ = Look { at: String::new(), found: &mut found }.deserialize(&mut reader);
    found
}

struct Look<'f> {
    at: String,
    found: &'f mut Vec<Problem>,
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let at = if self.at.is_empty() { name.clone() } else { format!("{}.{name}", self.at) };
            if !names.insert(name) && self.found.len() < MOST_TOLD {
                self.found.push(Problem::twice(&at));
            }
            map.next_value_seed(Look { at, found: self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut position = 0;
        while items.next_element_seed(Look { at: format!("{}[{position}]", self.at), found: self.found })?.is_some() {
            position += 1;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

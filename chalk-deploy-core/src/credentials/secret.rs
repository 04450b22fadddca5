//! Text that is never shown.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// A token, a password or a key. It prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it or signs with it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error of a wrong type would hold the value.
        String::deserialize(deserializer).map(Self).map_err(|_| de::Error::custom("a secret is no text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_printed_nowhere_not_even_by_the_error_of_a_wrong_type() {
        let secret: Secret = serde_json::from_str("\"hidden\"").expect("text");
        assert_eq!((format!("{secret:?}").as_str(), secret.expose()), ("***", "hidden"));
        let error = serde_json::from_str::<Secret>("4711").expect_err("a number");
        assert!(!error.to_string().contains("4711"), "{error}");
    }
}

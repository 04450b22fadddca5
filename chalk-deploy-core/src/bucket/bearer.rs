//! Who names the bearer token of a request, at Google and at Microsoft.

use std::fmt;

use async_trait::async_trait;
use http::HeaderValue;

use crate::{Error, ErrorCode, Result};

/// Where bearer tokens come from. Asked before every request, so it keeps what it has fetched until shortly before it
/// expires.
#[async_trait]
pub trait BearerTokenSource: fmt::Debug + Send + Sync + 'static {
    /// A token that is valid now.
    ///
    /// **Errors.** `PERMISSION_DENIED` when there is none; `CLOUD_UNAVAILABLE` when it cannot be fetched now.
    async fn token(&self) -> Result<BearerToken>;
}

/// A token with which whoever has it may do what its owner may (RFC 6750). Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    /// A token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The value of the header `Authorization`.
    pub(super) fn authorization(&self) -> Result<HeaderValue> {
        // RFC 6750, section 2.1: no space and no control character.
        let usable = !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic());
        let value = usable.then(|| HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()).flatten();
        let mut value = value.ok_or_else(|| {
            Error::new(ErrorCode::ValueInvalid, "the token of the bucket cannot stand in a request")
                .with_hint("correct the credentials of the bucket")
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BearerToken(***)")
    }
}

/// A token that stays the same.
#[async_trait]
impl BearerTokenSource for BearerToken {
    async fn token(&self) -> Result<Self> {
        Ok(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed_and_cannot_add_a_header() {
        let token = BearerToken::new("ya29.hidden");
        assert_eq!(format!("{token:?}"), "BearerToken(***)");
        let value = token.authorization().expect("usable");
        assert_eq!(value, "Bearer ya29.hidden");
        assert!(!format!("{value:?}").contains("hidden"));
        for wrong in ["", "a b", "hidden\r\nx: y", "ä"] {
            let error = BearerToken::new(wrong).authorization().expect_err(wrong);
            assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
        }
    }
}

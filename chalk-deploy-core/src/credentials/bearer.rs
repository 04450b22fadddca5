//! Bearer tokens, and who names that of a request.

use std::fmt;

use async_trait::async_trait;
use http::HeaderValue;

use super::Secret;
use crate::{Error, ErrorCode, Result};

/// Where bearer tokens come from. Asked before every request, so it keeps what it has fetched until shortly before it
/// expires.
#[async_trait]
pub trait BearerTokenSource: fmt::Debug + Send + Sync + 'static {
    /// A token that is valid now.
    ///
    /// **Errors.** `PERMISSION_DENIED` when there is none; `CLOUD_UNAVAILABLE` when it cannot be fetched now.
    async fn token(&self) -> Result<BearerToken>;

    /// Says that this token was refused, before it had expired: it is not to be given again if there is another one.
    async fn refused(&self, _token: &BearerToken) {}
}

/// A token with which whoever has it may do what its owner may (RFC 6750). Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(Secret);

impl BearerToken {
    /// A token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(Secret::new(token))
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The value of the header `Authorization`, marked as one that is not to be shown.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for a token that no header can hold.
    pub fn authorization(&self) -> Result<HeaderValue> {
        // RFC 6750, section 2.1: no space and no control character.
        let token = self.expose();
        let usable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let value = usable.then(|| HeaderValue::from_str(&format!("Bearer {token}")).ok()).flatten();
        let mut value = value.ok_or_else(|| {
            Error::new(ErrorCode::ValueInvalid, "the token cannot stand in a request")
                .with_hint("correct the credentials; a token is one line of printable characters")
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

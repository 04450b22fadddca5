//! Who signs requests to S3.

use std::fmt;

use async_trait::async_trait;

use crate::Result;

/// Where credentials come from. Asked before every request, so it keeps what it has fetched until shortly before it
/// expires.
#[async_trait]
pub trait S3CredentialSource: fmt::Debug + Send + Sync + 'static {
    /// Credentials that are valid now.
    ///
    /// **Errors.** `PERMISSION_DENIED` when there are none; `CLOUD_UNAVAILABLE` when they cannot be fetched now.
    async fn credentials(&self) -> Result<S3Credentials>;

    /// Says that these were refused as ended: they are not to be given again if there are others.
    async fn refused(&self, _credentials: &S3Credentials) {}
}

/// A key of S3 with its secret. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl S3Credentials {
    /// A key and its secret.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self { access_key_id: access_key_id.into(), secret_access_key: secret_access_key.into(), session_token: None }
    }

    /// The token that goes with a key of a session.
    #[must_use]
    pub fn with_session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    pub(super) fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    pub(super) fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    pub(super) fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }
}

/// Credentials that stay the same.
#[async_trait]
impl S3CredentialSource for S3Credentials {
    async fn credentials(&self) -> Result<Self> {
        Ok(self.clone())
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "S3Credentials({})", crate::text::line(&self.access_key_id, 40))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_show_their_name_alone() {
        let credentials = S3Credentials::new("AKIA", "secret").with_session_token("token");
        assert_eq!(format!("{credentials:?}"), "S3Credentials(AKIA)");
    }
}

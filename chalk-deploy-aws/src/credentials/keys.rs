//! A key with its secret.

use std::fmt;

use async_trait::async_trait;
use chalk_deploy_core::bucket::S3Credentials;
use chalk_deploy_core::credentials::Secret;
use chalk_deploy_core::model::Timestamp;
use chalk_deploy_core::{Error, ErrorCode, Result, text};

/// An access key of AWS with its secret and, if it is that of a session, its token. Shows its id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKeys {
    id: String,
    secret: Secret,
    session_token: Option<Secret>,
    expires: Option<Timestamp>,
}

/// Where keys come from. Asked before every request, so it keeps what it has fetched until shortly before it expires.
#[async_trait]
pub trait AccessKeySource: fmt::Debug + Send + Sync + 'static {
    /// Keys that are valid now.
    ///
    /// **Errors.** `PERMISSION_DENIED` when there are none; `CLOUD_UNAVAILABLE` when they cannot be fetched now.
    async fn keys(&self) -> Result<AccessKeys>;

    /// Says that these were refused, before they had expired: they are not to be given again if there are others.
    async fn refused(&self, _keys: &AccessKeys) {}
}

impl AccessKeys {
    /// A key and its secret.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: Secret::new(secret), session_token: None, expires: None }
    }

    /// The token that goes with a key of a session.
    #[must_use]
    pub fn with_session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(Secret::new(token));
        self
    }

    /// When they end; never unless said.
    #[must_use]
    pub const fn with_expiry(mut self, expires: Timestamp) -> Self {
        self.expires = Some(expires);
        self
    }

    /// The id of the key, which is no secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When they end, if they do.
    pub const fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    pub(crate) fn secret(&self) -> &str {
        self.secret.expose()
    }

    pub(crate) fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(Secret::expose)
    }

    /// Refuses what no request can hold: a line break that came along from a file, say.
    pub(crate) fn checked(self) -> Result<Self> {
        let usable = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if usable(&self.id) && usable(self.secret()) && self.session_token().is_none_or(usable) {
            return Ok(self);
        }
        Err(Error::new(ErrorCode::ValueInvalid, "the access key cannot stand in a request")
            .on("credentials of AWS")
            .with_hint("copy the key, its secret and its session token again, each on one line"))
    }

    pub(super) fn for_s3(&self) -> S3Credentials {
        let plain = S3Credentials::new(&*self.id, self.secret());
        match self.session_token() {
            Some(token) => plain.with_session_token(token),
            None => plain,
        }
    }
}

/// Keys that stay the same.
#[async_trait]
impl AccessKeySource for AccessKeys {
    async fn keys(&self) -> Result<Self> {
        self.clone().checked()
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AccessKeys({}, ***)", text::line(&self.id, 40))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_show_their_id_alone() {
        let keys = AccessKeys::new("AKIAEXAMPLE", "hidden").with_session_token("hidden too");
        assert_eq!(format!("{keys:?}"), "AccessKeys(AKIAEXAMPLE, ***)");
        assert_eq!(format!("{:?}", keys.for_s3()), "S3Credentials(AKIAEXAMPLE)");
    }

    #[test]
    fn keys_with_a_line_break_are_refused_without_being_shown() {
        for keys in [
            AccessKeys::new("", "secret"),
            AccessKeys::new("AKIA", "hidden\r\nx: y"),
            AccessKeys::new("AKIA", "secret").with_session_token("hidden "),
        ] {
            let error = keys.checked().expect_err("not usable");
            assert_eq!(error.code(), ErrorCode::ValueInvalid);
            assert!(!error.sentence().contains("hidden"), "{}", error.sentence());
        }
    }
}

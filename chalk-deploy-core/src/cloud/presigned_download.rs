//! Reading an object with nothing but a URL.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::Result;
use crate::model::{ObjectKey, Timestamp};

/// What a bucket may be able to do beyond [`ObjectStore`](super::ObjectStore): URLs from which whoever has them can read
/// one object for a while. A bucket in memory or in a directory has none.
#[async_trait]
pub trait PresignedDownload: fmt::Debug + Send + Sync + 'static {
    /// The longest time for which a URL can be asked for.
    fn expires_in_most(&self) -> Duration;

    /// A URL from which one object can be read by GET until it expires. Whether the object is there is not looked up.
    ///
    /// **Idempotency.** Nothing is changed; each call gives a URL of its own.
    ///
    /// **After a crash.** A URL that was given stays valid until it expires, or until the credentials that signed it do.
    ///
    /// **Errors.** `VALUE_INVALID` for a time of zero, with a fraction of a second, or longer than
    /// [`expires_in_most`](Self::expires_in_most); `PERMISSION_DENIED` when there are no credentials to sign with;
    /// `CLOUD_UNAVAILABLE`.
    async fn presign(&self, key: &ObjectKey, expires_in: Duration) -> Result<PresignedUrl>;
}

/// A URL that is a credential in itself, and so never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PresignedUrl {
    url: String,
    expires_at: Timestamp,
}

impl PresignedUrl {
    /// A URL that is valid until a moment.
    pub fn new(url: impl Into<String>, expires_at: Timestamp) -> Self {
        Self { url: url.into(), expires_at }
    }

    /// The whole URL. Whoever reads it can read the object.
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// When it stops being valid.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl fmt::Debug for PresignedUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query holds the signature.
        let shown = self.url.split('?').next().unwrap_or_default();
        write!(formatter, "PresignedUrl({shown}?…, until {})", self.expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presigned_url_is_shown_without_its_signature() {
        let url = PresignedUrl::new("https://bucket.example/a?X-Amz-Signature=secret", Timestamp::from_millis(0));
        assert_eq!(format!("{url:?}"), "PresignedUrl(https://bucket.example/a?…, until 1970-01-01T00:00:00.000Z)");
        assert!(url.expose().ends_with("secret"));
    }
}

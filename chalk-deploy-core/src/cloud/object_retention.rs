//! Keeping an object from being changed or removed.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::model::{ObjectKey, Timestamp};

/// What a bucket may be able to do beyond [`ObjectStore`](super::ObjectStore): keep an object for a time, or until someone
/// lets it go. Buckets have to be set up for it (Object Lock of S3, object retention of Google Cloud Storage, immutable
/// storage with version-level support of Azure).
#[async_trait]
pub trait ObjectRetention: fmt::Debug + Send + Sync + 'static {
    /// Keeps an object until a moment.
    ///
    /// **Idempotency.** What is kept at least as long, and at least as firmly, stays as it is: equal archives share one
    /// object, and no deployment shortens what another one asked for.
    ///
    /// **After a crash.** The object is kept as it was before, or until the moment.
    ///
    /// **Errors.** `OBJECT_MISSING`; `REQUEST_INVALID` when the bucket is not set up for it; `PERMISSION_DENIED`;
    /// `CLOUD_UNAVAILABLE`.
    async fn retain(&self, key: &ObjectKey, until: Timestamp, mode: RetentionMode) -> Result<()>;

    /// Keeps an object until it is let go, or lets it go.
    ///
    /// **Idempotency.** Asking for what is so already succeeds.
    ///
    /// **After a crash.** It is held or it is not.
    ///
    /// **Errors.** As for [`retain`](Self::retain).
    async fn set_legal_hold(&self, key: &ObjectKey, held: bool) -> Result<()>;

    /// How an object is kept.
    ///
    /// **Errors.** As for [`retain`](Self::retain).
    async fn retention(&self, key: &ObjectKey) -> Result<Retention>;
}

/// How firmly an object is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetentionMode {
    /// Who has a permission of its own may shorten it (S3 governance, Google and Azure unlocked).
    Governance,
    /// Nobody may shorten it (S3 compliance, Google and Azure locked).
    Compliance,
}

/// How an object is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retention {
    /// Until when, and how firmly.
    pub until: Option<(Timestamp, RetentionMode)>,
    /// Whether there is a legal hold.
    pub held: bool,
}

impl Retention {
    /// Whether it is kept at least until a moment and at least as firmly.
    pub fn covers(&self, until: Timestamp, mode: RetentionMode) -> bool {
        self.until.is_some_and(|(kept, firmly)| kept >= until && firmly >= mode)
    }
}

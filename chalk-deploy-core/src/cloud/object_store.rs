//! A bucket.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::object_retention::ObjectRetention;
use super::payload::{ByteStream, Payload};
use super::presigned_download::PresignedDownload;
use crate::Result;
use crate::model::{Digest, ObjectKey};

/// The bucket in which source archives live. One value stands for one bucket.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ObjectStore: fmt::Debug + Send + Sync + 'static {
    /// What this store can do by itself; callers check the rest by digest.
    fn capabilities(&self) -> ObjectStoreCapabilities;

    /// Streams a payload to a key, comparing digest and length on the way.
    ///
    /// **Idempotency.** Putting the same bytes to the same key again succeeds and leaves one object, in both modes.
    /// With [`PutMode::WriteOnce`] a key that holds *other* bytes is never changed.
    ///
    /// **After a crash.** The key holds either what it held before or the whole payload, never a part of it.
    ///
    /// **Errors.** `DIGEST_MISMATCH` when the bytes are not the declared ones (nothing is stored); `OBJECT_EXISTS` when
    /// a write-once key holds other bytes; the payload's own error when it cannot be read; `PERMISSION_DENIED`;
    /// `CLOUD_UNAVAILABLE`.
    async fn put(&self, key: &ObjectKey, payload: &Payload, mode: PutMode) -> Result<ObjectMetadata>;

    /// What is at a key, or `None`.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`. A missing object is no error.
    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMetadata>>;

    /// Opens an object.
    ///
    /// **Errors.** `OBJECT_MISSING`, `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`. The body itself may break off with an
    /// I/O error.
    async fn get(&self, key: &ObjectKey) -> Result<ObjectDownload>;

    /// Copies an object inside the store; the bytes never pass through this process.
    ///
    /// **Idempotency.** As for [`put`](Self::put): copying the same bytes to the same key again succeeds.
    ///
    /// **After a crash.** The target holds either what it held before or the whole copy.
    ///
    /// **Errors.** `OBJECT_MISSING` for the origin; `OBJECT_EXISTS` when a write-once target holds other bytes;
    /// `PERMISSION_DENIED`; `CLOUD_UNAVAILABLE`.
    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, mode: PutMode) -> Result<ObjectMetadata>;

    /// Removes an object.
    ///
    /// **Idempotency.** Removing what is not there succeeds.
    ///
    /// **After a crash.** The object is there or it is not.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn delete(&self, key: &ObjectKey) -> Result<()>;

    /// The objects whose keys begin with `prefix` (text, not segments), ordered by key, at most `most` of them and
    /// after the key `after`. A page shorter than `most` is the last one.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn list(&self, prefix: &str, after: Option<ObjectKey>, most: usize) -> Result<Vec<ObjectMetadata>>;

    /// URLs for single objects, where the store has them.
    fn presigned_download(&self) -> Option<Arc<dyn PresignedDownload>> {
        None
    }

    /// Retention and legal holds, where the store has them.
    fn retention(&self) -> Option<Arc<dyn ObjectRetention>> {
        None
    }
}

/// How a key may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PutMode {
    /// Only if it is free, or holds the same bytes.
    WriteOnce,
    /// Over whatever it holds.
    Replace,
}

/// What a store does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ObjectStoreCapabilities {
    /// Two writers of one write-once key cannot both succeed with other bytes. Where this is false, `WriteOnce` is a
    /// look before the write, and readers compare digests.
    pub conditional_put: bool,
    /// [`ObjectMetadata::sha256`] is known without reading the object.
    pub stored_digest: bool,
}

impl ObjectStoreCapabilities {
    /// Nothing beyond the contract.
    pub const fn none() -> Self {
        Self { conditional_put: false, stored_digest: false }
    }

    /// Sets [`conditional_put`](Self::conditional_put).
    #[must_use]
    pub const fn with_conditional_put(mut self, has: bool) -> Self {
        self.conditional_put = has;
        self
    }

    /// Sets [`stored_digest`](Self::stored_digest).
    #[must_use]
    pub const fn with_stored_digest(mut self, has: bool) -> Self {
        self.stored_digest = has;
        self
    }
}

/// An object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectMetadata {
    /// Where it lies.
    pub key: ObjectKey,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest, where the store knows it.
    pub sha256: Option<Digest>,
}

/// An open object.
pub struct ObjectDownload {
    /// What it is.
    pub metadata: ObjectMetadata,
    /// Its bytes.
    pub body: ByteStream,
}

impl fmt::Debug for ObjectDownload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ObjectDownload").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

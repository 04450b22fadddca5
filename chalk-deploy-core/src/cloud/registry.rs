//! An image registry, in the terms of the OCI distribution specification.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::payload::{ByteStream, Payload};
use super::referrers::Referrers;
use crate::Result;
use crate::model::{Digest, ImageTag, Repository};

/// The registry in which an environment's own images live. Content is addressed by digest; nodes pull from it
/// themselves.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Registry: fmt::Debug + Send + Sync + 'static {
    /// Whether the repository holds a blob. One request without a body.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`. A missing repository is `false`.
    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool>;

    /// Uploads a blob, unless it is there.
    ///
    /// **Idempotency.** By digest: pushing again changes nothing.
    ///
    /// **After a crash.** The blob is whole or absent; an upload that was begun is the registry's to forget.
    ///
    /// **Errors.** `DIGEST_MISMATCH` when the bytes are not the declared ones; `IMAGE_MISMATCH` when the registry
    /// reports another digest than was sent; `PERMISSION_DENIED`; `CLOUD_UNAVAILABLE`.
    async fn push_blob(&self, repository: &Repository, payload: &Payload) -> Result<()>;

    /// Opens a blob.
    ///
    /// **Errors.** `OBJECT_MISSING`, `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn pull_blob(&self, repository: &Repository, digest: &Digest) -> Result<ByteStream>;

    /// Stores a manifest by its digest, and lets `tag` point to it if one is given.
    ///
    /// **Idempotency.** By digest; a tag that points there already is left alone.
    ///
    /// **After a crash.** The manifest may be there without the tag; the tag never without the manifest.
    ///
    /// **Errors.** `OBJECT_MISSING` when a blob that it names is not in the repository; `OBJECT_EXISTS` when the tag is
    /// immutable and points elsewhere; `IMAGE_MISMATCH` when the registry reports another digest;
    /// `PERMISSION_DENIED`; `CLOUD_UNAVAILABLE`.
    async fn put_manifest(
        &self,
        repository: &Repository,
        manifest: &ImageManifest,
        tag: Option<ImageTag>,
    ) -> Result<Digest>;

    /// Reads a manifest, or `None`. Bytes whose digest is not the one asked for are refused.
    ///
    /// **Errors.** `IMAGE_MISMATCH`, `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn manifest(&self, repository: &Repository, locator: &ManifestLocator) -> Result<Option<ImageManifest>>;

    /// Removes a tag, not the manifest that it points to.
    ///
    /// **Idempotency.** Removing a tag that is not there succeeds.
    ///
    /// **After a crash.** The tag is there or it is not.
    ///
    /// **Errors.** `PERMISSION_DENIED`, `CLOUD_UNAVAILABLE`.
    async fn remove_tag(&self, repository: &Repository, tag: &ImageTag) -> Result<()>;

    /// Manifests that point at others, where the client knows of them.
    fn referrers(&self) -> Option<Arc<dyn Referrers>> {
        None
    }
}

/// The exact bytes of a manifest or an index. They are never re-serialised: the digest is over these bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageManifest {
    /// The media type, which must be the `Content-Type` under which it is stored.
    pub media_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

impl ImageManifest {
    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// How a manifest is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestLocator {
    /// By what it is.
    Digest(Digest),
    /// By what points to it now.
    Tag(ImageTag),
}

//! Manifests that point at others.

use std::fmt;

use async_trait::async_trait;

use super::registry::ImageManifest;
use crate::Result;
use crate::model::{Descriptor, Digest, Repository};

/// What points at an image: signatures, provenance, bills of materials. A power beyond [`Registry`](super::Registry),
/// which not every registry has by itself; where it has not, a client keeps an index under the tag that the OCI
/// distribution specification gives for that case.
#[async_trait]
pub trait Referrers: fmt::Debug + Send + Sync + 'static {
    /// The manifests whose `subject` is this one, in the registry's order.
    ///
    /// **Errors.** `CLOUD_ANSWER_INVALID` for a list that is none, or has no end; `IMAGE_MISMATCH`;
    /// `PERMISSION_DENIED`; `CLOUD_UNAVAILABLE`.
    async fn list_referrers(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>>;

    /// Stores manifests whose `subject` is this one, and returns when they are listed. Their blobs must be there.
    ///
    /// **Idempotency.** By digest: what is there and listed is left alone.
    ///
    /// **After a crash.** Some are stored, and some of these are listed; repeating the call does the rest. What others
    /// have attached stays listed.
    ///
    /// **Errors.** Those of [`put_manifest`](super::Registry::put_manifest) and of [`list_referrers`](Self::list_referrers);
    /// `OBJECT_CONFLICT` when the tag that stands for the list holds something else, or others keep writing it.
    async fn attach(&self, repository: &Repository, subject: &Digest, manifests: &[ImageManifest]) -> Result<()>;
}

/// A manifest that points at another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// The manifest.
    pub manifest: Descriptor,
    /// What it is, such as `application/vnd.dev.sigstore.bundle.v0.3+json`.
    pub artifact_type: Option<String>,
}

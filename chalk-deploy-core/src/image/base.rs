//! Base images, named by digest or by tag, with their documents from the cache where it has them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::cache::ImageCache;
use super::reference::{ImageName, Pointer};
use crate::build::base::{Base, Documents};
use crate::cloud::{ManifestLocator, Registry};
use crate::model::{Digest, Repository};
use crate::{Error, ErrorCode, Result};

/// A base image: what it is made of, and where its layers lie. Its layers themselves are not read.
#[derive(Debug, Clone)]
pub struct BaseImage(pub(super) Base);

impl BaseImage {
    /// Reads the base image of this name for a platform such as `linux/amd64`. One that is named by its digest, and
    /// whose documents the cache has, costs no request; a tag costs one.
    ///
    /// # Errors
    /// [`ErrorCode::ObjectMissing`] when it is not there; [`ErrorCode::BuildFailed`] for one that nothing can be built
    /// on; what the registry fails with.
    pub async fn read(
        registry: &Arc<dyn Registry>,
        name: &ImageName,
        platform: &str,
        cache: Option<&ImageCache>,
    ) -> Result<Self> {
        let documents = Cached { registry, cache };
        let digest = match &name.pointer {
            Pointer::Digest(digest) => *digest,
            Pointer::Tag(tag) => {
                let locator = ManifestLocator::Tag(tag.clone());
                let manifest = Registry::manifest(&**registry, &name.repository, &locator).await?.ok_or_else(|| {
                    Error::new(ErrorCode::ObjectMissing, "there is no such base image")
                        .on(name)
                        .with_hint("check the name, or push it there")
                })?;
                let digest = manifest.digest();
                documents.keep(&digest, &manifest.bytes);
                digest
            }
        };
        Base::read(&documents, &name.repository, digest, platform).await.map(Self)
    }

    /// The digest by which it was named, or to which its tag pointed.
    pub const fn digest(&self) -> Digest {
        self.0.digest
    }
}

/// From the cache, else from the registry and into the cache.
struct Cached<'a> {
    registry: &'a Arc<dyn Registry>,
    cache: Option<&'a ImageCache>,
}

impl Cached<'_> {
    fn find(&self, digest: &Digest) -> Option<Bytes> {
        self.cache?.document(digest)
    }

    /// A cache that cannot be written costs requests, and nothing else.
    fn keep(&self, digest: &Digest, bytes: &[u8]) {
        if let Some(Err(error)) = self.cache.map(|cache| cache.keep_document(digest, bytes)) {
            tracing::warn!(%error, "a document of a base image is not kept");
        }
    }
}

#[async_trait]
impl Documents for Cached<'_> {
    async fn manifest(&self, repository: &Repository, digest: &Digest) -> Result<Option<Bytes>> {
        if let Some(found) = self.find(digest) {
            return Ok(Some(found));
        }
        let found = Documents::manifest(self.registry, repository, digest).await?;
        if let Some(bytes) = &found {
            self.keep(digest, bytes);
        }
        Ok(found)
    }

    async fn config(&self, repository: &Repository, digest: &Digest, size: u64) -> Result<Bytes> {
        if let Some(found) = self.find(digest).filter(|found| found.len() as u64 == size) {
            return Ok(found);
        }
        let bytes = self.registry.config(repository, digest, size).await?;
        self.keep(digest, &bytes);
        Ok(bytes)
    }
}

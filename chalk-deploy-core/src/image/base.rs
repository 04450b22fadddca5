//! Base images, named by digest or by tag, with their documents from the cache where it has them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::cache::ImageCache;
use super::reference::{ImageName, Pointer};
use crate::build::base::{Base, Documents};
use crate::build::contents::RegistryBlob;
use crate::cloud::{ManifestLocator, Payload, Registry};
use crate::model::{Descriptor, Digest, Platform, Repository};
use crate::transport::meter::branch;
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
        let documents = CachedDocuments::new(registry.clone(), cache.cloned());
        let digest = pinned(&documents, name).await?;
        Base::read(&documents, &name.repository, digest, platform).await.map(Self)
    }

    /// Reads the base image of this name for each of these platforms, from an index that has them all. Its documents are
    /// read beside each other, its tag once.
    ///
    /// # Errors
    /// Those of [`read`](Self::read). A platform that the index does not have is told with those that it has.
    pub async fn read_all(
        registry: &Arc<dyn Registry>,
        name: &ImageName,
        platforms: &[Platform],
        cache: Option<&ImageCache>,
    ) -> Result<Vec<Self>> {
        let documents = CachedDocuments::new(registry.clone(), cache.cloned());
        let digest = pinned(&documents, name).await?;
        let mut read: Vec<BoxFuture<'_, Result<Self>>> = Vec::with_capacity(platforms.len());
        for platform in platforms {
            let (documents, platform) = (&documents, platform.to_string());
            let base = async move { Base::read(documents, &name.repository, digest, &platform).await.map(Self) };
            read.push(branch(base).boxed());
        }
        futures::future::join_all(read).await.into_iter().collect()
    }

    /// Its layers, to be mounted where the target's registry holds them and else read from `registry`.
    pub(super) fn layers(&self, registry: &Arc<dyn Registry>) -> Vec<Payload> {
        let repository = &self.0.repository;
        let layer = |layer: &Descriptor| {
            let blob = RegistryBlob::new(registry.clone(), repository.clone(), layer.digest);
            Payload::new(layer.digest, layer.size, Arc::new(blob)).with_origin(Some(repository.clone()))
        };
        self.0.layers.iter().map(layer).collect()
    }

    /// What it runs on.
    pub const fn platform(&self) -> &Platform {
        &self.0.platform
    }

    /// The digest by which it was named, or to which its tag pointed.
    pub const fn digest(&self) -> Digest {
        self.0.digest
    }
}

/// The digest that a name stands for. One that is a tag costs a request.
async fn pinned(documents: &CachedDocuments, name: &ImageName) -> Result<Digest> {
    let tag = match &name.pointer {
        Pointer::Digest(digest) => return Ok(*digest),
        Pointer::Tag(tag) => tag,
    };
    let locator = ManifestLocator::Tag(tag.clone());
    let manifest = Registry::manifest(&*documents.registry, &name.repository, &locator).await?.ok_or_else(|| {
        Error::new(ErrorCode::ObjectMissing, "there is no such base image")
            .on(name)
            .with_hint("check the name, or push it there")
    })?;
    let digest = manifest.digest();
    documents.keep(&digest, &manifest.bytes);
    Ok(digest)
}

/// The documents of base images: from the cache, else from the registry and into the cache.
#[derive(Debug, Clone)]
pub(crate) struct CachedDocuments {
    registry: Arc<dyn Registry>,
    cache: Option<ImageCache>,
}

impl CachedDocuments {
    pub(crate) const fn new(registry: Arc<dyn Registry>, cache: Option<ImageCache>) -> Self {
        Self { registry, cache }
    }

    fn find(&self, digest: &Digest) -> Option<Bytes> {
        self.cache.as_ref()?.document(digest)
    }

    /// A cache that cannot be written costs requests, and nothing else.
    fn keep(&self, digest: &Digest, bytes: &[u8]) {
        if let Some(Err(error)) = self.cache.as_ref().map(|cache| cache.keep_document(digest, bytes)) {
            tracing::warn!(%error, "a document of a base image is not kept");
        }
    }
}

#[async_trait]
impl Documents for CachedDocuments {
    async fn manifest(&self, repository: &Repository, digest: &Digest) -> Result<Option<Bytes>> {
        if let Some(found) = self.find(digest) {
            return Ok(Some(found));
        }
        let found = Documents::manifest(&self.registry, repository, digest).await?;
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

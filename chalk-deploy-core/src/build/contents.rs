//! What a builder hands out: what it made itself from its folder, the base image's layers from where they lie.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use super::InProcessBuilder;
use super::dependencies::DependencyRecord;
use super::folder::{BuildFolder, failed};
use super::image;
use crate::cloud::{ByteStream, ImageContents, ObjectStore, Payload, PayloadSource, Registry};
use crate::model::{Descriptor, Digest, ObjectKey, Repository};
use crate::{Error, ErrorCode, Result};

const PIECE: usize = 128 << 10;

/// Where a layer lies.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// In the repository of its base image.
    Base(Repository),
    /// In the repository of a component, once that was pushed.
    Pushed(Repository),
}

/// A blob of a registry as a source of bytes.
pub(crate) struct RegistryBlob {
    registry: Arc<dyn Registry>,
    repository: Repository,
    digest: Digest,
}

impl RegistryBlob {
    pub(crate) const fn new(registry: Arc<dyn Registry>, repository: Repository, digest: Digest) -> Self {
        Self { registry, repository, digest }
    }
}

#[async_trait]
impl PayloadSource for RegistryBlob {
    async fn open(&self) -> Result<ByteStream> {
        self.registry.pull_blob(&self.repository, &self.digest).await
    }
}

/// A content of the folder as a source of bytes.
struct Kept {
    folder: BuildFolder,
    digest: Digest,
}

/// A file as a source of bytes.
pub(super) struct AtPath(pub(super) PathBuf);

#[async_trait]
impl PayloadSource for AtPath {
    async fn open(&self) -> Result<ByteStream> {
        Ok(stream(File::open(&self.0).map_err(|error| failed("read", &self.0)(error))?))
    }
}

/// An object of the bucket as a source of bytes.
struct InBucket(Arc<dyn ObjectStore>, ObjectKey);

#[async_trait]
impl PayloadSource for InBucket {
    async fn open(&self) -> Result<ByteStream> {
        Ok(self.0.get(&self.1).await?.body)
    }
}

#[async_trait]
impl PayloadSource for Kept {
    async fn open(&self) -> Result<ByteStream> {
        let file = self.folder.open_content(&self.digest)?.ok_or_else(|| lost(&self.digest))?;
        Ok(stream(file))
    }
}

/// A file in pieces. Each read blocks for as long as the disk takes, which is short, so that in virtual time no clock
/// moves on meanwhile.
fn stream(file: File) -> ByteStream {
    futures::stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut piece = BytesMut::zeroed(PIECE);
        match file.read(&mut piece) {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((Ok(piece.freeze()), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

fn lost(digest: &Digest) -> Error {
    Error::new(ErrorCode::BuildLost, "the builder no longer holds this content").on(digest)
}

impl InProcessBuilder {
    /// The repository in which a layer lies, as the builds say: the base image's for a layer of it, and for one of ours
    /// that of the first component it is for, from which the registry lets the others have it. What they have said once
    /// is remembered.
    fn origin_of(&self, digest: &Digest) -> Result<Option<Origin>> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if !origins.contains_key(digest) {
            for made in self.workshop.folder.records()?.iter().flat_map(|record| &record.images) {
                for layer in made.of_base() {
                    origins.insert(layer.digest, Origin::Base(made.base.clone()));
                }
                for (layer, repository) in made.layers().iter().zip(made.repository.iter().cycle()) {
                    origins.entry(layer.digest).or_insert_with(|| Origin::Pushed(repository.clone()));
                }
            }
        }
        Ok(origins.get(digest).cloned())
    }

    /// A dependency layer that the folder does not hold: the bucket keeps it.
    async fn retained(&self, descriptor: &Descriptor) -> Result<Payload> {
        let place = DependencyRecord::layer_in_bucket(&descriptor.digest)?;
        let found = self.workshop.bucket.head(&place).await?;
        found.filter(|found| found.size == descriptor.size).ok_or_else(|| lost(&descriptor.digest))?;
        let source = InBucket(self.workshop.bucket.clone(), place);
        Ok(Payload::new(descriptor.digest, descriptor.size, Arc::new(source)))
    }
}

#[async_trait]
impl ImageContents for InProcessBuilder {
    async fn blob(&self, descriptor: &Descriptor) -> Result<Payload> {
        let (folder, digest) = (&self.workshop.folder, descriptor.digest);
        if let Some(file) = folder.open_content(&digest)? {
            let whole = file.metadata().is_ok_and(|metadata| metadata.len() == descriptor.size);
            // A config is small, and no other repository has it.
            let origin = if descriptor.media_type == image::CONFIG { None } else { self.origin_of(&digest)? };
            let origin = match origin {
                Some(Origin::Pushed(repository)) => Some(repository),
                _ => None,
            };
            let source = Arc::new(Kept { folder: folder.clone(), digest });
            return if whole {
                Ok(Payload::new(digest, descriptor.size, source).with_origin(origin))
            } else {
                Err(lost(&digest))
            };
        }
        let base = match self.origin_of(&digest)? {
            Some(Origin::Base(base)) => base,
            Some(Origin::Pushed(repository)) => {
                return Ok(self.retained(descriptor).await?.with_origin(Some(repository)));
            }
            None => return Err(lost(&digest)),
        };
        let blob = RegistryBlob::new(self.workshop.registry.clone(), base.clone(), digest);
        Ok(Payload::new(digest, descriptor.size, Arc::new(blob)).with_origin(Some(base)))
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Bytes> {
        let bytes = self.blob(descriptor).await?.bytes().await;
        // Damaged on the disk: it is made again.
        bytes.map_err(|error| lost(&descriptor.digest).caused_by(error))
    }
}

//! What a builder hands out: what it made itself from its folder, the base image's layers from where they lie.

use std::fs::File;
use std::io::Read as _;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use super::InProcessBuilder;
use super::folder::BuildFolder;
use crate::cloud::{ByteStream, ImageContents, Payload, PayloadSource, Registry};
use crate::model::{Descriptor, Digest, Repository};
use crate::{Error, ErrorCode, Result};

const PIECE: usize = 128 << 10;

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
    /// The repository of the base image that a layer is of, as the builds say. What they have said once is remembered.
    fn origin_of(&self, digest: &Digest) -> Result<Option<Repository>> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if !origins.contains_key(digest) {
            for made in self.workshop.folder.records()?.iter().flat_map(|record| &record.images) {
                origins.extend(made.of_base().iter().map(|layer| (layer.digest, made.base.clone())));
            }
        }
        Ok(origins.get(digest).cloned())
    }
}

#[async_trait]
impl ImageContents for InProcessBuilder {
    async fn blob(&self, descriptor: &Descriptor) -> Result<Payload> {
        let (folder, digest) = (&self.workshop.folder, descriptor.digest);
        if let Some(file) = folder.open_content(&digest)? {
            let whole = file.metadata().is_ok_and(|metadata| metadata.len() == descriptor.size);
            return if whole {
                Ok(Payload::new(digest, descriptor.size, Arc::new(Kept { folder: folder.clone(), digest })))
            } else {
                Err(lost(&digest))
            };
        }
        let base = self.origin_of(&digest)?.ok_or_else(|| lost(&digest))?;
        let blob = RegistryBlob::new(self.workshop.registry.clone(), base.clone(), digest);
        Ok(Payload::new(digest, descriptor.size, Arc::new(blob)).with_origin(Some(base)))
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<Bytes> {
        let bytes = self.blob(descriptor).await?.bytes().await;
        // Damaged on the disk: it is made again.
        bytes.map_err(|error| lost(&descriptor.digest).caused_by(error))
    }
}

//! Objects that are not held in memory: in parts, or by one request that streams; compared before they become visible.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::future::Either;
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{CopyMode, CopyOptions, Error as StoreError, MultipartUpload, ObjectStoreExt as _};
use object_store::{PutMultipartOptions, UploadPart};

use super::{Bucket, failure};
use crate::cloud::{ByteStream, ObjectMetadata, Payload, PayloadSource, PutMode, error_in_stream};
use crate::error::RecordedError;
use crate::model::{DigestHasher, ObjectKey};
use crate::{Error, ErrorCode, Result};

/// S3 takes 10,000 parts.
const PARTS_MOST: u64 = 9_000;

/// Under this prefix lies what is not yet compared with its key.
pub(super) const STAGING: &str = ".chalk-staging/";

/// Asks our connector to complete an upload in parts onto a free key alone. object_store passes the extensions of the
/// request that begins it, and has no other way to say so.
#[derive(Debug, Clone, Copy)]
pub(super) struct OntoFreeKey;

/// What a request carries instead of the bytes that object_store was given, which takes no stream: the digest and the
/// length of a payload are known, so that it can be signed and sent as it comes.
#[derive(Debug, Clone)]
pub(super) struct Streamed {
    pub(super) payload: Payload,
    failure: Arc<Mutex<Option<RecordedError>>>,
}

impl Streamed {
    /// A payload whose last bytes are let go only when all of them were compared: whoever counts them never takes others
    /// for whole.
    pub(super) fn new(payload: &Payload) -> Self {
        let failure = Arc::default();
        let source = Compared { payload: payload.clone(), failure: Arc::clone(&failure) };
        Self { payload: Payload::new(payload.sha256(), payload.size(), Arc::new(source)), failure }
    }

    /// Why the payload itself has failed when it was opened last. Whoever sends it only learns that it broke off.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone().map(Error::from)
    }
}

struct Compared {
    payload: Payload,
    failure: Arc<Mutex<Option<RecordedError>>>,
}

impl Compared {
    async fn next(mut passing: Passing) -> Result<Option<(Bytes, Option<Passing>)>> {
        while let Some(piece) = passing.stream.try_next().await.map_err(torn)? {
            passing.comparison.take(&piece)?;
            if piece.is_empty() {
                continue;
            }
            if let Some(before) = passing.held.replace(piece) {
                return Ok(Some((before, Some(passing))));
            }
        }
        passing.comparison.finish()?;
        Ok(passing.held.map(|last| (last, None)))
    }
}

struct Passing {
    stream: ByteStream,
    comparison: Comparison,
    /// The piece that goes when the next one is there, or all are compared.
    held: Option<Bytes>,
}

#[async_trait]
impl PayloadSource for Compared {
    async fn open(&self) -> Result<ByteStream> {
        let note = |failure: Option<RecordedError>| {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        };
        note(None);
        let stream = self.payload.open().await.inspect_err(|error| note(Some(error.record())))?;
        let passing = Passing { stream, comparison: Comparison::new(&self.payload), held: None };
        let failure = Arc::clone(&self.failure);
        let stream = futures::stream::try_unfold(Some(passing), move |passing| {
            let failure = Arc::clone(&failure);
            async move {
                let Some(passing) = passing else { return Ok(None) };
                Self::next(passing).await.map_err(|error| {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.record());
                    io::Error::other(error)
                })
            }
        });
        Ok(stream.boxed())
    }
}

impl Bucket {
    /// Stores a payload in parts.
    pub(super) async fn put_in_parts(
        &self,
        key: &ObjectKey,
        payload: &Payload,
        mode: PutMode,
    ) -> Result<ObjectMetadata> {
        let write_once = mode == PutMode::WriteOnce;
        if write_once && self.stored(key).await?.is_some() {
            // The bytes are not sent in vain, but they are read: what is refused for its digest is refused always.
            compare(payload).await?;
            return self.accept_equal(key, payload.sha256(), payload.size()).await;
        }
        let staged = write_once && self.settings.capabilities.conditional_put && !self.conditional_parts;
        let place = if staged {
            self.path(&ObjectKey::new(format!("{STAGING}{}", payload.sha256().hex()))?)?
        } else {
            self.path(key)?
        };
        let completed = self.send_parts(key, &place, payload, write_once).await;
        if let Err(error) = completed {
            // A lost answer to the completion: what lies there says whether it was done.
            return match self.stored(key).await {
                Ok(Some(there)) if there.sha256 == Some(payload.sha256()) => Ok(there),
                // Or another writer was faster, and our parts went with its completion.
                Ok(Some(_))
                    if write_once && matches!(error.code(), ErrorCode::ObjectExists | ErrorCode::CloudUnavailable) =>
                {
                    self.accept_equal(key, payload.sha256(), payload.size()).await
                }
                _ => Err(error),
            };
        }
        if staged {
            let moved = self.copy_staged(&place, key, payload).await;
            // What cannot be removed is overwritten by the next who stages these bytes; the object itself is in place.
            if let Err(error) = self.store.delete(&place).await {
                tracing::debug!(%error, "a staged object could not be removed");
            }
            return moved;
        }
        Ok(self.metadata(key, payload.sha256(), payload.size()))
    }

    async fn copy_staged(&self, staged: &Path, key: &ObjectKey, payload: &Payload) -> Result<ObjectMetadata> {
        let options = CopyOptions::new().with_mode(CopyMode::Create);
        match self.store.copy_opts(staged, &self.path(key)?, options).await {
            Ok(()) => Ok(self.metadata(key, payload.sha256(), payload.size())),
            // Not found: another writer of the same bytes was faster, and has tidied up.
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } | StoreError::NotFound { .. }) => {
                self.accept_equal(key, payload.sha256(), payload.size()).await
            }
            Err(error) => Err(failure::mapped(&error, &self.subject(key))),
        }
    }

    async fn send_parts(&self, key: &ObjectKey, place: &Path, payload: &Payload, write_once: bool) -> Result<()> {
        let failed = |error| failure::mapped(&error, &self.subject(key));
        let stream = payload.open().await?;
        let mut options = PutMultipartOptions::default();
        if self.settings.capabilities.stored_digest {
            options.attributes = self.attributes(payload.sha256());
        }
        if write_once && self.conditional_parts {
            options.extensions.insert(OntoFreeKey);
        }
        let mut upload = self.store.put_multipart_opts(place, options).await.map_err(failed)?;
        let sent = match self.stream_parts(key, &mut *upload, stream, payload).await {
            Ok(()) => upload.complete().await.map(drop).map_err(failed),
            Err(error) => Err(error),
        };
        if sent.is_err()
            && let Err(error) = upload.abort().await
        {
            // Its parts are swept by the bucket's lifecycle rule; the first error is the one to report.
            tracing::debug!(%error, "an upload in parts could not be given up");
        }
        sent
    }

    async fn stream_parts(
        &self,
        key: &ObjectKey,
        upload: &mut dyn MultipartUpload,
        mut stream: ByteStream,
        payload: &Payload,
    ) -> Result<()> {
        let failed = |error| failure::mapped(&error, &self.subject(key));
        let least = usize::try_from(payload.size().div_ceil(PARTS_MOST)).unwrap_or(usize::MAX);
        let length = self.settings.part_length.max(least).max(1);
        let mut comparison = Comparison::new(payload);
        let mut under_way: FuturesUnordered<UploadPart> = FuturesUnordered::new();
        let mut part = BytesMut::with_capacity(length);
        while let Some(mut piece) = next(&mut stream, &mut under_way).await.map_err(|error| match error {
            Either::Left(error) => torn(error),
            Either::Right(error) => failed(error),
        })? {
            comparison.take(&piece)?;
            while !piece.is_empty() {
                let room = length - part.len();
                part.extend_from_slice(&piece.split_to(room.min(piece.len())));
                if part.len() == length {
                    while under_way.len() + 1 >= self.settings.parts_at_once.max(2) {
                        under_way.next().await.transpose().map_err(failed)?;
                    }
                    under_way.push(upload.put_part(part.split().freeze().into()));
                    part.reserve(length);
                }
            }
        }
        comparison.finish()?;
        if !part.is_empty() {
            under_way.push(upload.put_part(part.freeze().into()));
        }
        under_way.try_collect::<()>().await.map_err(failed)
    }
}

/// The next piece, while the parts that are under way go on.
async fn next(
    stream: &mut ByteStream,
    under_way: &mut FuturesUnordered<UploadPart>,
) -> Result<Option<Bytes>, Either<io::Error, StoreError>> {
    loop {
        tokio::select! {
            biased;
            Some(part) = under_way.next(), if !under_way.is_empty() => part.map_err(Either::Right)?,
            piece = stream.try_next() => return piece.map_err(Either::Left),
        }
    }
}

/// Reads a payload and compares it with its digest and length.
async fn compare(payload: &Payload) -> Result<()> {
    let mut stream = payload.open().await?;
    let mut comparison = Comparison::new(payload);
    while let Some(piece) = stream.try_next().await.map_err(torn)? {
        comparison.take(&piece)?;
    }
    comparison.finish()
}

struct Comparison {
    payload: Payload,
    sha256: DigestHasher,
    length: u64,
}

impl Comparison {
    fn new(payload: &Payload) -> Self {
        Self { payload: payload.clone(), sha256: DigestHasher::new(), length: 0 }
    }

    fn take(&mut self, piece: &[u8]) -> Result<()> {
        self.length += piece.len() as u64;
        if self.length > self.payload.size() {
            return Err(self.mismatch());
        }
        self.sha256.update(piece);
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let mismatch = self.mismatch();
        let equal = self.length == self.payload.size() && self.sha256.finish() == self.payload.sha256();
        if equal { Ok(()) } else { Err(mismatch) }
    }

    fn mismatch(&self) -> Error {
        Error::new(ErrorCode::DigestMismatch, "the bytes are not the ones declared").on(self.payload.sha256())
    }
}

fn torn(error: std::io::Error) -> Error {
    error_in_stream(error)
        .unwrap_or_else(|error| Error::new(ErrorCode::CloudUnavailable, "the payload broke off").caused_by(error))
}

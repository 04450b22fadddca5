//! The contract of [`ObjectStore`] over a store of object_store.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, CopyMode, CopyOptions, Error as StoreError, GetOptions, ObjectStoreExt as _, PutOptions,
};

use super::upload::{STAGING, Streamed};
use super::{Bucket, Naming, Paging, failure, local};
use crate::cloud::{
    ByteStream, ObjectDownload, ObjectMetadata, ObjectRetention, ObjectStore, ObjectStoreCapabilities, Payload,
    PresignedDownload, PutMode,
};
use crate::model::{Digest, DigestHasher, ObjectKey};
use crate::{Error, ErrorCode, Result};

/// The metadata that holds an object's digest, where names may have hyphens.
pub(super) const STORED_DIGEST: &str = "chalk-sha256";

/// What is read into memory before it is sent where a request can stream: about one chunk of a stream.
const IN_MEMORY_MOST: u64 = 256 << 10;

/// What S3 lists at most in one answer.
const PAGE_MOST: usize = 1_000;

#[async_trait]
impl ObjectStore for Bucket {
    fn capabilities(&self) -> ObjectStoreCapabilities {
        self.settings.capabilities
    }

    async fn put(&self, key: &ObjectKey, payload: &Payload, mode: PutMode) -> Result<ObjectMetadata> {
        if payload.size() > self.settings.single_put_most {
            return self.put_in_parts(key, payload, mode).await;
        }
        let streams = self.streams && payload.size() > IN_MEMORY_MOST;
        let bytes = if streams { Bytes::new() } else { payload.bytes().await? };
        let write_once = mode == PutMode::WriteOnce;
        let conditional = write_once && self.settings.capabilities.conditional_put;
        if write_once && !conditional && self.stored(key).await?.is_some() {
            return self.accept_equal(key, payload.sha256(), payload.size()).await;
        }
        let mut options = PutOptions::default();
        if conditional {
            options.mode = object_store::PutMode::Create;
        }
        if self.settings.capabilities.stored_digest {
            options.attributes = self.attributes(payload.sha256());
        }
        let streamed = streams.then(|| Streamed::new(payload));
        if let Some(streamed) = &streamed {
            options.extensions.insert(streamed.clone());
        }
        let put = self.store.put_opts(&self.path(key)?, bytes.into(), options).await;
        if put.is_err()
            && let Some(error) = streamed.and_then(|streamed| streamed.failure())
        {
            return Err(error);
        }
        match put {
            Ok(_) => Ok(self.metadata(key, payload.sha256(), payload.size())),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) if conditional => {
                self.accept_equal(key, payload.sha256(), payload.size()).await
            }
            Err(error) => Err(failure::mapped(&error, &self.subject(key))),
        }
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMetadata>> {
        self.stored(key).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<ObjectDownload> {
        let found = self.store.get_opts(&self.path(key)?, GetOptions::default()).await;
        let result = found.map_err(|error| failure::mapped(&error, &self.subject(key)))?;
        let size = result.meta.size;
        let metadata = ObjectMetadata { key: key.clone(), size, sha256: self.digest_in(&result.attributes) };
        let subject = self.subject(key);
        let pieces =
            result.into_stream().map_err(move |error| io::Error::other(failure::mapped(&error, &subject))).boxed();
        Ok(ObjectDownload { metadata, body: whole(pieces, size) })
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, mode: PutMode) -> Result<ObjectMetadata> {
        let missing = || Error::new(ErrorCode::ObjectMissing, "there is no object to copy").on(self.subject(from));
        let origin = self.stored(from).await?.ok_or_else(missing)?;
        if from == to {
            return Ok(origin);
        }
        let write_once = mode == PutMode::WriteOnce;
        let conditional = write_once && self.conditional_copies;
        let taken = write_once && !conditional && self.stored(to).await?.is_some();
        if self.naming == Naming::Files && !write_once {
            // A copy in a directory is a hard link, and moving one over another of the same file leaves both
            // (rename, POSIX.1-2017): where there is nothing to do, nothing is done.
            if self.holds_equal(from, to, origin.size).await? {
                return Ok(ObjectMetadata { key: to.clone(), ..origin });
            }
        }
        let copied = if taken {
            None
        } else {
            let mode = if conditional { CopyMode::Create } else { CopyMode::Overwrite };
            let options = CopyOptions::new().with_mode(mode);
            Some(self.store.copy_opts(&self.path(from)?, &self.path(to)?, options).await)
        };
        match copied {
            Some(Ok(())) => Ok(ObjectMetadata { key: to.clone(), ..origin }),
            None | Some(Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. })) => {
                // Where the store knows no digest, the two are read; nothing is written by it.
                let sha256 = match origin.sha256 {
                    Some(sha256) => sha256,
                    None => self.read_digest(from).await?,
                };
                self.accept_equal(to, sha256, origin.size).await
            }
            Some(Err(StoreError::NotFound { .. })) => Err(missing()),
            Some(Err(error)) => Err(failure::mapped(&error, &self.subject(to))),
        }
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        match self.store.delete(&self.path(key)?).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure::mapped(&error, &self.subject(key))),
        }
    }

    async fn list(&self, prefix: &str, after: Option<ObjectKey>, most: usize) -> Result<Vec<ObjectMetadata>> {
        let found = match &self.pages {
            Some(_) => self.list_pages(prefix, after, most).await,
            None => self.list_folder(prefix, after, most).await,
        };
        found.map_err(|error| failure::mapped(&error, &format!("the list of {}", self.name)))
    }

    fn presigned_download(&self) -> Option<Arc<dyn PresignedDownload>> {
        self.presigned.clone()
    }

    fn retention(&self) -> Option<Arc<dyn ObjectRetention>> {
        self.retention.clone()
    }
}

impl Bucket {
    /// What is at a key.
    pub(super) async fn stored(&self, key: &ObjectKey) -> Result<Option<ObjectMetadata>> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.store.get_opts(&self.path(key)?, options).await {
            Ok(found) => {
                let (size, sha256) = (found.meta.size, self.digest_in(&found.attributes));
                Ok(Some(ObjectMetadata { key: key.clone(), size, sha256 }))
            }
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(failure::mapped(&error, &self.subject(key))),
        }
    }

    /// Succeeds if the key, which could not be written because it is taken, holds these bytes.
    pub(super) async fn accept_equal(&self, key: &ObjectKey, sha256: Digest, size: u64) -> Result<ObjectMetadata> {
        let Some(there) = self.stored(key).await? else {
            // Another writer has removed it, or has not finished.
            return Err(Error::new(ErrorCode::CloudUnavailable, "the key was taken, and holds nothing")
                .on(self.subject(key))
                .with_hint("resume; someone else is writing the same key"));
        };
        let other = |what: String| {
            Error::new(ErrorCode::ObjectExists, format!("the write-once key holds other bytes, {what}"))
                .on(self.subject(key))
        };
        if there.size != size {
            return Err(other(format!("{} of them instead of {size}", there.size)));
        }
        let held = match there.sha256 {
            Some(held) => held,
            None => self.read_digest(key).await?,
        };
        if held == sha256 {
            Ok(self.metadata(key, sha256, size))
        } else {
            Err(other(format!("with the digest {held}")))
        }
    }

    /// The answer for an object that holds these bytes.
    pub(super) fn metadata(&self, key: &ObjectKey, sha256: Digest, size: u64) -> ObjectMetadata {
        let sha256 = self.settings.capabilities.stored_digest.then_some(sha256);
        ObjectMetadata { key: key.clone(), size, sha256 }
    }

    /// The metadata for a digest.
    pub(super) fn attributes(&self, sha256: Digest) -> Attributes {
        Attributes::from_iter([(Attribute::Metadata(self.digest_name.into()), sha256.hex())])
    }

    fn digest_in(&self, attributes: &Attributes) -> Option<Digest> {
        if !self.settings.capabilities.stored_digest {
            return None;
        }
        Digest::from_hex(attributes.get(&Attribute::Metadata(self.digest_name.into()))?).ok()
    }

    async fn holds_equal(&self, from: &ObjectKey, to: &ObjectKey, size: u64) -> Result<bool> {
        match self.stored(to).await? {
            Some(there) if there.size == size => Ok(self.read_digest(to).await? == self.read_digest(from).await?),
            _ => Ok(false),
        }
    }

    async fn read_digest(&self, key: &ObjectKey) -> Result<Digest> {
        let mut body = self.get(key).await?.body;
        let mut sha256 = DigestHasher::new();
        while let Some(piece) = body.try_next().await.map_err(|error| {
            Error::new(ErrorCode::CloudUnavailable, "the object broke off while it was compared")
                .on(self.subject(key))
                .caused_by(error)
        })? {
            sha256.update(&piece);
        }
        Ok(sha256.finish())
    }

    /// Lists where the store takes a prefix as text.
    async fn list_pages(
        &self,
        prefix: &str,
        after: Option<ObjectKey>,
        most: usize,
    ) -> object_store::Result<Vec<ObjectMetadata>> {
        let Some(pages) = &self.pages else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut offset = after.map(|key| key.as_str().to_owned());
        let mut page_token: Option<String> = None;
        let mut newest: Option<String> = None;
        while found.len() < most {
            let wanted = (most - found.len()).min(PAGE_MOST);
            let options = PaginatedListOptions {
                offset: offset.clone(),
                max_keys: Some(wanted),
                page_token: page_token.take(),
                ..Default::default()
            };
            let page = pages.list_paginated((!prefix.is_empty()).then_some(prefix), options).await?;
            let last = page.result.objects.iter().map(|object| object.location.as_ref().to_owned()).max();
            found.extend(page.result.objects.iter().filter_map(|object| self.listed(prefix, object)));
            // A server that gives the same page again must not keep us for ever.
            let goes_on = last.is_some() && last > newest && last > offset;
            newest = last;
            match (page.page_token, self.paging) {
                (Some(_), Paging::ByKey) if goes_on => offset.clone_from(&newest),
                (Some(token), Paging::ByToken) if goes_on => page_token = Some(token),
                _ => break,
            }
        }
        found.sort_by(|one, other| one.key.cmp(&other.key));
        found.truncate(most);
        Ok(found)
    }

    /// Lists the folder that holds every key with the prefix, and keeps those that have it.
    async fn list_folder(
        &self,
        prefix: &str,
        after: Option<ObjectKey>,
        most: usize,
    ) -> object_store::Result<Vec<ObjectMetadata>> {
        let folder = match prefix.rsplit_once('/') {
            Some((folder, _)) if self.naming == Naming::Files => Path::parse(local::folder_of(folder)).ok(),
            Some((folder, _)) => Path::parse(folder).ok(),
            None => None,
        };
        let mut found: Vec<_> = self
            .store
            .list(folder.as_ref())
            .try_filter_map(|object| futures::future::ready(Ok(self.listed(prefix, &object))))
            .try_filter(|object| futures::future::ready(after.as_ref().is_none_or(|after| object.key > *after)))
            .try_collect()
            .await?;
        found.sort_by(|one, other| one.key.cmp(&other.key));
        found.truncate(most);
        Ok(found)
    }

    fn listed(&self, prefix: &str, object: &object_store::ObjectMeta) -> Option<ObjectMetadata> {
        let key = self.key(&object.location)?;
        let hidden = key.as_str().starts_with(STAGING) && !prefix.starts_with(STAGING);
        if hidden || !key.as_str().starts_with(prefix) {
            return None;
        }
        Some(ObjectMetadata { key, size: object.size, sha256: None })
    }
}

/// The stream, which ends in an error when it has another length than announced.
fn whole(pieces: ByteStream, size: u64) -> ByteStream {
    futures::stream::try_unfold((pieces, size), |(mut pieces, left)| async move {
        let Some(piece) = pieces.try_next().await? else {
            let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the object broke off before its end");
            return if left == 0 { Ok(None) } else { Err(cut()) };
        };
        let longer = || io::Error::new(io::ErrorKind::InvalidData, "the object is longer than was announced");
        let left = left.checked_sub(piece.len() as u64).ok_or_else(longer)?;
        Ok(Some((piece, (pieces, left))))
    })
    .boxed()
}

//! What the operator of the registry can do and see, without HTTP.

use std::collections::BTreeSet;

use chalk_deploy_core::model::Digest;
use chalk_deploy_core::{Error, ErrorCode, Result};

use super::digest::ContentDigest;
use super::grammar::is_repository;
use super::manifests::Document;
use super::storage::{blob, link, write_repository};
use super::{RegistryServer, RequestLog};

/// What a collection of garbage removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Blobs that no repository held any more.
    pub blobs: usize,
    /// Unfinished uploads.
    pub uploads: usize,
}

impl RegistryServer {
    /// Makes a repository, as one must before a push where a push does not.
    ///
    /// # Errors
    /// [`ErrorCode::ValueInvalid`] for a name that is none; [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn create_repository(&self, repository: &str) -> Result<()> {
        if !is_repository(repository) {
            let rule = "a repository name is lower-case words with slashes between them";
            return Err(Error::new(ErrorCode::ValueInvalid, rule).on(format!("repository `{repository}`")));
        }
        self.storage.room.exclusively(|writer| write_repository(writer, repository))
    }

    /// The names of all repositories, in order.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn repositories(&self) -> Result<Vec<String>> {
        self.storage.repositories()
    }

    /// The digests of all blobs, in order, whatever repository holds them. Those in SHA-512 are left out.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn blobs(&self) -> Result<Vec<Digest>> {
        Ok(self.storage.blobs()?.iter().filter_map(ContentDigest::sha256).collect())
    }

    /// The digests of a repository's manifests, tagged or not, in order. Those in SHA-512 are left out.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn manifests(&self, repository: &str) -> Result<Vec<Digest>> {
        Ok(self.storage.manifests(repository)?.iter().filter_map(ContentDigest::sha256).collect())
    }

    /// The tags of a repository, in order.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn tags(&self, repository: &str) -> Result<Vec<String>> {
        self.storage.tags(repository)
    }

    /// The ids of the uploads that have begun and not ended, in order.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn uploads(&self) -> Result<Vec<String>> {
        let names = self.storage.room.names("uploads/")?;
        let id = |name: &String| Some(name.strip_prefix("uploads/")?.strip_suffix("/session")?.to_owned());
        Ok(names.iter().filter_map(id).collect())
    }

    /// Removes what no manifest names: what pushes have left that did not come to their end, and blobs of deleted
    /// manifests. A push that is under way loses its blobs, as it does in a registry that is not made read-only first.
    ///
    /// # Errors
    /// [`ErrorCode::CloudUnavailable`] when the disk fails.
    pub fn garbage_collect(&self) -> Result<Collected> {
        let storage = &self.storage;
        storage.room.exclusively(|writer| {
            let mut collected = Collected { uploads: self.uploads()?.len(), ..Collected::default() };
            for name in storage.room.names("uploads/")? {
                writer.remove(&name)?;
            }
            let mut named = BTreeSet::new();
            for repository in storage.repositories()? {
                let mut here = BTreeSet::new();
                for digest in storage.manifests(&repository)? {
                    let stored = storage.manifest(&repository, &digest)?;
                    let document =
                        stored.and_then(|stored| Document::read(&stored.bytes, Some(&stored.media_type)).ok());
                    here.extend(document.into_iter().flat_map(|document| document.blobs));
                }
                for held in storage.links(&repository)? {
                    if !here.contains(&held) {
                        writer.remove(&link(&repository, &held))?;
                    }
                }
                named.append(&mut here);
            }
            for digest in storage.blobs()? {
                if !named.contains(&digest) {
                    writer.remove(&blob(&digest))?;
                    collected.blobs += 1;
                }
            }
            Ok(collected)
        })
    }

    /// The requests so far.
    pub fn request_log(&self) -> RequestLog {
        self.log.read()
    }

    /// Forgets the requests so far, so that a test counts from here.
    pub fn clear_request_log(&self) {
        self.log.clear();
    }
}

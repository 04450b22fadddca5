//! What the registry holds, as documents of one room.
//!
//! - `blobs/<algorithm>/<hex>`: bytes, stored once for all repositories.
//! - `repositories/<name>/_repository`: that it exists.
//! - `repositories/<name>/_blobs/<algorithm>/<hex>`: that it holds a blob, and the blob's size.
//! - `repositories/<name>/_manifests/<algorithm>/<hex>`: the media type, a line feed, and the bytes.
//! - `repositories/<name>/_tags/<tag>`: the digest of a manifest.
//! - `repositories/<name>/_referrers/<algorithm>/<hex>/<algorithm>/<hex>`: a descriptor, below the digest of its subject.
//! - `uploads/<id>/session` and `uploads/<id>/<number>`: an upload and its parts so far.
//!
//! No part of a repository's name begins with `_`, so these names are unambiguous.

use bytes::Bytes;
use chalk_deploy_core::Result;
use chalk_deploy_core::cloud::ByteStream;
use serde_json::Value;

use super::digest::ContentDigest;
use crate::world::{Room, Writer};

/// The room with its layout.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub(super) room: Room,
}

/// A manifest as it is stored.
#[derive(Debug, Clone)]
pub(super) struct StoredManifest {
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

impl Storage {
    pub(super) fn has_repository(&self, repository: &str) -> Result<bool> {
        self.room.holds(&marker(repository))
    }

    /// The names of all repositories, in order.
    pub(super) fn repositories(&self) -> Result<Vec<String>> {
        let names = self.room.names("repositories/")?;
        let name =
            |document: &str| Some(document.strip_prefix("repositories/")?.strip_suffix("/_repository")?.to_owned());
        let mut repositories: Vec<_> = names.iter().filter_map(|document| name(document)).collect();
        repositories.sort_unstable();
        Ok(repositories)
    }

    /// The size of a blob that the repository holds.
    pub(super) fn blob_size(&self, repository: &str, digest: &ContentDigest) -> Result<Option<u64>> {
        let size = self.room.read_json(&link(repository, digest))?;
        Ok(if self.room.holds(&blob(digest))? { size } else { None })
    }

    pub(super) fn open_blob(&self, digest: &ContentDigest) -> Result<Option<ByteStream>> {
        self.room.open(&blob(digest))
    }

    pub(super) fn manifest(&self, repository: &str, digest: &ContentDigest) -> Result<Option<StoredManifest>> {
        let stored = self.room.read(&manifest(repository, digest))?.map(Bytes::from);
        Ok(stored.and_then(|stored| {
            let end = stored.iter().position(|byte| *byte == b'\n')?;
            let media_type = String::from_utf8(stored[..end].to_vec()).ok()?;
            Some(StoredManifest { media_type, bytes: stored.slice(end + 1..) })
        }))
    }

    pub(super) fn has_manifest(&self, repository: &str, digest: &ContentDigest) -> Result<bool> {
        self.room.holds(&manifest(repository, digest))
    }

    pub(super) fn manifests(&self, repository: &str) -> Result<Vec<ContentDigest>> {
        self.digests(&format!("repositories/{repository}/_manifests/"))
    }

    /// The digests of the blobs that a repository holds, or says it holds.
    pub(super) fn links(&self, repository: &str) -> Result<Vec<ContentDigest>> {
        self.digests(&format!("repositories/{repository}/_blobs/"))
    }

    /// The digests of all blobs.
    pub(super) fn blobs(&self) -> Result<Vec<ContentDigest>> {
        self.digests("blobs/")
    }

    pub(super) fn tag(&self, repository: &str, tag: &str) -> Result<Option<ContentDigest>> {
        let digest = self.room.read(&tag_document(repository, tag))?;
        Ok(digest.and_then(|digest| ContentDigest::parse(std::str::from_utf8(&digest).ok()?)))
    }

    /// The tags of a repository, in lexical order, which for the specification is one that knows no case.
    pub(super) fn tags(&self, repository: &str) -> Result<Vec<String>> {
        let prefix = format!("repositories/{repository}/_tags/");
        let names = self.room.names(&prefix)?;
        let mut tags: Vec<_> = names.iter().filter_map(|name| Some(name.strip_prefix(&prefix)?.to_owned())).collect();
        tags.sort_by_cached_key(|tag| lexical(tag));
        Ok(tags)
    }

    pub(super) fn tags_of(&self, repository: &str, digest: &ContentDigest) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for tag in self.tags(repository)? {
            if self.tag(repository, &tag)?.as_ref() == Some(digest) {
                found.push(tag);
            }
        }
        Ok(found)
    }

    /// The descriptors of what refers to a digest, in the order of their digests.
    pub(super) fn referrers(&self, repository: &str, subject: &ContentDigest) -> Result<Vec<(ContentDigest, Value)>> {
        let prefix = referrers(repository, subject);
        let mut found = Vec::new();
        for name in self.room.names(&prefix)? {
            let digest = name.strip_prefix(&prefix).and_then(ContentDigest::from_path);
            if let (Some(digest), Some(descriptor)) = (digest, self.room.read_json(&name)?) {
                found.push((digest, descriptor));
            }
        }
        Ok(found)
    }

    fn digests(&self, prefix: &str) -> Result<Vec<ContentDigest>> {
        let names = self.room.names(prefix)?;
        Ok(names.iter().filter_map(|name| ContentDigest::from_path(name.strip_prefix(prefix)?)).collect())
    }
}

/// The key by which tags are ordered.
pub(super) fn lexical(tag: &str) -> (String, String) {
    (tag.to_ascii_lowercase(), tag.to_owned())
}

/// Makes a repository, if it is not there.
pub(super) fn write_repository(writer: &Writer<'_>, repository: &str) -> Result<()> {
    writer.write(&marker(repository), b"")
}

/// Lets a repository hold a blob.
pub(super) fn write_link(writer: &Writer<'_>, repository: &str, digest: &ContentDigest, size: u64) -> Result<()> {
    write_repository(writer, repository)?;
    writer.write_json(&link(repository, digest), &size)
}

/// Stores a manifest in a repository.
pub(super) fn write_manifest(
    writer: &Writer<'_>,
    repository: &str,
    digest: &ContentDigest,
    stored: &StoredManifest,
) -> Result<()> {
    write_repository(writer, repository)?;
    let document = [stored.media_type.as_bytes(), b"\n", &stored.bytes].concat();
    writer.write(&manifest(repository, digest), &document)
}

pub(super) fn blob(digest: &ContentDigest) -> String {
    format!("blobs/{}", digest.path())
}

pub(super) fn link(repository: &str, digest: &ContentDigest) -> String {
    format!("repositories/{repository}/_blobs/{}", digest.path())
}

pub(super) fn manifest(repository: &str, digest: &ContentDigest) -> String {
    format!("repositories/{repository}/_manifests/{}", digest.path())
}

pub(super) fn tag_document(repository: &str, tag: &str) -> String {
    format!("repositories/{repository}/_tags/{tag}")
}

pub(super) fn referrer(repository: &str, subject: &ContentDigest, digest: &ContentDigest) -> String {
    format!("{}{}", referrers(repository, subject), digest.path())
}

fn referrers(repository: &str, subject: &ContentDigest) -> String {
    format!("repositories/{repository}/_referrers/{}/", subject.path())
}

fn marker(repository: &str) -> String {
    format!("repositories/{repository}/_repository")
}

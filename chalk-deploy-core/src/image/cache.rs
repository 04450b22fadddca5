//! What is kept between processes, in a folder: the documents of base images, by their digests, and what is remembered
//! of registries. All of it can be lost without harm, and none of it is trusted: a document whose digest is another one
//! is read anew, and what is remembered only decides what is tried first.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::model::Digest;
use crate::oci::RegistryMemory;
use crate::{Error, ErrorCode, Result, text};

const MEMORY: &str = "registries.json";
const DOCUMENTS: &str = "documents";
/// A manifest is at most 4 MiB, and so is a config.
const LARGEST: u64 = 4 << 20;
const LARGEST_MEMORY: u64 = 16 << 20;

/// The folder. Any number of processes may use it at once.
#[derive(Debug, Clone)]
pub struct ImageCache {
    folder: PathBuf,
}

impl ImageCache {
    /// Uses this folder, and makes it if it is not there.
    ///
    /// # Errors
    /// [`ErrorCode::StoreUnavailable`] when it cannot be made.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join(DOCUMENTS)).map_err(|error| {
            Error::new(ErrorCode::StoreUnavailable, "the cache folder cannot be used")
                .on(text::line(&folder.to_string_lossy(), 200))
                .with_hint("name a folder that can be written, or leave the cache out")
                .caused_by(error)
        })?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was remembered of registries; nothing if it cannot be read.
    pub fn memory(&self) -> RegistryMemory {
        let read = read(&self.folder.join(MEMORY), LARGEST_MEMORY).ok().flatten();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Keeps what is remembered of registries.
    ///
    /// # Errors
    /// [`ErrorCode::StoreUnavailable`].
    pub fn keep_memory(&self, memory: &RegistryMemory) -> Result<()> {
        let bytes = serde_json::to_vec(memory).map_err(|error| {
            Error::new(ErrorCode::Internal, "what is remembered of registries cannot be written").caused_by(error)
        })?;
        self.write(&self.folder, MEMORY, &bytes)
    }

    pub(super) fn document(&self, digest: &Digest) -> Option<Bytes> {
        let bytes = read(&self.folder.join(DOCUMENTS).join(digest.hex()), LARGEST).ok().flatten()?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    pub(super) fn keep_document(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        self.write(&self.folder.join(DOCUMENTS), &digest.hex(), bytes)
    }

    /// Whole or not at all, whoever else writes. Not made durable: what a power cut takes is read anew.
    fn write(&self, folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(bytes)?;
            file.persist(folder.join(name)).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error| {
            Error::new(ErrorCode::StoreUnavailable, "the cache folder cannot be written")
                .on(text::line(&self.folder.to_string_lossy(), 200))
                .with_hint("make room there, or leave the cache out")
                .caused_by(error)
        })
    }
}

fn read(path: &Path, most: u64) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then(|| bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_given_back_only_as_it_was_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = ImageCache::open(&folder.path().join("new/cache")).expect("made");
        let (digest, bytes) = (Digest::of("document"), Bytes::from("document"));
        assert_eq!(cache.document(&digest), None);
        cache.keep_document(&digest, &bytes).expect("kept");
        assert_eq!(cache.document(&digest), Some(bytes));
        let file = cache.folder().join(DOCUMENTS).join(digest.hex());
        for damaged in [&b"documenT"[..], b"", b"document "] {
            fs::write(&file, damaged).expect("written");
            assert_eq!(cache.document(&digest), None);
        }
    }

    #[test]
    fn a_memory_that_cannot_be_read_is_an_empty_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = ImageCache::open(folder.path()).expect("made");
        for damaged in ["", "[]", "{\"registries\":7}", "\u{0}"] {
            fs::write(folder.path().join(MEMORY), damaged).expect("written");
            assert_eq!(cache.memory(), RegistryMemory::default(), "{damaged}");
        }
    }

    #[test]
    fn a_file_in_the_folders_place_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("file"), "").expect("written");
        let error = ImageCache::open(&folder.path().join("file")).expect_err("no folder");
        assert_eq!(error.code(), ErrorCode::StoreUnavailable);
    }
}

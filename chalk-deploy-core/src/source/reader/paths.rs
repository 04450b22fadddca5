//! What the entries so far have made of each path, so that no two of them meet.

use std::collections::HashMap;
use std::sync::Arc;

use super::input::corrupt;
use crate::model::Digest;
use crate::source::entry::{ArchiveEntry, EntryKind, ancestors, shown};
use crate::source::fingerprint::SourceCodeHash;
use crate::source::limits::ArchiveLimits;
use crate::source::policy::Examiner;
use crate::{Error, ErrorCode, Result};

/// The paths of an archive. They are all that is kept of it in memory: at most twice [`ArchiveLimits::entries`] of them
/// (an entry may imply the directories above it), with [`ArchiveLimits::names`] bytes of text.
#[derive(Debug)]
pub(super) struct Paths {
    seen: HashMap<Arc<str>, Seen>,
    entries: u64,
    implied: u64,
    names: u64,
    unpacked: u64,
}

/// What an entry made of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Only the parent of something, so far.
    Implied,
    Directory,
    Link,
    File(Digest),
}

impl Paths {
    pub(super) fn new() -> Self {
        Self { seen: HashMap::new(), entries: 0, implied: 0, names: 0, unpacked: 0 }
    }

    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) const fn unpacked(&self) -> u64 {
        self.unpacked
    }

    /// The file that a hard link names: one that stands before it.
    pub(super) fn hard_link(&self, path: &str, target: &str) -> Result<String> {
        let target = target.strip_prefix("./").unwrap_or(target);
        if matches!(self.seen.get(target), Some(Seen::File(_))) {
            return Ok(target.to_owned());
        }
        Err(Error::new(
            ErrorCode::ArchiveLinkEscape,
            format!("the hard link leads to `{}`, which is no earlier file of the archive", shown(target)),
        )
        .on(shown(path))
        .with_hint("make the archive again without hard links"))
    }

    /// Takes in an entry, and gives its path as it is kept.
    pub(super) fn enter(
        &mut self,
        entry: &ArchiveEntry,
        limits: &ArchiveLimits,
        examiner: &mut Examiner,
    ) -> Result<Arc<str>> {
        self.entries += 1;
        limits.check_entries(self.entries)?;
        self.unpacked = self.unpacked.saturating_add(entry.size);
        limits.check_unpacked(self.unpacked)?;
        for above in ancestors(&entry.path) {
            match self.seen.get(above) {
                Some(Seen::Implied | Seen::Directory) => {}
                Some(Seen::Link) => {
                    return Err(Error::new(
                        ErrorCode::ArchiveLinkEscape,
                        format!("the path goes through the link `{}`", shown(above)),
                    )
                    .on(shown(&entry.path))
                    .with_hint("make the archive again without the link"));
                }
                Some(Seen::File(_)) => return Err(duplicate(above)),
                None => {
                    self.implied += 1;
                    limits.check_entries(self.implied)?;
                    self.insert(above, Seen::Implied, limits, examiner)?;
                }
            }
        }
        let seen = match &entry.kind {
            EntryKind::Directory => Seen::Directory,
            EntryKind::Link { .. } => Seen::Link,
            // The digest follows when the content was read.
            EntryKind::File => Seen::File(Digest::from_bytes([0; 32])),
            EntryKind::HardLink { target } => *self.seen.get(target.as_str()).unwrap_or(&Seen::Link),
        };
        match (self.seen.get(entry.path.as_str()), seen) {
            (None, _) => self.insert(&entry.path, seen, limits, examiner),
            (Some(Seen::Implied), Seen::Directory) => {
                self.implied -= 1;
                let path = Arc::from(entry.path.as_str());
                self.seen.insert(Arc::clone(&path), seen);
                Ok(path)
            }
            _ => Err(duplicate(&entry.path)),
        }
    }

    /// Takes in the digest of a file that was read to its end.
    pub(super) fn finish_file(&mut self, path: Arc<str>, content: Digest) {
        self.seen.insert(path, Seen::File(content));
    }

    /// The digest of a file that was read to its end.
    pub(super) fn content(&self, path: &str) -> Option<Digest> {
        match self.seen.get(path) {
            Some(Seen::File(content)) => Some(*content),
            _ => None,
        }
    }

    /// The hash over all files.
    pub(super) fn into_code_hash(self) -> Digest {
        let mut code = SourceCodeHash::new();
        for (path, seen) in self.seen {
            if let Seen::File(content) = seen {
                code.add(path, content);
            }
        }
        code.finish()
    }

    fn insert(&mut self, path: &str, seen: Seen, limits: &ArchiveLimits, examiner: &mut Examiner) -> Result<Arc<str>> {
        self.names += path.len() as u64;
        limits.check_names(self.names)?;
        let path = Arc::from(path);
        examiner.path(&path)?;
        self.seen.insert(Arc::clone(&path), seen);
        Ok(path)
    }
}

fn duplicate(path: &str) -> Error {
    Error::new(ErrorCode::ArchiveDuplicatePath, "two entries have this path").on(shown(path))
}

/// Two headers of one entry that state different lengths (CVE-2025-62518).
pub(super) fn mismatch(path: &str) -> Error {
    Error::new(ErrorCode::ArchiveHeaderMismatch, "the PAX record and the header state different sizes").on(shown(path))
}

/// Content where there is none.
pub(super) fn unexpected_content(path: &str) -> Error {
    corrupt("something that is no file has content").on(shown(path))
}

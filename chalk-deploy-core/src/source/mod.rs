//! The source archive: what of a project is deployed, as a reproducible `.tar.gz` (or, between two of us, `.tar.zst`)
//! that is never stored on this side.
//!
//! [`SourceArchive::collect`] lists the tree and streams it once to learn its [`SourceFingerprint`];
//! [`SourceArchive::payload`] streams it again whenever someone opens it. The same tree gives the same bytes under any
//! user, umask, order and clock.
//!
//! One reader reads archives back, ours or a stranger's, with all [`ArchiveLimits`] and an [`ArchivePolicy`]:
//! [`ArchiveReader`] for whoever has a `Read`, [`read_archive`] for a stream, [`InspectedArchive`] for bytes on their way
//! into a bucket, [`SourceHistory`] for what past deployments left there. [`Extraction`] is the only thing that writes.
//!
//! Never part of an archive, whatever the ignore files say: `.git`, `__pycache__`, virtual environments (directories
//! with a `pyvenv.cfg`), state folders of chalk-deploy (directories with a [`STATE_MARKER`](crate::store::STATE_MARKER)) and what the caller
//! excludes. Always part of it: `chalk.yaml` and what the caller requires.

mod entry;
mod extract;
mod fingerprint;
mod history;
mod ignore_rules;
mod inspected;
mod limits;
mod payload;
mod policy;
mod reader;
mod tree;
mod writer;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use entry::{ArchiveEntry, EntryKind};
pub use extract::Extraction;
pub use fingerprint::SourceCodeHash;
pub(crate) use history::verify as verify_stored;
pub use history::{Inspection, SourceHistory, SourceRecord};
pub use ignore_rules::IgnoreRules;
pub use inspected::{ArchiveRules, InspectedArchive, Verdict};
pub use limits::ArchiveLimits;
pub use policy::{ArchiveFinding, ArchivePolicy, FindingKind, Reaction};
pub use reader::{ArchiveReader, ArchiveVisitor, read_archive, read_archive_within};
pub(crate) use writer::{BLOCK, gzip, headers, padding};

use policy::{Examiner, SNIFFED};

use crate::cloud::Payload;
use crate::model::{Digest, DigestHasher, SourceFingerprint};
use crate::{Error, ErrorCode, Result};

/// How far collecting has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectProgress {
    /// Bytes of content read so far.
    pub done: u64,
    /// Bytes of content in all.
    pub total: u64,
}

/// What belongs to an archive, and what it may be at most.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct CollectOptions {
    /// The limits.
    pub limits: ArchiveLimits,
    /// The environment's own ignore file (`chalkignore` of chalk.yaml), relative to the project.
    pub ignore_file: Option<String>,
    /// Files that must be part of the archive, relative to the project. They may not be links.
    pub required: BTreeSet<String>,
    /// Files and directories that must not be part of it.
    pub excluded: Vec<PathBuf>,
    /// How it is packed.
    pub packing: Packing,
    /// What is done about files that look like secrets, and about names that are one where case does not count.
    pub policy: ArchivePolicy,
    /// Called with the progress, from a thread of its own.
    pub progress: Option<ProgressListener>,
}

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Packing {
    /// `.tar.gz`, as every client and every server knows it.
    #[default]
    Gzip,
    /// `.tar.zst`, where both sides are of this library.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// Is called with the progress of collecting.
pub type ProgressListener = Arc<dyn Fn(CollectProgress) + Send + Sync>;

impl CollectOptions {
    /// The default limits and nothing beyond the ignore files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`limits`](Self::limits).
    #[must_use]
    pub fn with_limits(mut self, limits: ArchiveLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`ignore_file`](Self::ignore_file).
    #[must_use]
    pub fn with_ignore_file(mut self, path: impl Into<String>) -> Self {
        self.ignore_file = Some(path.into());
        self
    }

    /// Adds one to [`required`](Self::required).
    #[must_use]
    pub fn with_required(mut self, path: impl Into<String>) -> Self {
        self.required.insert(path.into());
        self
    }

    /// Adds one to [`excluded`](Self::excluded).
    #[must_use]
    pub fn with_excluded(mut self, path: impl Into<PathBuf>) -> Self {
        self.excluded.push(path.into());
        self
    }

    /// Sets [`packing`](Self::packing).
    #[must_use]
    pub const fn with_packing(mut self, packing: Packing) -> Self {
        self.packing = packing;
        self
    }

    /// Sets [`policy`](Self::policy). A missing `chalk.yaml` is no matter of it here: what is collected has one by
    /// [`required`](Self::required).
    #[must_use]
    pub fn with_policy(mut self, policy: ArchivePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets [`progress`](Self::progress).
    #[must_use]
    pub fn with_progress(mut self, listener: impl Fn(CollectProgress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(listener));
        self
    }
}

impl fmt::Debug for CollectOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CollectOptions")
            .field("limits", &self.limits)
            .field("ignore_file", &self.ignore_file)
            .field("required", &self.required)
            .field("excluded", &self.excluded)
            .finish_non_exhaustive()
    }
}

/// The archive of a project: its entries and its fingerprint. The bytes are made whenever they are asked for. Cheap to
/// clone.
#[derive(Clone)]
pub struct SourceArchive(Arc<Collected>);

struct Collected {
    root: PathBuf,
    entries: Vec<ArchiveEntry>,
    /// Of each regular file, in the order of the entries.
    contents: Vec<Digest>,
    fingerprint: SourceFingerprint,
    limits: ArchiveLimits,
    packing: Packing,
    findings: Vec<ArchiveFinding>,
}

impl SourceArchive {
    /// Lists the tree below a directory and reads it once. Nothing is stored. Dropping the future stops the work.
    ///
    /// **Errors.** `PROJECT_DIRECTORY_INVALID`, `PROJECT_FILE_MISSING`, `IGNORE_FILE_INVALID`, `SOURCE_UNREADABLE`,
    /// `ARCHIVE_LINK_ESCAPE`, `ARCHIVE_ENTRY_TYPE`, `ARCHIVE_ENTRY_NAME` name the file, as do `ARCHIVE_SECRET` and
    /// `ARCHIVE_DUPLICATE_PATH` where the policy refuses what it finds; `ARCHIVE_TOO_LARGE` the limit;
    /// `SOURCE_CHANGED` the file that was changed at the same time.
    pub async fn collect(directory: &Path, options: CollectOptions) -> Result<Self> {
        let cancelled = CancellationToken::new();
        let _stop = cancelled.clone().drop_guard();
        let directory = directory.to_owned();
        tokio::task::spawn_blocking(move || Self::collect_here(&directory, &options, &cancelled))
            .await
            .map_err(|error| Error::new(ErrorCode::Internal, "collecting the archive panicked").caused_by(error))?
    }

    fn collect_here(directory: &Path, options: &CollectOptions, cancelled: &CancellationToken) -> Result<Self> {
        let root = crate::project::canonical_directory(directory)?;
        let entries = tree::list(&root, options)?;
        let mut examiner = Examiner::new(options.policy.clone().with_config_required(false));
        for entry in &entries {
            examiner.path(&Arc::from(entry.path.as_str()))?;
            examiner.entry(&entry.path, entry.kind == EntryKind::File)?;
        }
        let mut observer = Hashing {
            examiner,
            contents: Vec::new(),
            code: SourceCodeHash::new(),
            progress: options.progress.clone(),
            done: 0,
            total: entries.iter().map(|entry| entry.size).sum(),
        };
        let sink = HashingSink::default();
        let sink = writer::write(&root, &entries, &options.limits, options.packing, sink, &mut observer, cancelled)?;
        options.limits.check_packed(sink.size)?;
        let fingerprint = SourceFingerprint {
            sha256: sink.hasher.finish(),
            size: sink.size,
            unpacked_size: observer.total,
            entries: entries.len() as u64,
            source_code_hash: observer.code.finish(),
        };
        let (contents, findings) = (observer.contents, observer.examiner.take_findings());
        let (limits, packing) = (options.limits.clone(), options.packing);
        Ok(Self(Arc::new(Collected { root, entries, contents, fingerprint, limits, packing, findings })))
    }

    /// What identifies the archive.
    pub fn fingerprint(&self) -> &SourceFingerprint {
        &self.0.fingerprint
    }

    /// The entries, sorted by the bytes of their paths.
    pub fn entries(&self) -> &[ArchiveEntry] {
        &self.0.entries
    }

    /// What someone should look at before it is sent.
    pub fn findings(&self) -> &[ArchiveFinding] {
        &self.0.findings
    }

    /// The project's canonical directory.
    pub fn directory(&self) -> &Path {
        &self.0.root
    }

    /// The limits that it keeps.
    pub fn limits(&self) -> &ArchiveLimits {
        &self.0.limits
    }

    /// The archive's bytes, made anew each time they are opened. Where they would not be those of the fingerprint, the
    /// stream ends in an error that carries `SOURCE_CHANGED` ([`error_in_stream`](crate::cloud::error_in_stream)).
    pub fn payload(&self) -> Payload {
        Payload::new(self.0.fingerprint.sha256, self.0.fingerprint.size, Arc::new(self.clone()))
    }
}

impl fmt::Debug for SourceArchive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SourceArchive")
            .field("directory", &self.0.root)
            .field("fingerprint", &self.0.fingerprint)
            .finish_non_exhaustive()
    }
}

/// Keeps the digests of the files, and tells the listener.
struct Hashing {
    examiner: Examiner,
    contents: Vec<Digest>,
    code: SourceCodeHash,
    progress: Option<ProgressListener>,
    done: u64,
    total: u64,
}

impl writer::Observer for Hashing {
    fn read(&mut self, bytes: u64) {
        self.done += bytes;
        if let Some(progress) = &self.progress {
            progress(CollectProgress { done: self.done, total: self.total });
        }
    }

    fn beginning(&mut self, entry: &ArchiveEntry, bytes: &[u8]) -> Result<()> {
        self.examiner.beginning(&entry.path, &bytes[..bytes.len().min(SNIFFED)])
    }

    fn file(&mut self, _position: usize, entry: &ArchiveEntry, content: Digest) -> Result<()> {
        self.contents.push(content);
        self.code.add(entry.path.as_str(), content);
        Ok(())
    }
}

/// Counts and hashes the packed bytes and keeps none.
#[derive(Debug, Default)]
struct HashingSink {
    hasher: DigestHasher,
    size: u64,
}

impl io::Write for HashingSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl writer::Sink for HashingSink {
    fn packed(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests;
